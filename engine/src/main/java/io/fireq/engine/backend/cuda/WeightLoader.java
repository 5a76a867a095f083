package io.fireq.engine.backend.cuda;

import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.gemm.LinearWeight;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Brings weights to the device. Row blocks become one matrix: int4 where all are int4 with the same groups and
 * values, else e4m3, for an int4 weight is an e4m3 number by definition and loses nothing; unquantized tables become
 * bf16.
 */
final class WeightLoader {
    private final DeviceMemory memory;
    private final WeightStaging staging;

    WeightLoader(DeviceMemory memory, WeightStaging staging) {
        this.memory = memory;
        this.staging = staging;
    }

    /** How a stack of row blocks is stored. */
    enum Storage {
        INT4,
        E4M3,
        BF16_TABLE
    }

    /**
     * @param rowBlocks matrices of equal k, from the first row on
     * @throws IllegalArgumentException if there are none, or they do not fit
     */
    CudaWeight load(List<WeightMatrix> rowBlocks) {
        Storage storage = storage(rowBlocks);
        String name = name(rowBlocks);
        int n = rowBlocks.stream().mapToInt(WeightMatrix::n).reduce(0, Math::addExact);
        int k = rowBlocks.get(0).k();
        return switch (storage) {
            case INT4 -> CudaWeight.quantized(int4(name, n, k, rowBlocks));
            case E4M3 -> CudaWeight.quantized(e4m3(name, n, k, rowBlocks));
            case BF16_TABLE -> CudaWeight.table(name, n, k, bf16(name, n, k, rowBlocks));
        };
    }

    /** Frees the checkpoint order of a weight, such as one that is kept in another. */
    void free(LinearWeight weight) {
        memory.free(weight.codes());
        memory.free(weight.rowScales());
        if (weight.bits() == 4) {
            memory.free(weight.groupScales());
            memory.free(weight.values());
        }
    }

    /** Chooses the storage and checks that the blocks can be stacked. */
    static Storage storage(List<WeightMatrix> rowBlocks) {
        if (rowBlocks.isEmpty()) {
            throw new IllegalArgumentException("Weight: no row blocks were given; it needs at least one matrix");
        }
        WeightMatrix first = rowBlocks.get(0);
        for (WeightMatrix matrix : rowBlocks) {
            if (matrix.k() != first.k()) {
                throw new IllegalArgumentException("Weight: row block '%s' has k=%d but '%s' has k=%d".formatted(
                        matrix.name(), matrix.k(), first.name(), first.k()));
            }
            if (matrix instanceof FloatMatrix != first instanceof FloatMatrix) {
                throw new IllegalArgumentException(("Weight: row blocks '%s' and '%s' are stacked, but only one of them "
                        + "is quantized; quantize the other too").formatted(first.name(), matrix.name()));
            }
        }
        if (first instanceof FloatMatrix) {
            return Storage.BF16_TABLE;
        }
        return rowBlocks.stream().allMatch(m -> isLike(first, m)) ? Storage.INT4 : Storage.E4M3;
    }

    private static boolean isLike(WeightMatrix first, WeightMatrix other) {
        return first instanceof Int4Matrix a && other instanceof Int4Matrix b && a.groupSize() == b.groupSize()
                && Arrays.equals(a.values(), b.values());
    }

    private static String name(List<WeightMatrix> rowBlocks) {
        String first = rowBlocks.get(0).name();
        return rowBlocks.size() == 1 ? first : "%s and %d more".formatted(first, rowBlocks.size() - 1);
    }

    private LinearWeight int4(String name, int n, int k, List<WeightMatrix> rowBlocks) {
        Int4Matrix first = (Int4Matrix) rowBlocks.get(0);
        DeviceBuffer codes = memory.allocate(name + " codes", (long) n * first.rowBytes());
        DeviceBuffer groupScales = memory.allocate(name + " group scales", (long) n * first.groups());
        DeviceBuffer values = memory.allocate(name + " values", 16L * Float.BYTES);
        List<float[]> rowScales = new ArrayList<>();
        long row = 0;
        for (WeightMatrix matrix : rowBlocks) {
            Int4Matrix int4 = (Int4Matrix) matrix;
            staging.upload(codes, row * first.rowBytes(), int4.packed());
            staging.upload(groupScales, row * first.groups(), int4.scales());
            rowScales.add(int4.rowScale());
            row += int4.n();
        }
        staging.upload(values, 0, first.values());
        return LinearWeight.int4(name, n, k, first.groupSize(), codes, groupScales, rowScales(name, n, rowScales),
                values);
    }

    private LinearWeight e4m3(String name, int n, int k, List<WeightMatrix> rowBlocks) {
        DeviceBuffer codes = memory.allocate(name + " codes", (long) n * k);
        List<float[]> rowScales = new ArrayList<>();
        long row = 0;
        for (WeightMatrix matrix : rowBlocks) {
            if (matrix instanceof E4m3Matrix e4m3) {
                staging.upload(codes, row * k, e4m3.codes());
                rowScales.add(e4m3.rowScale());
            } else {
                Int4Matrix int4 = (Int4Matrix) matrix;
                staging.upload(codes, row * k, (long) int4.n() * k, 1, (from, count, chunk) ->
                        encode(int4, from, count, chunk));
                rowScales.add(int4.rowScale());
            }
            row += matrix.n();
        }
        return LinearWeight.e4m3(name, n, k, codes, rowScales(name, n, rowScales));
    }

    /** Writes the e4m3 codes that int4 weights stand for. */
    static void encode(Int4Matrix int4, long from, int count, ByteBuffer chunk) {
        float[] table = new float[16];
        int row = -1;
        int group = -1;
        for (long i = from; i < from + count; i++) {
            int r = (int) (i / int4.k());
            int column = (int) (i % int4.k());
            if (r != row || column / int4.groupSize() != group) {
                row = r;
                group = column / int4.groupSize();
                int4.valueTable(row, group, table, 0);
            }
            chunk.put(E4m3.encode(table[int4.code(row, column)]));
        }
    }

    private DeviceBuffer rowScales(String name, int n, List<float[]> parts) {
        DeviceBuffer target = memory.allocate(name + " row scales", (long) n * Float.BYTES);
        long row = 0;
        for (float[] part : parts) {
            staging.upload(target, row * Float.BYTES, part);
            row += part.length;
        }
        return target;
    }

    private DeviceBuffer bf16(String name, int n, int k, List<WeightMatrix> rowBlocks) {
        DeviceBuffer target = memory.allocate(name + " bf16", 2L * n * k);
        long row = 0;
        for (WeightMatrix matrix : rowBlocks) {
            HostTensor tensor = ((FloatMatrix) matrix).tensor();
            long offset = 2 * row * k;
            if (tensor.dtype() == DType.BF16) {
                staging.upload(target, offset, tensor.data());
            } else {
                staging.upload(target, offset, tensor.size(), 2, (from, count, chunk) -> {
                    for (int i = 0; i < count; i++) {
                        chunk.putShort(Bf16.encode(tensor.get((int) from + i)));
                    }
                });
            }
            row += matrix.n();
        }
        return target;
    }
}
