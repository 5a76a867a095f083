package io.fireq.kernels.gemm;

import io.fireq.kernels.bench.LaunchTimer;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;

/** One weight shape for timing: enough copies of the packed weight that no launch finds it in L2. */
public final class GemmBenchCase implements AutoCloseable {
    private static final int L2_MULTIPLE = 3;
    private static final int GROUP_SIZE = 128;

    /**
     * A measurement.
     *
     * @param kernel   what ran
     * @param micros   median time of a launch
     * @param low      10th percentile
     * @param high     90th percentile
     */
    public record Timing(String kernel, double micros, double low, double high) {}

    private final CudaContext context;
    private final CudaStream stream;
    private final Gemm gemm;
    private final int n;
    private final int k;
    private final boolean gated;
    private final int maxTokens;
    private final List<GemmWeight> weights = new ArrayList<>();
    private final List<DeviceBuffer> buffers = new ArrayList<>();
    private final LinearWeight source;
    private final DeviceBuffer x;
    private final DeviceBuffer xScale;
    private final DeviceBuffer out;

    /** Allocates everything for up to {@code maxTokens} tokens; contents depend on the seed only. */
    public GemmBenchCase(CudaContext context, CudaStream stream, Gemm gemm, int bits, int n, int k, boolean gated,
            int maxTokens, long seed) {
        this.context = context;
        this.stream = stream;
        this.gemm = gemm;
        this.n = n;
        this.k = k;
        this.gated = gated;
        this.maxTokens = maxTokens;
        Random random = new Random(seed);
        DeviceBuffer codes = upload("codes", bits == 4 ? bytes(random, (long) n * k / 2) : e4m3(random, (long) n * k));
        DeviceBuffer rowScale = upload("rowScale", floats(n, 0.02f));
        source = bits == 4
                ? LinearWeight.int4("w", n, k, GROUP_SIZE, codes, upload("groupScale", scales(random, (long) n * k / GROUP_SIZE)),
                        rowScale, upload("values", values()))
                : LinearWeight.e4m3("w", n, k, codes, rowScale);
        weights.add(gemm.prepare(stream, source, gated));
        long wanted = (long) L2_MULTIPLE * context.device().l2Bytes();
        while (bits == 4 && weights.size() * weights.get(0).byteSize() < wanted) {
            weights.add(gemm.prepare(stream, source, gated));
        }
        x = upload("x", e4m3(random, (long) maxTokens * k));
        xScale = upload("xScale", floats(maxTokens, 0.01f));
        out = context.allocate("out", 4L * maxTokens * n);
        buffers.add(out);
    }

    private DeviceBuffer upload(String label, ByteBuffer bytes) {
        DeviceBuffer buffer = context.allocate(label, bytes.remaining());
        buffer.upload(0, bytes);
        buffers.add(buffer);
        return buffer;
    }

    private static ByteBuffer bytes(Random random, long count) {
        byte[] values = new byte[Math.toIntExact(count)];
        random.nextBytes(values);
        return ByteBuffer.wrap(values);
    }

    /** Any finite codes: random bits with one exponent bit cleared. */
    private static ByteBuffer e4m3(Random random, long count) {
        ByteBuffer values = bytes(random, count);
        for (int i = 0; i < values.limit(); i++) {
            values.put(i, (byte) (values.get(i) & 0xbf));
        }
        return values;
    }

    private static ByteBuffer scales(Random random, long count) {
        ByteBuffer values = bytes(random, count);
        for (int i = 0; i < values.limit(); i++) {
            values.put(i, (byte) (0x30 + (values.get(i) & 7)));
        }
        return values;
    }

    private static ByteBuffer floats(int count, float value) {
        ByteBuffer values = ByteBuffer.allocateDirect(count * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < count; i++) {
            values.putFloat(value);
        }
        return values.flip();
    }

    /** Of codes that are a sign and an index, as the quantizer makes them. */
    private static ByteBuffer values() {
        ByteBuffer values = ByteBuffer.allocateDirect(16 * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (int nibble = 0; nibble < 16; nibble++) {
            values.putFloat((nibble % 8 + 0.5f) * (nibble < 8 ? 1 : -1));
        }
        return values.flip();
    }

    private Epilogue epilogue() {
        return gated ? Epilogue.SILU_MUL : Epilogue.STORE;
    }

    /** Bytes of the weight that a launch reads. */
    public long weightBytes() {
        return weights.get(0).byteSize();
    }

    /** The kernel that the heuristics pick, or all that can serve the problem. */
    public List<Timing> time(int m, boolean all, double budgetMillis) {
        GemmProblem problem = Int4Fp8Gemm.problem(m, weights.get(0), epilogue(), false, out);
        int nSms = context.device().nSms();
        GemmPlan chosen = GemmHeuristics.choose(problem, nSms);
        List<GemmPlan> plans = all
                ? GemmHeuristics.candidates(problem, nSms).stream()
                        .filter(plan -> plan.micros() < 4 * chosen.micros()).toList()
                : List.of(chosen);
        List<Timing> timings = new ArrayList<>();
        if (m <= NarrowGemm.MAX_TOKENS && weights.get(0).bits() == 4) {
            timings.add(time(NarrowGemm.config(m, weights.get(0), epilogue(), false, nSms).describe() + " *", budgetMillis,
                    weight -> gemm.narrow().launch(stream, x, xScale, m, weight, epilogue(), false, out)));
            if (!all) {
                return timings;
            }
        }
        for (GemmPlan plan : plans) {
            timings.add(time(plan.config().describe() + (plan.equals(chosen) ? " *" : ""), budgetMillis,
                    weight -> gemm.fast().launch(stream, x, xScale, m, weight, plan, out)));
        }
        return timings;
    }

    /** Largest difference of the chosen kernel's result from {@link PlainGemm}'s, relative to the result's rms. */
    public double worstRelativeError(int m) {
        int nOut = gated ? n / 2 : n;
        long bytes = 2L * m * nOut;
        DeviceBuffer expected = out.slice(bytes, bytes, "plain");
        DeviceBuffer actual = out.slice(0, bytes, "fast");
        new PlainGemm(context).launch(stream, x, xScale, m, source, epilogue(), expected);
        gemm.launch(stream, x, xScale, m, weights.get(0), epilogue(), actual);
        stream.synchronize();
        ByteBuffer a = download(actual);
        ByteBuffer e = download(expected);
        double power = 0;
        double worst = 0;
        for (int i = 0; i < bytes; i += 2) {
            double want = Float.intBitsToFloat(e.getShort(i) << 16);
            double difference = Math.abs(Float.intBitsToFloat(a.getShort(i) << 16) - want);
            power += want * want;
            worst = difference > worst || Double.isNaN(difference) ? difference : worst;
        }
        return worst / Math.sqrt(power / (bytes / 2.0));
    }

    private static ByteBuffer download(DeviceBuffer buffer) {
        ByteBuffer host = ByteBuffer.allocateDirect(Math.toIntExact(buffer.byteSize())).order(ByteOrder.LITTLE_ENDIAN);
        buffer.download(0, host);
        return host;
    }

    /** Each launch takes the next copy of the weight. */
    private Timing time(String kernel, double budgetMillis, Consumer<GemmWeight> launch) {
        LaunchTimer.Timing timing = new LaunchTimer(context, stream).recorded(
                i -> launch.accept(weights.get(i % weights.size())), budgetMillis);
        return new Timing(kernel, timing.median(), timing.low(), timing.high());
    }

    /** Most tokens that buffers are for. */
    public int maxTokens() {
        return maxTokens;
    }

    @Override
    public void close() {
        weights.forEach(GemmWeight::close);
        buffers.forEach(DeviceBuffer::close);
    }
}
