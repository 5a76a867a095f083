package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.ArrayList;
import java.util.List;

/** A linear layer's weight: row blocks stacked along n, each in its own format. */
final class CpuWeight implements Backend.Weight {
    private final List<Block> blocks;
    private final int n;
    private final int k;

    /** One matrix whose first row is row {@code rowBegin} of the weight. */
    private sealed interface Block {
        int rowBegin();

        WeightMatrix matrix();
    }

    private record Int4Block(int rowBegin, Int4Weight weight) implements Block {
        @Override
        public WeightMatrix matrix() {
            return weight.matrix();
        }
    }

    private record E4m3Block(int rowBegin, E4m3Matrix matrix) implements Block {}

    /** {@code decoded} is {@code [n, k]}, or null where the numerics do not multiply with float weights. */
    private record FloatBlock(int rowBegin, FloatMatrix matrix, float[] decoded) implements Block {}

    /**
     * @param decodeFloats whether float matrices will be multiplied with, and so are worth their decoded copy
     */
    CpuWeight(List<WeightMatrix> rowBlocks, boolean decodeFloats) {
        if (rowBlocks.isEmpty()) {
            throw new IllegalArgumentException("Weight: no row blocks were given; it needs at least one matrix");
        }
        k = rowBlocks.get(0).k();
        blocks = new ArrayList<>(rowBlocks.size());
        int row = 0;
        for (WeightMatrix matrix : rowBlocks) {
            if (matrix.k() != k) {
                throw new IllegalArgumentException("Weight: row block '%s' has k=%d but '%s' has k=%d".formatted(
                        matrix.name(), matrix.k(), rowBlocks.get(0).name(), k));
            }
            if (matrix instanceof Int4Matrix int4) {
                blocks.add(new Int4Block(row, Int4Weight.of(int4)));
            } else if (matrix instanceof E4m3Matrix e4m3) {
                blocks.add(new E4m3Block(row, e4m3));
            } else {
                FloatMatrix floats = (FloatMatrix) matrix;
                blocks.add(new FloatBlock(row, floats, decodeFloats ? floats.tensor().toFloats() : null));
            }
            row = Math.addExact(row, matrix.n());
        }
        n = row;
    }

    @Override
    public int n() {
        return n;
    }

    @Override
    public int k() {
        return k;
    }

    boolean hasInt4() {
        return blocks.stream().anyMatch(Int4Block.class::isInstance);
    }

    boolean hasE4m3() {
        return blocks.stream().anyMatch(E4m3Block.class::isInstance);
    }

    /** Refuses a weight that is only stored, not multiplied with, in quantized mode. */
    void requireLinear() {
        for (Block block : blocks) {
            if (block instanceof FloatBlock floats && floats.decoded == null) {
                throw BackendChecks.unquantized(floats.matrix.tensor());
            }
        }
    }

    /**
     * {@code y[yOffset + t·yStride + r − rowBegin] = rowScale[r] · …}: the plain inner products of rows
     * rowBegin..rowEnd-1 with x, without token and row scales.
     */
    void multiply(CpuKernels kernels, int rowBegin, int rowEnd, LinearInput x, float[] y, int yOffset, int yStride,
            KernelScratch scratch) {
        for (Block block : blocks) {
            int from = Math.max(rowBegin, block.rowBegin()) - block.rowBegin();
            int to = Math.min(rowEnd, block.rowBegin() + block.matrix().n()) - block.rowBegin();
            if (from >= to) {
                continue;
            }
            int at = yOffset + block.rowBegin() + from - rowBegin;
            if (block instanceof Int4Block int4) {
                kernels.int4MatMul(int4.weight, from, to, x.int4Order(), x.m(), y, at, yStride, scratch);
            } else if (block instanceof E4m3Block e4m3) {
                kernels.e4m3MatMul(e4m3.matrix, from, to, x.e4m3Order(), x.m(), y, at, yStride, scratch);
            } else {
                float[] decoded = ((FloatBlock) block).decoded;
                kernels.dots(x.values(), 0, k, x.m(), decoded, from * k, k, to - from, k, y, at, yStride, scratch);
            }
        }
    }

    /** The float32 scale of rows rowBegin..rowEnd-1; 1 for unquantized rows. */
    void copyRowScales(int rowBegin, int rowEnd, float[] target, int offset) {
        for (Block block : blocks) {
            int from = Math.max(rowBegin, block.rowBegin());
            int to = Math.min(rowEnd, block.rowBegin() + block.matrix().n());
            for (int row = from; row < to; row++) {
                target[offset + row - rowBegin] = rowScale(block, row - block.rowBegin());
            }
        }
    }

    private static float rowScale(Block block, int row) {
        if (block instanceof Int4Block int4) {
            return int4.weight.matrix().rowScale()[row];
        }
        return block instanceof E4m3Block e4m3 ? e4m3.matrix.rowScale()[row] : 1;
    }

    /** Writes the real values of one row: an embedding. */
    void decodeRow(int row, float[] target, int offset) {
        Block block = blocks.get(0);
        for (Block candidate : blocks) {
            block = candidate.rowBegin() <= row ? candidate : block;
        }
        int blockRow = row - block.rowBegin();
        if (block instanceof FloatBlock floats) {
            if (floats.decoded != null) {
                System.arraycopy(floats.decoded, blockRow * k, target, offset, k);
            } else {
                floats.matrix.tensor().copyTo(blockRow * k, target, offset, k);
            }
        } else if (block instanceof E4m3Block e4m3) {
            float scale = e4m3.matrix.rowScale()[blockRow];
            for (int column = 0; column < k; column++) {
                target[offset + column] = scale * E4m3.decode(e4m3.matrix.codes().get(blockRow * k + column));
            }
        } else {
            for (int column = 0; column < k; column++) {
                target[offset + column] = block.matrix().get(blockRow, column);
            }
        }
    }
}
