package io.fireq.kernels.reference;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.linalg.F32Gemm;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class FloatLayersGpuTest {
    private static final float EPSILON = 1e-5f;

    @ParameterizedTest
    @CsvSource({"1, 1", "7, 113", "3, 4096"})
    void norms_and_gates(int nTokens, int width) {
        Seeded random = Seeded.fresh("f32_rmsnorm");
        float[] x = random.floats(2 * nTokens * width, 0, 2);
        float[] weight = random.floats(width, 1, 0.3);
        try (Gpu gpu = Gpu.open()) {
            FloatLayers layers = new FloatLayers(gpu.context(), new F32Gemm(gpu.context()));
            DeviceBuffer input = gpu.upload("x", x);
            DeviceBuffer normed = gpu.empty("normed", 4L * nTokens * width);
            DeviceBuffer gated = gpu.empty("gated", 4L * nTokens * width);
            layers.rmsNorm(gpu.stream(), input, gpu.upload("weight", weight), EPSILON, nTokens, width, normed);
            layers.siluMul(gpu.stream(), input, nTokens, width, gated);
            gpu.finish();
            close("norm, " + random, width, gpu.floats(normed),
                    FloatLayersOracle.rmsNorm(Arrays.copyOf(x, nTokens * width), weight, EPSILON), 2e-6);
            close("gated, " + random, width, gpu.floats(gated), FloatLayersOracle.siluMul(x, width), 2e-6);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1, 2", "7, 6, 3, 10", "200, 4, 2, 64", "131, 8, 2, 128"})
    void rotates_and_attends(int nTokens, int nHeads, int nKvHeads, int headDim) {
        Seeded random = Seeded.fresh("f32_rope, causal_softmax");
        FloatLayers.Heads heads = new FloatLayers.Heads(nHeads, nKvHeads, headDim);
        int all = (nHeads + 2 * nKvHeads) * headDim;
        float[] qkv = random.floats(nTokens * all, 0, 1);
        float[] cos = random.floats(nTokens * headDim / 2, 0, 1);
        float[] sin = random.floats(nTokens * headDim / 2, 0, 1);
        float[] kSmooth = random.floats(nKvHeads * headDim, 2, 0.2);
        try (Gpu gpu = Gpu.open()) {
            FloatLayers layers = new FloatLayers(gpu.context(), new F32Gemm(gpu.context()));
            DeviceBuffer query = gpu.empty("query", 4L * nTokens * nHeads * headDim);
            DeviceBuffer key = gpu.empty("key", 4L * nTokens * nKvHeads * headDim);
            DeviceBuffer value = gpu.empty("value", 4L * nTokens * nKvHeads * headDim);
            DeviceBuffer out = gpu.empty("out", 4L * nTokens * nHeads * headDim);
            layers.rope(gpu.stream(), gpu.upload("qkv", qkv), gpu.upload("cos", cos), gpu.upload("sin", sin),
                    gpu.upload("kSmooth", kSmooth), nTokens, heads, query, key, value);
            layers.attention(gpu.stream(), query, key, value, nTokens, heads,
                    gpu.empty("scratch", 4L * nHeads * nTokens * nTokens), out);
            gpu.finish();
            double[] rotated = FloatLayersOracle.rope(qkv, cos, sin, kSmooth, heads);
            float[] q = gpu.floats(query);
            float[] k = gpu.floats(key);
            float[] v = gpu.floats(value);
            close("query, " + random, nHeads * headDim, q, columns(rotated, all, 0, nHeads * headDim), 1e-6);
            close("key, " + random, nKvHeads * headDim, k,
                    columns(rotated, all, nHeads * headDim, nKvHeads * headDim), 2e-6);
            close("value, " + random, nKvHeads * headDim, v,
                    columns(rotated, all, (nHeads + nKvHeads) * headDim, nKvHeads * headDim), 0);
            close("attention, " + random, nHeads * headDim, gpu.floats(out),
                    FloatLayersOracle.attention(q, k, v, nTokens, heads), 1e-5);
        }
    }

    private static double[] columns(double[] a, int width, int from, int count) {
        double[] part = new double[a.length / width * count];
        Arrays.setAll(part, i -> a[i / count * width + from + i % count]);
        return part;
    }

    private static void close(String what, int width, float[] actual, double[] expected, double tolerance) {
        double[] values = new double[actual.length];
        double[] bound = new double[expected.length];
        Arrays.setAll(values, i -> actual[i]);
        Arrays.setAll(bound, i -> tolerance * Math.max(1, Math.abs(expected[i])));
        Comparer.close(what, new int[] {expected.length / width, width}, values, expected, bound);
    }
}
