package io.fireq.engine.backend.cpu.bench;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.TestMatrices;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Speed of the CPU backend on the layers of Llama-3.2-1B, for each kind of kernels: GMAC/s of every operation and the
 * tokens per second of a whole model of them. Weights rotate through all sixteen layers, more than the caches hold.
 *
 * <p>Arguments: threads (default: all processors), runs of which the best counts (default 5), kernels (default both).
 */
final class CpuKernelBench {
    private static final int HIDDEN = 2048;
    private static final int FFN = 8192;
    private static final int LAYERS = 16;
    private static final int HEADS = 32;
    private static final int KV_HEADS = 8;
    private static final int HEAD_DIM = 64;
    private static final int VOCAB = 128_256;
    private static final int BLOCK = 16;
    private static final long WARM_UP_NANOS = 1_000_000_000;
    private static final long RUN_NANOS = 100_000_000;

    private final Backend backend;
    private final int threads;
    private final int runs;
    private final List<Backend.Weight> qkv = new ArrayList<>();
    private final List<Backend.Weight> o = new ArrayList<>();
    private final List<Backend.Weight> gateUp = new ArrayList<>();
    private final List<Backend.Weight> down = new ArrayList<>();
    private final Backend.Weight head;
    private final Backend.Vector norm;

    private CpuKernelBench(Backend backend, int threads, int runs) {
        this.backend = backend;
        this.threads = threads;
        this.runs = runs;
        for (int layer = 0; layer < LAYERS; layer++) {
            qkv.add(int4((HEADS + 2 * KV_HEADS) * HEAD_DIM, HIDDEN, 4 * layer));
            o.add(int4(HIDDEN, HEADS * HEAD_DIM, 4 * layer + 1));
            gateUp.add(int4(2 * FFN, HIDDEN, 4 * layer + 2));
            down.add(int4(HIDDEN, FFN, 4 * layer + 3));
        }
        head = backend.weight(List.<WeightMatrix>of(TestMatrices.e4m3(VOCAB, HIDDEN, 99)));
        norm = backend.vector(TestMatrices.bf16Values(HIDDEN, 1));
    }

    private Backend.Weight int4(int n, int k, int seed) {
        return backend.weight(
                List.<WeightMatrix>of(TestMatrices.int4(n, k, 128, Int4Matrix.integers(), seed)));
    }

    public static void main(String[] args) throws IOException {
        int threads = args.length > 0 ? Integer.parseInt(args[0]) : 0;
        int runs = args.length > 1 ? Integer.parseInt(args[1]) : 5;
        List<CpuKernelChoice> choices = args.length > 2
                ? List.of(CpuKernelChoice.valueOf(args[2]))
                : List.of(CpuKernelChoice.PLAIN, CpuKernelChoice.VECTOR);
        System.out.printf("%s, %d processors; JDK %s (%s); best of %d runs, %s%n", cpuModel(),
                Runtime.getRuntime().availableProcessors(), Runtime.version(), System.getProperty("java.vendor"), runs,
                threads == 1 ? "processor time" : "wall time");
        for (CpuKernelChoice choice : choices) {
            try (CpuBackend backend = CpuBackend.create(Numerics.QUANTIZED, threads, choice)) {
                System.out.printf("%n%s%n%-28s%10s%10s%12s%n", backend.description(), "operation", "tokens", "ms",
                        "GMAC/s");
                CpuKernelBench bench = new CpuKernelBench(backend, threads, runs);
                bench.report(1, 1);
                bench.report(1, 1024);
                bench.report(128, 128);
                bench.report(128, 1024);
            }
        }
    }

    /** Times every operation of a step with m new tokens of one sequence, after kvLen - m older ones. */
    private void report(int m, int kvLen) {
        int[] last = {m - 1};
        int nBlocks = (kvLen + BLOCK - 1) / BLOCK;
        Batch batch = new Batch(new int[m], IntStream.range(kvLen - m, kvLen).toArray(),
                IntStream.range(kvLen - m, kvLen).toArray(), new int[] {0, m}, new int[] {kvLen},
                new int[][] {IntStream.range(0, nBlocks).toArray()}, last);
        Backend.Rows hidden = backend.rows(m, HIDDEN);
        Backend.QuantizedRows x = backend.quantizedRows(m, HIDDEN, 1);
        Backend.Rows qkvRows = backend.rows(m, (HEADS + 2 * KV_HEADS) * HEAD_DIM);
        Backend.QuantizedRows query = backend.quantizedRows(m, HEADS * HEAD_DIM, HEADS);
        Backend.Rows attended = backend.rows(m, HEADS * HEAD_DIM);
        Backend.Rows ffn = backend.rows(m, FFN);
        Backend.QuantizedRows ffnX = backend.quantizedRows(m, FFN, 1);
        float[] angles = new float[kvLen * HEAD_DIM / 2];
        Arrays.fill(angles, 0.7f);
        Backend.Attention attention =
                backend.attention(new AttentionSpec(0, HEADS, KV_HEADS, HEAD_DIM, angles, angles, null, 0));
        Backend.KvCache cache = backend.kvCache(
                new KvCacheSpec(1, KV_HEADS, HEAD_DIM, nBlocks, BLOCK, new KvFormat(KvFormat.Kind.ASYMMETRIC, 64)));
        backend.begin(batch);
        backend.embed(backend.weight(List.<WeightMatrix>of(TestMatrices.bf16(1, HIDDEN, 5))), hidden);

        System.out.printf("with %d of %d tokens%n", m, kvLen);
        time("norm, quantize", m, 0, () -> backend.rmsNormQuantize(hidden, norm, 1e-5f, x));
        time("linear qkv", m, (long) qkvRows.width() * HIDDEN,
                () -> backend.linear(x, next(qkv), Epilogue.NONE, qkvRows));
        time("rope, append", m, 0, () -> backend.ropeAppendKv(qkvRows, attention, cache, query));
        time("attention", m, 2L * HEADS * HEAD_DIM * (kvLen - m / 2),
                () -> backend.attention(query, attention, cache, attended));
        time("quantize", m, 0, () -> backend.quantize(attended, x));
        time("linear o, residual", m, (long) HIDDEN * HIDDEN,
                () -> backend.linear(x, next(o), Epilogue.RESIDUAL_ADD, hidden));
        time("linear gate up, SiLU", m, 2L * FFN * HIDDEN,
                () -> backend.linear(x, next(gateUp), Epilogue.SILU_MUL, ffn));
        time("quantize ffn", m, 0, () -> backend.quantize(ffn, ffnX));
        time("linear down, residual", m, (long) HIDDEN * FFN,
                () -> backend.linear(ffnX, next(down), Epilogue.RESIDUAL_ADD, hidden));
        time("logits, e4m3 head, 1 row", 1, (long) VOCAB * HIDDEN, () -> backend.logits(hidden, norm, 1e-5f, head));
        double step = time("whole model", m, 0, () -> {
            for (int layer = 0; layer < LAYERS; layer++) {
                backend.rmsNormQuantize(hidden, norm, 1e-5f, x);
                backend.linear(x, qkv.get(layer), Epilogue.NONE, qkvRows);
                backend.ropeAppendKv(qkvRows, attention, cache, query);
                backend.attention(query, attention, cache, attended);
                backend.quantize(attended, x);
                backend.linear(x, o.get(layer), Epilogue.RESIDUAL_ADD, hidden);
                backend.rmsNormQuantize(hidden, norm, 1e-5f, x);
                backend.linear(x, gateUp.get(layer), Epilogue.SILU_MUL, ffn);
                backend.quantize(ffn, ffnX);
                backend.linear(ffnX, down.get(layer), Epilogue.RESIDUAL_ADD, hidden);
            }
            backend.logits(hidden, norm, 1e-5f, head);
        });
        System.out.printf("%50s%12.1f tok/s%n", "", m / step);
    }

    private int turn;

    private Backend.Weight next(List<Backend.Weight> layers) {
        return layers.get(turn++ % layers.size());
    }

    /** Seconds of one call, the best of the runs; a run lasts 0.1 s or one call, the warm-up before them 1 s. */
    private double time(String what, int m, long macsPerToken, Runnable call) {
        double best = Double.POSITIVE_INFINITY;
        for (int run = 0; run <= runs; run++) {
            long begin = clock();
            long end = begin;
            int calls = 0;
            while (calls == 0 || end - begin < (run == 0 ? WARM_UP_NANOS : RUN_NANOS)) {
                call.run();
                calls++;
                end = clock();
            }
            if (run > 0) {
                best = Math.min(best, (end - begin) * 1e-9 / calls);
            }
        }
        System.out.printf("%-28s%10d%10.3f%12s%n", what, m, best * 1e3,
                macsPerToken == 0 ? "" : "%.2f".formatted(macsPerToken * m / best * 1e-9));
        return best;
    }

    /** One thread is timed by its processor time, which other work on the machine does not change; several by the clock. */
    private long clock() {
        return threads == 1 ? ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() : System.nanoTime();
    }

    private static String cpuModel() throws IOException {
        Path info = Path.of("/proc/cpuinfo");
        if (!Files.isReadable(info)) {
            return System.getProperty("os.arch");
        }
        return Files.readAllLines(info).stream().filter(line -> line.startsWith("model name"))
                .map(line -> line.substring(line.indexOf(':') + 2)).findFirst().orElse(System.getProperty("os.arch"));
    }
}
