package io.fireq.kernels.gemm;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.IntConsumer;

/** A linear layer with random operands on the device, what it should give, and how far a kernel may be off. */
final class GemmCase implements AutoCloseable {
    private static final float[][] LEVELS = {
        LinearOracle.twosComplement(1, 2, 3, 4, 5, 6, 7, 8),
        LinearOracle.twosComplement(0.9f, 1.8f, 2.8f, 3.9f, 5.1f, 6.6f, 8.7f, 10.5f),
        LinearOracle.signMagnitude(0.4f, 1.2f, 2.1f, 3, 4.1f, 5.3f, 6.9f, 9.2f),
    };
    private static final double BF16_HALF_STEP = 0x1p-8;

    /** How a kernel sums, and what that may cost. */
    private enum Noise {
        /** The skinny kernel's sums are float32. */
        FLOAT32(0x1p-18, 2.5e-4, 2.5e-3),
        /**
         * The tensor core aligns addends to the largest and keeps about 14 bits; sums of 128 columns are added in float32. Of
         * ten million values one or two went 5 % beyond 2^-12. Measured root mean squares: 1.4e-4, and 1.9e-3 as bf16.
         */
        PROMOTED(1.5 * 0x1p-12, 2.5e-4, 2.5e-3),
        /** All of k in the tensor core. Measured: 3.1e-4, and 3.4e-3 as bf16 where the sum runs over 14,336 columns. */
        RUNNING_SUM(0x1p-10, 6e-4, 4.5e-3);

        /** Of single values, as shares of the sum of all magnitudes. */
        private final double share;
        /** Relative root mean square errors of all values, which no chance moves far. */
        private final double rms;
        private final double bf16Rms;

        Noise(double share, double rms, double bf16Rms) {
            this.share = share;
            this.rms = rms;
            this.bf16Rms = bf16Rms;
        }

        static Noise of(boolean promote) {
            return promote ? PROMOTED : RUNNING_SUM;
        }
    }

    private static final int SAMPLES = 500;
    private static final byte POISON = (byte) 0xff;

    private final Gpu gpu;
    private final Seeded random;
    private final int bits;
    private final int m;
    private final int n;
    private final int k;
    private final int groupSize;
    private final boolean gated;
    private final byte[] x;
    private final float[] xScale;
    private final byte[] codes;
    private final byte[] groupScales;
    private final float[] rowScale;
    private final float[] levels;
    private final short[] residual;
    private final LinearWeight source;
    private final DeviceBuffer deviceX;
    private final DeviceBuffer deviceXScale;
    private final DeviceBuffer deviceResidual;
    private final DeviceBuffer out;
    private final Gemm gemm;
    private final GemmWeight weight;

    /** Before the epilogue, {@code [m, n]}, and the sum of its products' magnitudes. */
    private double[] y;
    private double[] magnitude;

    private GemmCase(Gpu gpu, Seeded random, int bits, int m, int n, int k, int groupSize, boolean gated) {
        this.gpu = gpu;
        this.random = random;
        this.bits = bits;
        this.m = m;
        this.n = n;
        this.k = k;
        this.groupSize = groupSize;
        this.gated = gated;
        x = random.e4m3(m * k, 60);
        xScale = random.floats(m, 0.01, 0.002);
        rowScale = random.floats(n, 0.02, 0.004);
        codes = bits == 4 ? random.bytes(n * ((k + 1) / 2)) : random.e4m3(n * k, 30);
        groupScales = random.e4m3(n * (k / groupSize), 4);
        levels = LEVELS[m % LEVELS.length];
        residual = random.bf16(m * nOut(), 3);
        DeviceBuffer deviceCodes = gpu.upload("codes", codes);
        DeviceBuffer deviceRowScale = gpu.upload("rowScale", rowScale);
        source = bits == 4
                ? LinearWeight.int4("w", n, k, groupSize, deviceCodes, gpu.upload("groupScales", groupScales),
                        deviceRowScale, gpu.upload("values", levels))
                : LinearWeight.e4m3("w", n, k, deviceCodes, deviceRowScale);
        deviceX = gpu.upload("x", x);
        deviceXScale = gpu.upload("xScale", xScale);
        deviceResidual = gpu.upload("residual", residual);
        out = gpu.empty("out", 4L * m * nOut());
        gemm = new Gemm(gpu.context());
        weight = gemm.prepare(gpu.stream(), source, gated);
    }

    static GemmCase create(Gpu gpu, Seeded random, int bits, int m, int n, int k, int groupSize, boolean gated) {
        return new GemmCase(gpu, random, bits, m, n, k, groupSize, gated);
    }

    GemmWeight weight() {
        return weight;
    }

    private int nOut() {
        return gated ? n / 2 : n;
    }

    private Epilogue[] epilogues() {
        return gated ? new Epilogue[] {Epilogue.SILU_MUL} : new Epilogue[] {Epilogue.STORE, Epilogue.RESIDUAL_ADD};
    }

    /** Expects the double oracle's result. */
    void expectOracle() {
        LinearOracle.Result exact = LinearOracle.multiply(LinearOracle.e4m3Values(x), xScale, values(0, n), rowScale, m, n, k);
        y = exact.y();
        magnitude = new double[y.length];
        for (int i = 0; i < y.length; i++) {
            magnitude[i] = exact.noise()[i] / ((k + 4) * 0x1p-24);
        }
    }

    /** Expects what {@link PlainGemm} gives on the device. */
    void expectPlain() {
        DeviceBuffer floats = gpu.empty("plain", 4L * m * n);
        new PlainGemm(gpu.context()).launchFloat(gpu.stream(), deviceX, deviceXScale, m, source, floats);
        gpu.context().synchronize();
        float[] plain = gpu.floats(floats);
        double mean = meanMagnitude(LinearOracle.e4m3Values(x)) * meanMagnitude(values(0, Math.min(n, 64)));
        y = new double[plain.length];
        magnitude = new double[plain.length];
        for (int i = 0; i < plain.length; i++) {
            y[i] = plain[i];
            // The sum of k magnitudes scatters little around its mean.
            magnitude[i] = 1.5 * k * mean * Math.abs((double) xScale[i / n] * rowScale[i % n]);
        }
    }

    private static double meanMagnitude(float[] values) {
        double sum = 0;
        for (float value : values) {
            sum += Math.abs(value);
        }
        return sum / values.length;
    }

    /** The weight's values of some rows. */
    private float[] values(int firstRow, int rows) {
        int rowBytes = bits == 4 ? (k + 1) / 2 : k;
        byte[] part = Arrays.copyOfRange(codes, firstRow * rowBytes, (firstRow + rows) * rowBytes);
        if (bits == 8) {
            return LinearOracle.e4m3Values(part);
        }
        int groups = k / groupSize;
        byte[] scales = Arrays.copyOfRange(groupScales, firstRow * groups, (firstRow + rows) * groups);
        return LinearOracle.int4Values(part, scales, levels, rows, k, groupSize);
    }

    /** Checks some of the expected results, from the device, against the double oracle. */
    void checkSampleAgainstOracle() {
        for (int sample = 0; sample < SAMPLES; sample++) {
            int t = random.below(m);
            int row = random.below(n);
            float[] xRow = LinearOracle.e4m3Values(Arrays.copyOfRange(x, t * k, (t + 1) * k));
            LinearOracle.Result exact = LinearOracle.multiply(xRow, new float[] {xScale[t]}, values(row, 1),
                    new float[] {rowScale[row]}, 1, 1, k);
            Comparer.close("plain at [%d, %d], %s".formatted(t, row, random), new int[] {1},
                    new double[] {y[t * n + row]}, exact.y(), exact.noise());
        }
    }

    /** Checks every kernel that can serve the problem, with each epilogue, and float32 output. */
    void checkEveryKernel() {
        for (int nSms : canBeNarrow() ? new int[] {nSms(), 6, 3, 1} : new int[] {nSms()}) {
            for (Epilogue epilogue : epilogues()) {
                checkFew(epilogue, false, nSms);
            }
            if (!gated) {
                checkFew(Epilogue.STORE, true, nSms);
            }
        }
        for (Epilogue epilogue : epilogues()) {
            GemmProblem problem = Int4Fp8Gemm.problem(m, weight, epilogue, false, out);
            GemmHeuristics.candidates(problem, nSms()).forEach(this::check);
        }
        if (!gated) {
            GemmProblem problem = Int4Fp8Gemm.problem(m, weight, Epilogue.STORE, true, out);
            GemmHeuristics.candidates(problem, nSms()).forEach(this::check);
        }
    }

    /** Checks the kernels that {@link Gemm} picks. */
    void checkChosenKernel() {
        for (Epilogue epilogue : epilogues()) {
            if (checkFew(epilogue, false, nSms())) {
                continue;
            }
            check(GemmHeuristics.choose(Int4Fp8Gemm.problem(m, weight, epilogue, false, out), nSms()));
        }
    }

    /** Checks what {@link Gemm} queues. */
    void checkThroughFacade() {
        for (Epilogue epilogue : epilogues()) {
            prepareOut(epilogue);
            gemm.launch(gpu.stream(), deviceX, deviceXScale, m, weight, epilogue, out);
            gpu.context().synchronize();
            compare("facade " + epilogue, epilogue, false, Noise.PROMOTED);
        }
    }

    private int nSms() {
        return gpu.context().device().nSms();
    }

    private void prepareOut(Epilogue epilogue) {
        out.fillAsync(gpu.stream(), POISON);
        if (epilogue == Epilogue.RESIDUAL_ADD) {
            out.copyAsync(gpu.stream(), 0, deviceResidual, 0, deviceResidual.byteSize());
        }
    }

    /** Checks the kernels for few tokens, as if the device had so many SMs; false where there are too many tokens. */
    private boolean checkFew(Epilogue epilogue, boolean outF32, int nSms) {
        String output = " " + epilogue + (outF32 ? " f32" : "");
        if (canBeSkinny()) {
            prepareOut(epilogue);
            gemm.skinny().launch(gpu.stream(), deviceX, deviceXScale, m, weight, epilogue, outF32, out);
            gpu.context().synchronize();
            compare(SkinnyGemm.config(m, epilogue, outF32).describe() + output, epilogue, outF32, Noise.FLOAT32);
        }
        if (canBeNarrow()) {
            prepareOut(epilogue);
            gemm.narrow().launch(gpu.stream(), deviceX, deviceXScale, m, weight, epilogue, outF32, out, nSms);
            gpu.context().synchronize();
            NarrowConfig config = NarrowGemm.config(m, weight, epilogue, outF32, nSms);
            compare(config.describe() + " of " + nSms + output, epilogue, outF32, Noise.of(config.promote()));
        }
        return canBeSkinny() || canBeNarrow();
    }

    private boolean canBeSkinny() {
        return bits == 8 && m <= SkinnyGemm.MAX_TOKENS;
    }

    private boolean canBeNarrow() {
        return bits == 4 && m <= NarrowGemm.MAX_TOKENS;
    }

    private void check(GemmPlan plan) {
        GemmConfig config = plan.config();
        prepareOut(config.epilogue());
        gemm.fast().launch(gpu.stream(), deviceX, deviceXScale, m, weight, plan, out);
        gpu.context().synchronize();
        compare(config.describe() + " " + config.epilogue() + (config.outF32() ? " f32" : ""), config.epilogue(),
                config.outF32(), Noise.of(config.promote()));
    }

    private void compare(String kernel, Epilogue epilogue, boolean outF32, Noise kind) {
        int nOut = nOut();
        double[] actual = new double[m * nOut];
        if (outF32) {
            float[] floats = gpu.floats(out);
            for (int i = 0; i < actual.length; i++) {
                actual[i] = floats[i];
            }
        } else {
            short[] shorts = gpu.shorts(out);
            for (int i = 0; i < actual.length; i++) {
                actual[i] = Formats.fromBf16(shorts[i]);
            }
            // What is behind the result must still be the poison.
            for (int i = actual.length; i < shorts.length; i++) {
                if (shorts[i] != -1) {
                    throw new AssertionError("%s, %s: element %d behind the output was written".formatted(kernel, random, i));
                }
            }
        }
        double[] expected = new double[actual.length];
        double[] bound = new double[actual.length];
        double error = 0;
        double power = 0;
        for (int i = 0; i < actual.length; i++) {
            double noise;
            if (epilogue == Epilogue.SILU_MUL) {
                int gateIndex = i / nOut * n + i % nOut;
                int upIndex = gateIndex + nOut;
                double silu = y[gateIndex] / (1 + Math.exp(-y[gateIndex]));
                expected[i] = silu * y[upIndex];
                // The slope of silu is at most 1.1.
                noise = kind.share * (1.1 * magnitude[gateIndex]
                        * (Math.abs(y[upIndex]) + kind.share * magnitude[upIndex]) + Math.abs(silu) * magnitude[upIndex]);
            } else {
                expected[i] = y[i] + (epilogue == Epilogue.RESIDUAL_ADD ? Formats.fromBf16(residual[i]) : 0);
                noise = kind.share * magnitude[i];
            }
            bound[i] = noise * 1.01 + Math.abs(expected[i]) * (outF32 ? 0x1p-20 : BF16_HALF_STEP + 0x1p-20) + 1e-37;
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            power += expected[i] * expected[i];
        }
        String what = "%s, m=%d n=%d k=%d, %s".formatted(kernel, m, n, k, random);
        Comparer.close(what, new int[] {m, nOut}, actual, expected, bound);
        Comparer.rms(what, actual, expected, outF32 ? kind.rms : kind.bf16Rms);
        System.out.printf(Locale.ROOT, "%-48s m=%-5d n=%-6d k=%-6d relative rms error %.2e%n", kernel, m, n, k,
                Math.sqrt(error / power));
    }

    /** Runs every kernel often, with {@code disturb} before each run, and compares bits with the first run. */
    void checkBitsRepeat(int runs, IntConsumer disturb) {
        for (Epilogue epilogue : epilogues()) {
            if (canBeSkinny()) {
                checkBitsRepeat("skinny " + epilogue, epilogue, runs, disturb, () -> gemm.skinny().launch(gpu.stream(),
                        deviceX, deviceXScale, m, weight, epilogue, false, out));
            }
            if (canBeNarrow()) {
                checkBitsRepeat("narrow " + epilogue, epilogue, runs, disturb, () -> gemm.narrow().launch(gpu.stream(),
                        deviceX, deviceXScale, m, weight, epilogue, false, out));
            }
            GemmProblem problem = Int4Fp8Gemm.problem(m, weight, epilogue, false, out);
            for (GemmPlan plan : GemmHeuristics.candidates(problem, nSms())) {
                checkBitsRepeat(plan.config().describe() + " " + epilogue, epilogue, runs, disturb, () -> gemm.fast().launch(
                        gpu.stream(), deviceX, deviceXScale, m, weight, plan, out));
            }
        }
    }

    private void checkBitsRepeat(String kernel, Epilogue epilogue, int runs, IntConsumer disturb, Runnable launch) {
        byte[] first = null;
        for (int run = 0; run < runs; run++) {
            prepareOut(epilogue);
            disturb.accept(run);
            launch.run();
            gpu.context().synchronize();
            byte[] bytes = gpu.bytes(out);
            first = first == null ? bytes : first;
            Comparer.identical("run %d of %s, m=%d, %s".formatted(run, kernel, m, random), new int[] {bytes.length},
                    bytes, first);
        }
    }

    @Override
    public void close() {
        weight.close();
        gemm.close();
    }
}
