package io.fireq.kernels.bench;

import io.fireq.kernels.attention.Fp8PrefillAttention;
import io.fireq.kernels.attention.Int4KvDecodeAttention;
import io.fireq.kernels.attention.PagedKv;
import io.fireq.kernels.attention.PagedKvLayout;
import io.fireq.kernels.attention.PlainPagedAttention;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaProbe;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Seeded;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.IntConsumer;

/**
 * Times prefill and decode attention. Each shape is first compared with {@link PlainPagedAttention} on the last tokens of
 * its last sequence. Decode goes round copies of the cache that together exceed L2 many times. Prints the
 * median and the spread of the samples, or FAILED and the difference; after
 * a failure the exit code is 1.
 *
 * <p>Arguments: {@code prefill}, {@code decode}, or nothing for both; then one shape alone: head dim, sequences, tokens and,
 * for prefill, tokens that are in the cache already.
 */
final class AttentionBench implements AutoCloseable {
    private static final int N_HEADS = 32;
    private static final int N_KV_HEADS = 8;
    private static final int KV_BLOCK_SIZE = 16;
    private static final int CHECKED_TOKENS = 16;
    private static final double MAX_RMS = 0.05;
    /** What the tensor core cuts off a running sum at each 32 positions; values of mean 0 leave nothing else. */
    private static final double CUT_OFF = 0x1p-13;
    private static final int PATTERN_BYTES = 1 << 20;
    private static final double MILLIS = 100;

    private final CudaContext context = CudaContext.open(CudaProbe.probe().device().orElseThrow(
            () -> new IllegalStateException(CudaProbe.probe().reason())));
    private final CudaStream stream = context.newStream();
    private final Seeded random = Seeded.fresh("AttentionBench");
    private final BenchBuffers buffers = new BenchBuffers(context);
    private boolean failed;

    public static void main(String[] args) {
        boolean failed;
        try (AttentionBench bench = new AttentionBench()) {
            System.out.printf("%s, %d SMs; n_heads=%d n_kv_heads=%d kv_block_size=%d%n", bench.context.device().describe(),
                    bench.context.device().nSms(), N_HEADS, N_KV_HEADS, KV_BLOCK_SIZE);
            if (args.length > 1) {
                bench.one(args[0], Arrays.stream(args).skip(1).mapToInt(Integer::parseInt).toArray());
            } else {
                bench.all(args.length == 0 ? "prefill and decode" : args[0]);
            }
            failed = bench.failed;
        }
        if (failed) {
            System.exit(1);
        }
    }

    private void one(String what, int[] shape) {
        if (what.equals("prefill")) {
            prefill(shape[0], shape[1], shape[2], shape.length > 3 ? shape[3] : 0);
        } else {
            decode(shape[0], shape[1], shape[2]);
        }
    }

    private void all(String what) {
        if (what.contains("prefill")) {
            for (int headDim : new int[] {128, 64}) {
                for (int[] shape : new int[][] {{16, 1024}, {1, 2048}, {4, 4096}, {1, 8192}, {1, 32768}}) {
                    prefill(headDim, shape[0], shape[1], 0);
                }
                prefill(headDim, 1, 512, 8192 - 512);
            }
        }
        if (what.contains("decode")) {
            for (int headDim : new int[] {128, 64}) {
                for (int nSeqs : new int[] {1, 16, 64}) {
                    for (int kvLen : new int[] {1024, 4096}) {
                        decode(headDim, nSeqs, kvLen);
                    }
                }
            }
            decode(128, 1, 131_072);
        }
    }

    private void prefill(int headDim, int nSeqs, int nNew, int prefix) {
        int kvLen = prefix + nNew;
        int nTokens = nSeqs * nNew;
        PagedKv cache = cache(headDim, nSeqs * kvLen / KV_BLOCK_SIZE);
        int maxKvBlocks = kvLen / KV_BLOCK_SIZE;
        DeviceBuffer blockTables = buffers.ints("block tables", random.permutation(nSeqs * maxKvBlocks));
        DeviceBuffer query = buffers.pattern("query", (long) nTokens * N_HEADS * headDim, random.e4m3(PATTERN_BYTES, 120));
        DeviceBuffer queryScale = buffers.floats("query scale", random.floats(nTokens * N_HEADS, 0.01, 0.002));
        DeviceBuffer out = buffers.allocate("out", 2L * nTokens * N_HEADS * headDim);
        int[] cuSeqlens = new int[nSeqs + 1];
        int[] kvLens = new int[nSeqs];
        for (int s = 0; s < nSeqs; s++) {
            cuSeqlens[s + 1] = (s + 1) * nNew;
            kvLens[s] = kvLen;
        }
        try (Fp8PrefillAttention prefill = new Fp8PrefillAttention(context, cache.layout(), N_HEADS, nTokens, nSeqs,
                nSeqs * kvLen)) {
            prefill.prepare(stream, cuSeqlens, kvLens);
            Runnable launch = () -> prefill.launch(stream, query, queryScale, cache, blockTables, maxKvBlocks, out);
            out.fillAsync(stream, (byte) 0xff);
            launch.run();
            double error = compare(headDim, nTokens, kvLen, query, queryScale, cache,
                    blockTables.slice(4L * (nSeqs - 1) * maxKvBlocks, 4L * maxKvBlocks, "last"), maxKvBlocks, out);
            if (isWrong(error, kvLen, "prefill d%d %d x %d after %d".formatted(headDim, nSeqs, nNew, prefix))) {
                return;
            }
            LaunchTimer.Timing timing = time(i -> launch.run());
            double scores = nSeqs * ((double) nNew * prefix + nNew * (nNew + 1.0) / 2);
            double flops = 4.0 * headDim * N_HEADS * scores;
            System.out.printf(Locale.ROOT, "prefill d%-3d %2d x %5d%-12s %9.1f us  %7.1f TFLOP/s  (%s, error %.1e)%n", headDim,
                    nSeqs, nNew, prefix == 0 ? "" : " after " + prefix, timing.median(), flops / timing.median() * 1e-6,
                    spread(timing), error);
        } finally {
            buffers.close();
        }
    }

    private void decode(int headDim, int nSeqs, int kvLen) {
        int maxKvBlocks = kvLen / KV_BLOCK_SIZE;
        int blocks = nSeqs * maxKvBlocks;
        int copies = Math.max(1, 16_384 / blocks);
        PagedKv cache = cache(headDim, copies * blocks);
        DeviceBuffer blockTables = buffers.ints("block tables", random.permutation(copies * blocks));
        DeviceBuffer query = buffers.pattern("query", (long) nSeqs * N_HEADS * headDim, random.e4m3(PATTERN_BYTES, 120));
        DeviceBuffer queryScale = buffers.floats("query scale", random.floats(nSeqs * N_HEADS, 0.01, 0.002));
        DeviceBuffer out = buffers.allocate("out", 2L * nSeqs * N_HEADS * headDim);
        int[] counts = new int[nSeqs + 1];
        Arrays.setAll(counts, i -> i);
        int[] last = new int[nSeqs];
        Arrays.fill(last, kvLen - 1);
        DeviceBuffer cuSeqlens = buffers.ints("cu_seqlens", counts);
        DeviceBuffer positions = buffers.ints("positions", last);
        DeviceBuffer[] tables = new DeviceBuffer[copies];
        for (int i = 0; i < copies; i++) {
            tables[i] = blockTables.slice(4L * i * blocks, 4L * blocks, "copy " + i);
        }
        try (Int4KvDecodeAttention decode = new Int4KvDecodeAttention(context, stream, cache.layout(), N_HEADS, nSeqs,
                nSeqs, kvLen)) {
            IntConsumer launch = i -> decode.launch(stream, query, queryScale, cache, positions, cuSeqlens, tables[i % copies],
                    nSeqs, nSeqs, maxKvBlocks, 1, kvLen, out);
            out.fillAsync(stream, (byte) 0xff);
            launch.accept(0);
            DeviceBuffer expected = buffers.allocate("expected", out.byteSize());
            new PlainPagedAttention(context).launch(stream, query, queryScale, cache, positions, cuSeqlens, tables[0], nSeqs,
                    nSeqs, maxKvBlocks, N_HEADS, expected);
            double error = rms(out, expected);
            if (isWrong(error, kvLen, "decode d%d %d x %d".formatted(headDim, nSeqs, kvLen))) {
                return;
            }
            LaunchTimer.Timing timing = time(launch);
            double bytes = (double) nSeqs * kvLen * N_KV_HEADS * 2 * (headDim / 2 + 4);
            System.out.printf(Locale.ROOT, "decode  d%-3d %2d x %6d            %9.2f us  %7.1f GB/s     (%s, error %.1e)%n",
                    headDim, nSeqs, kvLen, timing.median(), bytes / timing.median() * 1e-3, spread(timing), error);
        } finally {
            buffers.close();
        }
    }

    /** Relative rms difference from the plain kernel on the last tokens of the last sequence. */
    private double compare(int headDim, int nTokens, int kvLen, DeviceBuffer query, DeviceBuffer queryScale, PagedKv cache,
            DeviceBuffer blockTable, int maxKvBlocks, DeviceBuffer out) {
        int first = nTokens - CHECKED_TOKENS;
        int[] positions = new int[CHECKED_TOKENS];
        Arrays.setAll(positions, i -> kvLen - CHECKED_TOKENS + i);
        long values = (long) CHECKED_TOKENS * N_HEADS * headDim;
        DeviceBuffer expected = buffers.allocate("expected", 2 * values);
        new PlainPagedAttention(context).launch(stream, query.slice((long) first * N_HEADS * headDim, values, "last query"),
                queryScale.slice(4L * first * N_HEADS, 4L * CHECKED_TOKENS * N_HEADS, "last scale"), cache,
                buffers.ints("positions", positions), buffers.ints("cu_seqlens", new int[] {0, CHECKED_TOKENS}), blockTable,
                CHECKED_TOKENS, 1, maxKvBlocks, N_HEADS, expected);
        return rms(out.slice(2L * first * N_HEADS * headDim, 2 * values, "last out"), expected);
    }

    private double rms(DeviceBuffer actual, DeviceBuffer expected) {
        short[] a = download(actual);
        short[] e = download(expected);
        double error = 0;
        double power = 0;
        for (int i = 0; i < a.length; i++) {
            double difference = Formats.fromBf16(a[i]) - Formats.fromBf16(e[i]);
            error += difference * difference;
            power += Formats.fromBf16(e[i]) * Formats.fromBf16(e[i]);
        }
        return Math.sqrt(error / power);
    }

    private boolean isWrong(double rms, int kvLen, String shape) {
        double most = MAX_RMS + CUT_OFF * kvLen / 32;
        boolean wrong = !(rms <= most);
        if (wrong) {
            failed = true;
            System.out.printf(Locale.ROOT, "%s  FAILED: relative rms error %.2e, at most %s is right; %s%n", shape, rms,
                    most, random);
        }
        return wrong;
    }

    private LaunchTimer.Timing time(IntConsumer launch) {
        return new LaunchTimer(context, stream).recorded(launch, MILLIS);
    }

    private static String spread(LaunchTimer.Timing timing) {
        return String.format(Locale.ROOT, "%.2f..%.2f us, n=%d", timing.low(), timing.high(), timing.samples());
    }

    private PagedKv cache(int headDim, int nKvBlocks) {
        PagedKvLayout layout = new PagedKvLayout(nKvBlocks, N_KV_HEADS, headDim, headDim, KV_BLOCK_SIZE);
        byte[] params = new byte[PATTERN_BYTES];
        ByteBuffer words = ByteBuffer.wrap(params).order(ByteOrder.LITTLE_ENDIAN);
        while (words.hasRemaining()) {
            words.putShort(Formats.f16(random.uniform(0.05f, 0.3f)));
            words.putShort(Formats.f16(Math.round(random.uniform(-0.5f, 15.5f))));
        }
        return new PagedKv(layout, buffers.pattern("k codes", layout.codeBytes(), random.bytes(PATTERN_BYTES)),
                buffers.pattern("k params", layout.paramBytes(), params),
                buffers.pattern("v codes", layout.codeBytes(), random.bytes(PATTERN_BYTES)),
                buffers.pattern("v params", layout.paramBytes(), params));
    }

    private short[] download(DeviceBuffer buffer) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(Math.toIntExact(buffer.byteSize())).order(ByteOrder.LITTLE_ENDIAN);
        buffer.download(0, bytes);
        short[] values = new short[bytes.capacity() / 2];
        bytes.asShortBuffer().get(values);
        return values;
    }

    @Override
    public void close() {
        buffers.close();
        stream.close();
        context.close();
    }
}
