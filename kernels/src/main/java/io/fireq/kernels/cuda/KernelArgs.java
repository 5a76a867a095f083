package io.fireq.kernels.cuda;

import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * The arguments of a kernel in native memory, typed as declared. Made once per launcher and refilled for every launch;
 * the driver copies them when it launches or records.
 */
public final class KernelArgs {
    /** Type of one parameter. */
    public enum Type {
        /** A pointer to device memory; may be null. */
        ADDRESS(8),
        /** {@code i32}. */
        INT(4),
        /** {@code float}. */
        FLOAT(4),
        /** A TMA descriptor, {@code const __grid_constant__ TensorMap}. */
        TENSOR_MAP(TensorMap.BYTES);

        private final int bytes;

        Type(int bytes) {
            this.bytes = bytes;
        }
    }

    private static final int SLOT_ALIGNMENT = 64;

    private final Type[] types;
    private final long[] offsets;
    private final BytePointer memory;
    private final PointerPointer<BytePointer> pointers;

    /** Arguments of these types, all zero. */
    public KernelArgs(Type... types) {
        this.types = types.clone();
        this.offsets = new long[types.length];
        long size = SLOT_ALIGNMENT;
        for (int i = 0; i < types.length; i++) {
            offsets[i] = size;
            size += (types[i].bytes + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
        }
        memory = new BytePointer(size).fill(0);
        pointers = new PointerPointer<>(Math.max(1, types.length));
        long misaligned = memory.address() % SLOT_ALIGNMENT;
        for (int i = 0; i < types.length; i++) {
            offsets[i] -= misaligned;
            pointers.put(i, memory.getPointer(offsets[i]));
        }
    }

    /** Sets a pointer. */
    public KernelArgs set(int index, DeviceBuffer buffer) {
        require(index, Type.ADDRESS);
        memory.putLong(offsets[index], buffer.address());
        return this;
    }

    /** Sets a pointer to null. */
    public KernelArgs setNull(int index) {
        require(index, Type.ADDRESS);
        memory.putLong(offsets[index], 0);
        return this;
    }

    /** Sets an {@code i32}. */
    public KernelArgs set(int index, int value) {
        require(index, Type.INT);
        memory.putInt(offsets[index], value);
        return this;
    }

    /** Sets a {@code float}. */
    public KernelArgs set(int index, float value) {
        require(index, Type.FLOAT);
        memory.putFloat(offsets[index], value);
        return this;
    }

    /** Sets a TMA descriptor. */
    public KernelArgs set(int index, TensorMap map) {
        require(index, Type.TENSOR_MAP);
        for (int i = 0; i < TensorMap.BYTES; i += Long.BYTES) {
            memory.putLong(offsets[index] + i, map.word(i / Long.BYTES));
        }
        return this;
    }

    PointerPointer<BytePointer> pointers() {
        return pointers;
    }

    private void require(int index, Type type) {
        if (types[index] != type) {
            throw new IllegalArgumentException("KernelArgs: argument %d is %s, required %s in %s"
                    .formatted(index, type, types[index], Arrays.toString(types)));
        }
    }
}
