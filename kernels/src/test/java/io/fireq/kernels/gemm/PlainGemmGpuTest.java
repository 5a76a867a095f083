package io.fireq.kernels.gemm;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class PlainGemmGpuTest {
    private static final double BF16_HALF_STEP = 0x1p-8;
    private static final float[] UNIFORM = LinearOracle.twosComplement(1, 2, 3, 4, 5, 6, 7, 8);
    private static final float[] TABLE = LinearOracle.signMagnitude(0.4f, 1.2f, 2.1f, 3, 4.1f, 5.3f, 6.9f, 9.2f);

    @ParameterizedTest
    @CsvSource({
        "4, 1,   6,   2,    2",
        "4, 1,   64,  172,  172",
        "4, 7,   130, 129,  43",
        "4, 16,  200, 512,  128",
        "4, 17,  66,  384,  64",
        "4, 113, 258, 1024, 128",
        "8, 1,   514, 33,   33",
        "8, 65,  70,  256,  256",
    })
    void agrees_with_the_oracle_for_every_epilogue(int bits, int m, int n, int k, int groupSize) {
        Seeded random = Seeded.fresh("plain_gemm");
        byte[] x = random.e4m3(m * k, 60);
        float[] xScale = random.floats(m, 0.01, 0.002);
        float[] rowScale = random.floats(n, 0.02, 0.004);
        byte[] codes = bits == 4 ? random.bytes(n * ((k + 1) / 2)) : random.e4m3(n * k, 30);
        byte[] groupScales = random.e4m3(n * (k / groupSize), 4);
        float[] levels = m % 2 == 0 ? UNIFORM : TABLE;
        float[] values = bits == 4
                ? LinearOracle.int4Values(codes, groupScales, levels, n, k, groupSize)
                : LinearOracle.e4m3Values(codes);
        LinearOracle.Result exact =
                LinearOracle.multiply(LinearOracle.e4m3Values(x), xScale, values, rowScale, m, n, k);
        short[] residual = random.bf16(m * n, 3);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer deviceCodes = gpu.upload("codes", codes);
            DeviceBuffer deviceRowScale = gpu.upload("rowScale", rowScale);
            LinearWeight weight = bits == 4
                    ? LinearWeight.int4("w", n, k, groupSize, deviceCodes, gpu.upload("groupScales", groupScales),
                            deviceRowScale, gpu.upload("values", levels))
                    : LinearWeight.e4m3("w", n, k, deviceCodes, deviceRowScale);
            DeviceBuffer deviceX = gpu.upload("x", x);
            DeviceBuffer deviceXScale = gpu.upload("xScale", xScale);
            DeviceBuffer floats = gpu.empty("float out", 4L * m * n);
            DeviceBuffer stored = gpu.empty("out", 2L * m * n);
            DeviceBuffer added = gpu.upload("residual", residual);
            DeviceBuffer gated = gpu.empty("gated", (long) m * n);
            PlainGemm kernel = new PlainGemm(gpu.context());
            kernel.launchFloat(gpu.stream(), deviceX, deviceXScale, m, weight, floats);
            kernel.launch(gpu.stream(), deviceX, deviceXScale, m, weight, Epilogue.STORE, stored);
            kernel.launch(gpu.stream(), deviceX, deviceXScale, m, weight, Epilogue.RESIDUAL_ADD, added);
            kernel.launch(gpu.stream(), deviceX, deviceXScale, m, weight, Epilogue.SILU_MUL, gated);
            gpu.finish();

            int[] dims = {m, n};
            float[] actual = gpu.floats(floats);
            double[] wide = new double[actual.length];
            double[] sum = new double[actual.length];
            double[] roundedBound = new double[actual.length];
            double[] sumBound = new double[actual.length];
            for (int i = 0; i < wide.length; i++) {
                wide[i] = actual[i];
                sum[i] = exact.y()[i] + Formats.fromBf16(residual[i]);
                roundedBound[i] = exact.noise()[i] * 1.01 + Math.abs(exact.y()[i]) * BF16_HALF_STEP;
                sumBound[i] = exact.noise()[i] * 1.01 + Math.abs(sum[i]) * BF16_HALF_STEP
                        + Math.abs(exact.y()[i]) * 0x1p-22;
            }
            Comparer.close("float32, " + random, dims, wide, exact.y(), exact.noise());
            Comparer.close("bf16, " + random, dims, decode(gpu.shorts(stored)), exact.y(), roundedBound);
            Comparer.close("residual, " + random, dims, decode(gpu.shorts(added)), sum, sumBound);
            checkGated(random, exact, m, n / 2, decode(gpu.shorts(gated)));
        }
    }

    private static void checkGated(Seeded random, LinearOracle.Result exact, int m, int half, double[] actual) {
        double[] expected = new double[m * half];
        double[] bound = new double[m * half];
        for (int i = 0; i < expected.length; i++) {
            int gateIndex = i / half * 2 * half + i % half;
            double gate = exact.y()[gateIndex];
            double up = exact.y()[gateIndex + half];
            double silu = gate / (1 + Math.exp(-gate));
            expected[i] = silu * up;
            // The slope of silu is at most 1.1.
            double noise = 1.1 * exact.noise()[gateIndex] * (Math.abs(up) + exact.noise()[gateIndex + half])
                    + Math.abs(silu) * exact.noise()[gateIndex + half];
            bound[i] = noise * 1.01 + Math.abs(expected[i]) * (BF16_HALF_STEP + 0x1p-20) + 1e-37;
        }
        Comparer.close("silu mul, " + random, new int[] {m, half}, actual, expected, bound);
    }

    private static double[] decode(short[] codes) {
        double[] values = new double[codes.length];
        for (int i = 0; i < codes.length; i++) {
            values[i] = Formats.fromBf16(codes[i]);
        }
        return values;
    }
}
