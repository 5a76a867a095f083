package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** Quantizing one matrix without calibration: what an importer needs of the quantizer. */
public final class DataFreeQuantizer {
    private DataFreeQuantizer() {}

    /**
     * INT4 with the scales of least squared error.
     *
     * @param weights   {@code [n, k]} row-major
     * @param groupSize columns that share a scale; a divisor of k
     */
    public static Int4Matrix int4(String name, float[] weights, int n, int k, int groupSize) {
        try (MatrixMath math = CpuMatrixMath.create(0, CpuKernelChoice.AUTO);
                Matrix matrix = math.upload(weights, k);
                WeightRounding rounding = math.rounding(matrix, groupSize, CodeTable.INTEGERS.levels())) {
            rounding.round(null);
            return rounding.toMatrix(name);
        }
    }

    /**
     * e4m3 with a scale per row.
     *
     * @param weights {@code [n, k]} row-major
     */
    public static E4m3Matrix e4m3(String name, float[] weights, int n, int k) {
        return E4m3RowQuantizer.quantize(name, weights, n, k);
    }

    /**
     * bfloat16.
     *
     * @param weights {@code [n, k]} row-major
     */
    public static FloatMatrix bf16(String name, float[] weights, int n, int k) {
        ByteBuffer data = ByteBuffer.allocate(Math.multiplyExact(2, weights.length)).order(ByteOrder.LITTLE_ENDIAN);
        for (float weight : weights) {
            data.putShort(Bf16.encode(weight));
        }
        return new FloatMatrix(new HostTensor(name, DType.BF16, List.of(n, k), data.flip()));
    }
}
