package io.fireq.engine.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.Arrays;
import java.util.List;

/**
 * A tensor in host memory: row-major, last dimension contiguous, little-endian. The data is usually a view of a
 * memory-mapped file and is never written through this type.
 *
 * @param name  the checkpoint's name for it, used in messages
 * @param dtype storage format
 * @param shape dimensions, outermost first
 * @param data  exactly {@code Π shape · dtype.bytes()} bytes, from index 0
 */
public record HostTensor(String name, DType dtype, List<Integer> shape, ByteBuffer data) {

    private static final int CHUNK = 1 << 18;

    public HostTensor {
        shape = List.copyOf(shape);
        data = data.slice().order(ByteOrder.LITTLE_ENDIAN);
        long required = shape.contains(0) ? 0 : dtype.bytes(); // a product of large dims and a zero must not overflow
        for (int dim : shape) {
            if (dim < 0) {
                throw new IllegalArgumentException("Tensor '%s' %s: a dimension is negative".formatted(name, shape));
            }
            required = Math.multiplyExact(required, (long) dim);
        }
        if (data.remaining() != required) {
            throw new IllegalArgumentException("Tensor '%s' %s %s: needs %,d bytes, has %,d"
                    .formatted(name, dtype, shape, required, data.remaining()));
        }
    }

    /** A float32 tensor that holds a copy of {@code values}. */
    public static HostTensor ofFloats(String name, List<Integer> shape, float[] values) {
        ByteBuffer data = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        FloatBuffer floats = data.asFloatBuffer();
        Chunks.forEach(values.length, CHUNK, (begin, end) -> floats.put(begin, values, begin, end - begin));
        return new HostTensor(name, DType.F32, shape, data);
    }

    /** Number of elements. */
    public int size() {
        return data.capacity() / dtype.bytes();
    }

    /** The real value of element {@code index} in row-major order; any format but {@link DType#U8}. */
    public float get(int index) {
        return switch (dtype) {
            case F32 -> data.getFloat(index * 4);
            case F16 -> F16.decode(data.getShort(index * 2));
            case BF16 -> Bf16.decode(data.getShort(index * 2));
            case E4M3 -> E4m3.decode(data.get(index));
            case U8 -> throw new IllegalArgumentException("Tensor '" + name + "' holds raw bytes, not numbers");
        };
    }

    /** All elements as floats, in row-major order. */
    public float[] toFloats() {
        float[] values = new float[size()];
        Chunks.forEach(values.length, CHUNK, (begin, end) -> copyTo(begin, values, begin, end - begin));
        return values;
    }

    /** Decodes {@code count} elements from element {@code from} on into {@code target}. */
    public void copyTo(int from, float[] target, int offset, int count) {
        if (dtype == DType.F32) {
            data.slice(from * 4, count * 4).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(target, offset, count);
            return;
        }
        if (dtype == DType.BF16) {
            ShortBuffer codes = data.slice(from * 2, count * 2).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer();
            for (int i = 0; i < count; i++) {
                target[offset + i] = Bf16.decode(codes.get(i));
            }
            return;
        }
        for (int i = 0; i < count; i++) {
            target[offset + i] = get(from + i);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof HostTensor t && name.equals(t.name) && dtype == t.dtype && shape.equals(t.shape)
                && data.equals(t.data);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(new Object[] {name, dtype, shape});
    }

    @Override
    public String toString() {
        return "'%s' %s %s".formatted(name, dtype, shape);
    }
}
