package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_DATA_TYPE_UINT8;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_INTERLEAVE_NONE;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_SWIZZLE_128B;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_SWIZZLE_32B;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_SWIZZLE_64B;
import static org.bytedeco.cuda.global.cudart.CU_TENSOR_MAP_SWIZZLE_NONE;
import static org.bytedeco.cuda.global.cudart.cuTensorMapEncodeTiled;

import java.util.Arrays;
import org.bytedeco.cuda.cudart.CUtensorMap;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;

/** A descriptor of a tensor in device memory and of the box that one TMA instruction copies. Immutable. */
public final class TensorMap {
    static final int BYTES = 128;
    private static final int ALIGNMENT = 64;

    /** Element type; e4m3 and packed int4 are {@link #U8}. */
    public enum Element {
        U8(1),
        BF16(2),
        F16(2),
        F32(4);

        private final int bytes;

        Element(int bytes) {
            this.bytes = bytes;
        }

        private int code() {
            return switch (this) {
                case U8 -> CU_TENSOR_MAP_DATA_TYPE_UINT8;
                case BF16 -> CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
                case F16 -> CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
                case F32 -> CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
            };
        }
    }

    /** How a box's rows are permuted in shared memory so that columns do not meet in one bank. */
    public enum Swizzle {
        NONE(0),
        B32(32),
        B64(64),
        B128(128);

        private final int bytes;

        Swizzle(int bytes) {
            this.bytes = bytes;
        }

        private int code() {
            return switch (this) {
                case NONE -> CU_TENSOR_MAP_SWIZZLE_NONE;
                case B32 -> CU_TENSOR_MAP_SWIZZLE_32B;
                case B64 -> CU_TENSOR_MAP_SWIZZLE_64B;
                case B128 -> CU_TENSOR_MAP_SWIZZLE_128B;
            };
        }
    }

    /**
     * A tensor and a box, innermost dimension first as TMA counts them.
     *
     * @param element     element type
     * @param dims        elements along each dimension, one to five
     * @param strideBytes distance of neighbours along dimension 1, 2, ..; dimension 0 is contiguous
     * @param box         elements of the box along each dimension
     * @param swizzle     layout of the box in shared memory
     */
    public record Layout(Element element, long[] dims, long[] strideBytes, int[] box, Swizzle swizzle) {
        private static final long MAX_DIM = 1L << 32;
        private static final long MAX_STRIDE = 1L << 40;
        private static final int MAX_BOX = 256;
        private static final int STRIDE_ALIGNMENT = 16;

        public Layout {
            int rank = dims.length;
            require(rank >= 1 && rank <= 5, "rank", rank, "1..5");
            require(strideBytes.length == rank - 1, "number of strides", strideBytes.length, "" + (rank - 1));
            require(box.length == rank, "rank of the box", box.length, "" + rank);
            for (int i = 0; i < rank; i++) {
                require(dims[i] >= 1 && dims[i] <= MAX_DIM, "dims[" + i + "]", dims[i], "1..2^32");
                require(box[i] >= 1 && box[i] <= MAX_BOX, "box[" + i + "]", box[i], "1..256");
            }
            for (int i = 0; i < rank - 1; i++) {
                require(strideBytes[i] % STRIDE_ALIGNMENT == 0 && strideBytes[i] > 0 && strideBytes[i] < MAX_STRIDE,
                        "strideBytes[" + i + "]", strideBytes[i], "a multiple of 16 below 2^40; pad the rows");
            }
            long innerBytes = (long) box[0] * element.bytes;
            require(innerBytes % STRIDE_ALIGNMENT == 0, "inner box bytes", innerBytes, "a multiple of 16");
            require(swizzle == Swizzle.NONE || innerBytes <= swizzle.bytes, "inner box bytes", innerBytes,
                    "at most " + swizzle.bytes + " with swizzle " + swizzle);
            dims = dims.clone();
            strideBytes = strideBytes.clone();
            box = box.clone();
        }

        /** A row-major matrix {@code [rows, columns]} of contiguous rows and a box {@code [boxRows, boxColumns]}. */
        public static Layout matrix(Element element, long rows, long columns, int boxRows, int boxColumns,
                Swizzle swizzle) {
            return new Layout(element, new long[] {columns, rows}, new long[] {columns * element.bytes},
                    new int[] {boxColumns, boxRows}, swizzle);
        }

        /** Bytes of device memory that the tensor spans. */
        public long byteSize() {
            long last = Math.multiplyExact(dims[0], (long) element.bytes);
            for (int i = 1; i < dims.length; i++) {
                last = Math.addExact(last, Math.multiplyExact(dims[i] - 1, strideBytes[i - 1]));
            }
            return last;
        }

        private static void require(boolean condition, String what, long actual, String required) {
            if (!condition) {
                throw new IllegalArgumentException("TensorMap: %s is %,d; required %s".formatted(what, actual, required));
            }
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Layout l && element == l.element && swizzle == l.swizzle
                    && Arrays.equals(dims, l.dims) && Arrays.equals(strideBytes, l.strideBytes)
                    && Arrays.equals(box, l.box);
        }

        @Override
        public int hashCode() {
            return 31 * Arrays.hashCode(dims) + Arrays.hashCode(box);
        }

        @Override
        public String toString() {
            return "%s%s, strides %s bytes, box %s, swizzle %s".formatted(element, Arrays.toString(dims),
                    Arrays.toString(strideBytes), Arrays.toString(box), swizzle);
        }
    }

    private final long[] words = new long[BYTES / Long.BYTES];

    /** Encodes the descriptor of a tensor at the start of {@code buffer}, which must be aligned to 16 bytes. */
    public static TensorMap encode(CudaContext context, DeviceBuffer buffer, Layout layout) {
        if (buffer.byteSize() < layout.byteSize() || buffer.address() % 16 != 0) {
            throw new IllegalArgumentException("TensorMap: buffer %s at offset %d of 16 bytes; %s needs %,d aligned bytes"
                    .formatted(buffer, buffer.address() % 16, layout, layout.byteSize()));
        }
        int rank = layout.dims.length;
        int[] elementStrides = new int[rank];
        Arrays.fill(elementStrides, 1);
        TensorMap map = new TensorMap();
        // The driver wants 64-byte alignment, which an allocation by JavaCPP does not promise.
        try (BytePointer memory = new BytePointer(BYTES + ALIGNMENT)) {
            Pointer aligned = memory.getPointer(ALIGNMENT - memory.address() % ALIGNMENT);
            CUtensorMap descriptor = new CUtensorMap(aligned);
            Pointer base = new AddressPointer(buffer.address());
            int result = cuTensorMapEncodeTiled(descriptor, layout.element.code(), rank, base, layout.dims,
                    rank == 1 ? new long[1] : layout.strideBytes, layout.box, elementStrides,
                    CU_TENSOR_MAP_INTERLEAVE_NONE, layout.swizzle.code(), CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                    CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
            CudaDriver.check(result, "cuTensorMapEncodeTiled('%s', %s)".formatted(buffer.label(), layout), context);
            for (int i = 0; i < map.words.length; i++) {
                map.words[i] = descriptor.opaque(i);
            }
        }
        return map;
    }

    long word(int index) {
        return words[index];
    }

    /** A device address as the pointer argument of a driver call. */
    private static final class AddressPointer extends Pointer {
        AddressPointer(long address) {
            this.address = address;
        }
    }
}
