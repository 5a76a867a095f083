package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.linalg.DeviceMatrix;
import io.fireq.kernels.linalg.F32Gemm;
import io.fireq.kernels.reference.FloatLayers;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * The unquantized model on an NVIDIA GPU, float32 throughout, for the quantizer to compare with: a batch is one window of
 * text from its beginning. It does not serve: there is no KV cache to go on from, and no logits.
 *
 * <p>One caller at a time, the thread that opened it. {@link #close} frees everything.
 */
public final class CudaFloatBackend implements Backend {
    private final CudaContext context;
    private final DeviceResources resources;
    private final CudaStream stream;
    private final DeviceMemory memory;
    private final WeightStaging staging;
    private final HostTransfer transfer;
    private final F32Gemm gemm;
    private final FloatLayers layers;
    private final ScratchBuffer gateUp;
    private final ScratchBuffer scores;
    private final Map<float[], DeviceBuffer> rotaryTables = new IdentityHashMap<>();
    private Batch batch;

    private CudaFloatBackend(DeviceResources resources) {
        this.resources = resources;
        context = resources.context();
        try {
            stream = resources.own(context.newStream());
            memory = resources.own(new DeviceMemory(context));
            staging = resources.own(new WeightStaging(context, stream));
            transfer = resources.own(new HostTransfer(context, stream));
            gemm = new F32Gemm(context);
            layers = new FloatLayers(context, gemm);
            gateUp = new ScratchBuffer(memory, stream, "gate and up", () -> {});
            scores = new ScratchBuffer(memory, stream, "attention scores", () -> {});
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /**
     * Opens device 0.
     *
     * @throws FireqException if there is no GPU to use, with the reason
     */
    public static CudaFloatBackend open() {
        return new CudaFloatBackend(DeviceResources.open("CUDA float32 backend"));
    }

    @Override
    public String description() {
        return "%s, float32".formatted(context.device().describe());
    }

    /** f32 rows; also what stands for quantized rows, for nothing is quantized. */
    private record FloatRows(int capacity, int width, int groups, DeviceBuffer values) implements Rows, QuantizedRows {}

    /** {@code [n, k]} f32. */
    private record FloatWeight(int n, int k, DeviceBuffer values) implements Weight {}

    /** K and V of the current window, {@code [nTokens, nKvHeads·headDim]} f32. */
    private record WindowCache(KvCacheSpec spec, DeviceBuffer key, DeviceBuffer value) implements KvCache {}

    @Override
    public Weight weight(List<WeightMatrix> rowBlocks) {
        int k = rowBlocks.get(0).k();
        List<float[]> values = new ArrayList<>();
        for (WeightMatrix block : rowBlocks) {
            if (!(block instanceof FloatMatrix matrix) || block.k() != k) {
                throw new IllegalArgumentException("CUDA float32 backend: '%s' [%d, %d] is not an unquantized matrix with k=%d"
                        .formatted(block.name(), block.n(), block.k(), k));
            }
            values.add(matrix.tensor().toFloats());
        }
        return floatWeight(values, k, Epilogue.NONE);
    }

    @Override
    public Weight floatWeight(List<float[]> rowBlocks, int k, Epilogue epilogue) {
        int n = rowBlocks.stream().mapToInt(block -> block.length / k).reduce(0, Math::addExact);
        DeviceBuffer values = memory.allocate("f32 weight [%d, %d]".formatted(n, k), (long) n * k * Float.BYTES);
        long at = 0;
        for (float[] block : rowBlocks) {
            staging.upload(values, at, block);
            at += (long) block.length * Float.BYTES;
        }
        return new FloatWeight(n, k, values);
    }

    @Override
    public void free(Weight weight) {
        stream.synchronize();
        memory.free(((FloatWeight) weight).values());
    }

    @Override
    public Vector vector(float[] values) {
        return new CudaVector(values.length, upload("vector [%d]".formatted(values.length), values));
    }

    @Override
    public Attention attention(AttentionSpec spec) {
        BackendChecks.attention(spec);
        if (spec.hadamardBlock() != 0) {
            throw new IllegalArgumentException("CUDA float32 backend: hadamardBlock is %d; there is nothing to round, so it must be 0"
                    .formatted(spec.hadamardBlock()));
        }
        DeviceBuffer cos = rotaryTables.computeIfAbsent(spec.cos(), table -> upload("cosines", table));
        DeviceBuffer sin = rotaryTables.computeIfAbsent(spec.sin(), table -> upload("sines", table));
        return new CudaAttention(spec, cos, sin, spec.kSmooth() == null ? null : upload("K smoothing", spec.kSmooth()));
    }

    private DeviceBuffer upload(String label, float[] values) {
        DeviceBuffer buffer = memory.allocate(label, (long) values.length * Float.BYTES);
        staging.upload(buffer, 0, values);
        return buffer;
    }

    @Override
    public KvCache kvCache(KvCacheSpec spec) {
        if (spec.format().kind() != KvFormat.Kind.FLOAT32 || spec.nLayers() != 1) {
            throw new IllegalArgumentException("CUDA float32 backend: a KV cache of %d layers in %s; it keeps one window of one layer in FLOAT32"
                    .formatted(spec.nLayers(), spec.format().kind()));
        }
        long bytes = (long) spec.nBlocks() * spec.kvBlockSize() * spec.nKvHeads() * spec.headDim() * Float.BYTES;
        return new WindowCache(spec, memory.allocate("keys", bytes), memory.allocate("values", bytes));
    }

    @Override
    public Rows rows(int capacity, int width) {
        return floatRows(capacity, width, 1);
    }

    @Override
    public QuantizedRows quantizedRows(int capacity, int width, int groups) {
        BackendChecks.groups(width, groups);
        return floatRows(capacity, width, groups);
    }

    private FloatRows floatRows(int capacity, int width, int groups) {
        return new FloatRows(capacity, width, groups,
                memory.allocate("f32 rows [%d, %d]".formatted(capacity, width), (long) capacity * width * Float.BYTES));
    }

    @Override
    public void begin(Batch newBatch) {
        BackendChecks.batch(newBatch);
        if (newBatch.nSeqs() != 1 || newBatch.kvLens()[0] != newBatch.nTokens()) {
            throw new IllegalArgumentException("CUDA float32 backend: %d sequences with %d tokens; a batch is one window from its beginning"
                    .formatted(newBatch.nSeqs(), newBatch.nTokens()));
        }
        batch = newBatch;
    }

    @Override
    public void embed(Weight table, Rows out) {
        throw new UnsupportedOperationException(description() + " does not embed");
    }

    @Override
    public void rmsNormQuantize(Rows x, Vector weight, float epsilon, QuantizedRows out) {
        BackendChecks.norm(weight.size(), x.width());
        layers.rmsNorm(stream, rowsOf("rmsNormQuantize x", x, x.width()).values(), ((CudaVector) weight).values(), epsilon,
                batch.nTokens(), x.width(), quantizedOf("rmsNormQuantize out", out, x.width(), 1).values());
    }

    @Override
    public void quantize(Rows x, QuantizedRows out) {
        quantizedOf("quantize out", out, x.width(), 1).values().copyAsync(stream, 0,
                rowsOf("quantize x", x, x.width()).values(), 0, (long) batch.nTokens() * x.width() * Float.BYTES);
    }

    @Override
    public void linear(QuantizedRows x, Weight w, Epilogue epilogue, Rows out) {
        FloatWeight weight = (FloatWeight) w;
        BackendChecks.epilogue(weight, epilogue);
        boolean gated = epilogue == Epilogue.SILU_MUL;
        int nTokens = batch.nTokens();
        FloatRows input = quantizedOf("linear x", x, weight.k(), 1);
        FloatRows result = rowsOf("linear out", out, gated ? weight.n() / 2 : weight.n());
        DeviceBuffer target = gated ? gateUp.atLeast((long) nTokens * weight.n() * Float.BYTES) : result.values();
        gemm.launch(stream, 1, F32Gemm.plain(DeviceMatrix.of(input.values(), nTokens, weight.k())),
                F32Gemm.transposed(DeviceMatrix.of(weight.values(), weight.n(), weight.k())),
                epilogue == Epilogue.RESIDUAL_ADD, F32Gemm.Part.ALL, DeviceMatrix.of(target, nTokens, weight.n()),
                F32Gemm.Batch.ONE);
        if (gated) {
            layers.siluMul(stream, target, nTokens, weight.n() / 2, result.values());
        }
    }

    @Override
    public void ropeAppendKv(Rows qkv, Attention attention, KvCache cache, QuantizedRows query) {
        AttentionSpec spec = attention.spec();
        BackendChecks.cacheFits("ropeAppendKv", cache.spec(), spec);
        BackendChecks.slots(batch, cache.spec(), spec);
        CudaAttention constants = (CudaAttention) attention;
        WindowCache window = (WindowCache) cache;
        FloatRows input = rowsOf("ropeAppendKv qkv", qkv, (spec.nHeads() + 2 * spec.nKvHeads()) * spec.headDim());
        FloatRows target = quantizedOf("ropeAppendKv query", query, spec.nHeads() * spec.headDim(), spec.nHeads());
        layers.rope(stream, input.values(), constants.cos(), constants.sin(), constants.kSmooth(), batch.nTokens(),
                heads(spec), target.values(), window.key(), window.value());
    }

    @Override
    public void attention(QuantizedRows query, Attention attention, KvCache cache, Rows out) {
        AttentionSpec spec = attention.spec();
        BackendChecks.cacheFits("attention", cache.spec(), spec);
        int width = spec.nHeads() * spec.headDim();
        int nTokens = batch.nTokens();
        FloatRows input = quantizedOf("attention query", query, width, spec.nHeads());
        FloatRows target = rowsOf("attention out", out, width);
        WindowCache window = (WindowCache) cache;
        layers.attention(stream, input.values(), window.key(), window.value(), nTokens, heads(spec),
                scores.atLeast((long) spec.nHeads() * nTokens * nTokens * Float.BYTES), target.values());
    }

    private static FloatLayers.Heads heads(AttentionSpec spec) {
        return new FloatLayers.Heads(spec.nHeads(), spec.nKvHeads(), spec.headDim());
    }

    @Override
    public Logits logits(Rows hidden, Vector normWeight, float epsilon, Weight head) {
        throw new UnsupportedOperationException(description() + " has no logits");
    }

    @Override
    public void read(Rows rows, int nRows, float[] target) {
        transfer.download(((FloatRows) rows).values(), nRows * rows.width(), target);
    }

    @Override
    public void read(QuantizedRows rows, int nRows, float[] target) {
        transfer.download(((FloatRows) rows).values(), nRows * rows.width(), target);
    }

    @Override
    public void write(float[] source, int nRows, Rows rows) {
        staging.upload(((FloatRows) rows).values(), 0, source, 0, nRows * rows.width());
    }

    private FloatRows rowsOf(String what, Rows rows, int width) {
        BackendChecks.rows(what, batch, rows, width);
        return (FloatRows) rows;
    }

    private FloatRows quantizedOf(String what, QuantizedRows rows, int width, int groups) {
        BackendChecks.quantizedRows(what, batch, rows, width, groups);
        return (FloatRows) rows;
    }

    @Override
    public void close() {
        resources.close();
    }
}
