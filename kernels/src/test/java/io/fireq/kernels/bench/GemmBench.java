package io.fireq.kernels.bench;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaDevice;
import io.fireq.kernels.cuda.CudaProbe;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.gemm.Gemm;
import io.fireq.kernels.gemm.GemmBenchCase;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Times linear layers on the device and prints a table. Arguments, all optional and in any order:
 *
 * <pre>
 * n=28672,4096      only these output sizes            m=1,16,4096    only these token counts
 * k=4096            only these input sizes             all            every kernel, not only the chosen one
 * bits=8            e4m3 weights                       seconds=0.2    time spent on each line
 * seed=7            contents
 * </pre>
 *
 * The roofline is the larger of the bytes (weight, activations, output) at {@code HBM_TB_PER_S} and the operations at
 * {@code FP8_TFLOP_PER_S}; a line marked with a star is what the heuristics choose.
 */
public final class GemmBench {
    private static final double H200_HBM_TB_PER_S = 4.66;
    private static final double H100_HBM_TB_PER_S = 3.0;
    private static final double FP8_TFLOP_PER_S = 1340;
    private static final int[][] SHAPES = {
        // n, k, gated
        {6144, 4096, 0}, {4096, 4096, 0}, {28672, 4096, 1}, {4096, 14336, 0}, {28672, 4096, 0},
        {12288, 4096, 0}, {22016, 4096, 1}, {4096, 11008, 0},
    };
    private static final int[] TOKENS = {1, 16, 64, 256, 1024, 4096, 16384};
    private static final int DEFAULT_SHAPES = 4;
    private static final int MAX_VERIFIED_TOKENS = 300;

    private GemmBench() {}

    public static void main(String[] args) {
        List<Integer> ns = numbers(args, "n=");
        List<Integer> ks = numbers(args, "k=");
        List<Integer> ms = numbers(args, "m=");
        int bits = numbers(args, "bits=").isEmpty() ? 4 : numbers(args, "bits=").get(0);
        long seed = numbers(args, "seed=").isEmpty() ? System.nanoTime() & 0xffff : numbers(args, "seed=").get(0);
        boolean all = List.of(args).contains("all");
        double millis = 1000 * Double.parseDouble(value(args, "seconds=", "0.15"));
        CudaDevice device = CudaProbe.probe().device()
                .orElseThrow(() -> new IllegalStateException("No GPU: " + CudaProbe.probe().reason()));
        double hbm = device.name().contains("H200") ? H200_HBM_TB_PER_S : H100_HBM_TB_PER_S;
        System.out.printf(Locale.ROOT, "%s, %d SMs, seed %d, roofline %.2f TB/s and %.0f TFLOP/s%n", device.describe(),
                device.nSms(), seed, hbm, FP8_TFLOP_PER_S);
        System.out.printf("%-14s %6s  %-36s %9s %9s %9s %9s %8s %7s%n", "n x k", "m", "tokens x rows", "us", "p10", "p90",
                "TFLOP/s", "GB/s", "roof");
        try (CudaContext context = CudaContext.open(device);
                CudaStream stream = context.newStream();
                Gemm gemm = new Gemm(context)) {
            int index = 0;
            for (int[] shape : SHAPES) {
                boolean listed = index++ < DEFAULT_SHAPES || !ns.isEmpty() || !ks.isEmpty();
                boolean gated = shape[2] == 1 && bits == 4;
                if (!listed || !ns.isEmpty() && !ns.contains(shape[0]) || !ks.isEmpty() && !ks.contains(shape[1])
                        || shape[2] == 1 && bits == 8) {
                    continue;
                }
                run(context, stream, gemm, shape[0], shape[1], gated, bits, ms, all, millis, hbm, seed);
            }
        }
    }

    private static void run(CudaContext context, CudaStream stream, Gemm gemm, int n, int k, boolean gated, int bits,
            List<Integer> ms, boolean all, double millis, double hbm, long seed) {
        List<Integer> tokens = new ArrayList<>();
        if (ms.isEmpty()) {
            for (int m : TOKENS) {
                tokens.add(m);
            }
        } else {
            tokens.addAll(ms);
        }
        int largest = tokens.stream().mapToInt(Integer::intValue).max().orElseThrow();
        try (GemmBenchCase bench = new GemmBenchCase(context, stream, gemm, bits, n, k, gated, largest, seed)) {
            for (int m : tokens) {
                if (m <= MAX_VERIFIED_TOKENS) {
                    double worst = bench.worstRelativeError(m);
                    if (!(worst < 0.2)) {
                        System.out.printf(Locale.ROOT, "%-14s %6d  WRONG: differs from plain_gemm by %.3f of the rms%n",
                                n + "x" + k, m, worst);
                        continue;
                    }
                }
                for (GemmBenchCase.Timing timing : bench.time(m, all, millis)) {
                    double flops = 2.0 * m * n * k;
                    double bytes = bench.weightBytes() + (double) m * k + 2.0 * m * (gated ? n / 2 : n);
                    double roof = Math.max(bytes / hbm * 1e-6, flops / FP8_TFLOP_PER_S * 1e-6);
                    System.out.printf(Locale.ROOT, "%-14s %6d  %-36s %9.2f %9.2f %9.2f %9.1f %8.0f %7.2f%n",
                            n + "x" + k + (gated ? "g" : ""), m, timing.kernel(), timing.micros(), timing.low(),
                            timing.high(), flops / timing.micros() * 1e-6, bytes / timing.micros() * 1e-3,
                            roof / timing.micros());
                }
            }
        }
    }

    private static List<Integer> numbers(String[] args, String key) {
        List<Integer> numbers = new ArrayList<>();
        String text = value(args, key, "");
        for (String part : text.split(",")) {
            if (!part.isBlank()) {
                numbers.add(Integer.parseInt(part.trim()));
            }
        }
        return numbers;
    }

    private static String value(String[] args, String key, String otherwise) {
        for (String arg : args) {
            if (arg.startsWith(key)) {
                return arg.substring(key.length());
            }
        }
        return otherwise;
    }
}
