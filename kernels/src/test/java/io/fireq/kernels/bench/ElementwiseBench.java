package io.fireq.kernels.bench;

import io.fireq.kernels.attention.PagedKv;
import io.fireq.kernels.attention.PagedKvLayout;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaProbe;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.elementwise.QuantizeRows;
import io.fireq.kernels.elementwise.RmsNormQuantize;
import io.fireq.kernels.elementwise.RopeAppendKv;
import io.fireq.kernels.testing.Seeded;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import java.util.function.IntConsumer;

/**
 * Times what lies between the linear layers, at the shapes of Llama-3-8B, beside the time that its bytes take at the
 * memory's clock. Launches go round buffers that together exceed L2. No arguments.
 */
final class ElementwiseBench implements AutoCloseable {
    private static final int N_HEADS = 32;
    private static final int N_KV_HEADS = 8;
    private static final int HEAD_DIM = 128;
    private static final int KV_BLOCK_SIZE = 16;
    private static final int MAX_POSITION = 16_384;
    private static final int PATTERN = 1 << 20;
    private static final long BEYOND_L2 = 256L << 20;
    private static final int MAX_COPIES = 64;
    private static final double MILLIS = 100;

    private final CudaContext context = CudaContext.open(CudaProbe.probe().device().orElseThrow(
            () -> new IllegalStateException(CudaProbe.probe().reason())));
    private final CudaStream stream = context.newStream();
    private final Seeded random = Seeded.fresh("ElementwiseBench");
    private final BenchBuffers buffers = new BenchBuffers(context);

    public static void main(String[] args) {
        try (ElementwiseBench bench = new ElementwiseBench()) {
            System.out.printf(Locale.ROOT, "%s, %d SMs, %.2f TB/s%n", bench.context.device().describe(),
                    bench.context.device().nSms(), bench.context.device().peakBytesPerSecond() * 1e-12);
            bench.rmsNorm(16_384, 4096);
            bench.quantizeRows(16_384, 14_336);
            bench.quantizeRows(16_384, 4096);
            bench.rope(16_384, false, 0);
            bench.rope(16_384, true, 0);
            bench.rope(16_384, false, HEAD_DIM);
            for (int nTokens : new int[] {1, 16, 64}) {
                bench.rmsNorm(nTokens, 4096);
                bench.quantizeRows(nTokens, 14_336);
                bench.quantizeRows(nTokens, 4096);
                bench.rope(nTokens, false, 0);
                bench.rope(nTokens, true, 0);
            }
        }
    }

    private void rmsNorm(int nRows, int width) {
        long values = (long) nRows * width;
        double bytes = 3.0 * values + 4.0 * nRows + 4.0 * width;
        RmsNormQuantize kernel = new RmsNormQuantize(context);
        DeviceBuffer weight = buffers.floats("weight", random.floats(width, 1, 0.3));
        DeviceBuffer[] x = activations(values, bytes);
        DeviceBuffer[] out = copies("out", values, bytes);
        DeviceBuffer scale = buffers.allocate("out scale", 4L * nRows);
        print("rmsnorm_quantize", nRows + " x " + width, bytes, i -> kernel.launch(stream, x[i % x.length], weight, 1e-5f,
                nRows, width, out[i % out.length], scale));
    }

    private void quantizeRows(int nRows, int width) {
        long values = (long) nRows * width;
        double bytes = 3.0 * values + 4.0 * nRows;
        QuantizeRows kernel = new QuantizeRows(context);
        DeviceBuffer[] x = activations(values, bytes);
        DeviceBuffer[] out = copies("out", values, bytes);
        DeviceBuffer scale = buffers.allocate("out scale", 4L * nRows);
        print("quantize_rows", nRows + " x " + width, bytes, i -> kernel.launch(stream, x[i % x.length], nRows, width,
                out[i % out.length], scale));
    }

    private void rope(int nTokens, boolean isSmoothed, int hadamardBlock) {
        int nAllHeads = N_HEADS + 2 * N_KV_HEADS;
        long values = (long) nTokens * nAllHeads * HEAD_DIM;
        double bytes = 2.0 * values + nTokens * (N_HEADS * (HEAD_DIM + 4.0) + 2 * N_KV_HEADS * (HEAD_DIM / 2 + 4.0));
        int blocks = (nTokens + KV_BLOCK_SIZE - 1) / KV_BLOCK_SIZE;
        PagedKvLayout layout = new PagedKvLayout(blocks, N_KV_HEADS, HEAD_DIM, HEAD_DIM, KV_BLOCK_SIZE);
        DeviceBuffer[] qkv = activations(values, bytes);
        PagedKv[] caches = new PagedKv[qkv.length];
        for (int i = 0; i < caches.length; i++) {
            caches[i] = new PagedKv(layout, buffers.allocate("k codes", layout.codeBytes()),
                    buffers.allocate("k params", layout.paramBytes()), buffers.allocate("v codes", layout.codeBytes()),
                    buffers.allocate("v params", layout.paramBytes()));
        }
        DeviceBuffer[] query = copies("query", (long) nTokens * N_HEADS * HEAD_DIM, bytes);
        DeviceBuffer queryScale = buffers.allocate("query scale", 4L * nTokens * N_HEADS);
        int[] positions = new int[nTokens];
        for (int t = 0; t < nTokens; t++) {
            positions[t] = t % MAX_POSITION;
        }
        DeviceBuffer position = buffers.ints("positions", positions);
        DeviceBuffer slot = buffers.ints("slots", positions);
        DeviceBuffer cos = buffers.floats("cos", angles(true));
        DeviceBuffer sin = buffers.floats("sin", angles(false));
        DeviceBuffer kSmooth = isSmoothed ? buffers.floats("k smooth", random.floats(N_KV_HEADS * HEAD_DIM, 1, 0.1)) : null;
        RopeAppendKv kernel = new RopeAppendKv(context);
        String what = "rope_append_kv" + (isSmoothed ? ", smoothed" : "") + (hadamardBlock > 0 ? ", turned" : "");
        print(what, nTokens + " tokens", bytes, i -> kernel.launch(stream, false, qkv[i % qkv.length], position, slot, cos,
                sin, kSmooth, hadamardBlock, nTokens, N_HEADS, caches[i % caches.length], query[i % query.length],
                queryScale));
    }

    private static float[] angles(boolean isCos) {
        int half = HEAD_DIM / 2;
        float[] values = new float[MAX_POSITION * half];
        for (int i = 0; i < values.length; i++) {
            double angle = (i / half) * Math.pow(500_000, -2.0 * (i % half) / HEAD_DIM);
            values[i] = (float) (isCos ? Math.cos(angle) : Math.sin(angle));
        }
        return values;
    }

    private void print(String what, String shape, double bytes, IntConsumer launch) {
        LaunchTimer.Timing timing = time(launch);
        double floor = 1e6 * bytes / context.device().peakBytesPerSecond();
        System.out.printf(Locale.ROOT, "%-26s %-15s %9.2f us  (%.2f..%.2f)  bytes alone %8.2f us, %5.1f %%%n", what, shape,
                timing.median(), timing.low(), timing.high(), floor, 100 * floor / timing.median());
        buffers.close();
    }

    private LaunchTimer.Timing time(IntConsumer launch) {
        return new LaunchTimer(context, stream).recorded(launch, MILLIS);
    }

    private DeviceBuffer[] activations(long values, double bytesOfLaunch) {
        DeviceBuffer[] copies = new DeviceBuffer[copiesBeyondL2(bytesOfLaunch)];
        ByteBuffer pattern = ByteBuffer.allocate(2 * PATTERN).order(ByteOrder.LITTLE_ENDIAN);
        pattern.asShortBuffer().put(random.bf16(PATTERN, 2));
        for (int i = 0; i < copies.length; i++) {
            copies[i] = buffers.pattern("activations", 2 * values, pattern.array());
        }
        return copies;
    }

    private DeviceBuffer[] copies(String label, long byteSize, double bytesOfLaunch) {
        DeviceBuffer[] copies = new DeviceBuffer[copiesBeyondL2(bytesOfLaunch)];
        for (int i = 0; i < copies.length; i++) {
            copies[i] = buffers.allocate(label, byteSize);
        }
        return copies;
    }

    /** Small ones stay in L2 after all, as in a step of decoding, where a linear layer has just written them. */
    private static int copiesBeyondL2(double bytesOfLaunch) {
        return (int) Math.max(1, Math.min(MAX_COPIES, Math.ceil(BEYOND_L2 / bytesOfLaunch)));
    }

    @Override
    public void close() {
        buffers.close();
        stream.close();
        context.close();
    }
}
