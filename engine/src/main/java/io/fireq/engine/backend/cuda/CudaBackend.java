package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.backend.Hardware;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.Stopwatch;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.Chunks;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.kernels.DeviceException;
import io.fireq.kernels.bench.LaunchTimer;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaDevice;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The model's operations on an NVIDIA GPU, in one stream. A call checks its operands and queues kernels; waiting for the
 * device, and with it the news of a fault as {@link DeviceException}, comes with {@link Backend.Logits}.
 *
 * <p>With CUDA graphs, the operations of a decode step (one token per sequence) are collected instead, up to
 * {@link #logits}, which launches, records or replays them as a whole; the step is padded to a bucket of rows.
 * {@link #begin} launches what a step without logits left behind. Kernels read everything that changes between
 * such steps from the {@link StepInputs}.
 *
 * <p>One caller at a time, from any thread. {@link #close} frees everything.
 */
public final class CudaBackend implements Backend {
    private static final Logger LOG = LoggerFactory.getLogger(CudaBackend.class);
    /** Activations that a thread converts at a time. */
    private static final int HOST_CHUNK = 1 << 15;

    private final CudaContext context;
    private final boolean graphsWanted;
    private final DeviceResources resources;
    private final CudaStream stream;
    private final DeviceMemory memory;
    private final WeightStaging staging;
    private final WeightLoader weights;
    private final DecodeGraphs graphs;
    private final StepInputs inputs;
    private final StepOutputs outputs;
    private final LinearLayers linearLayers;
    private final Launchers launchers;
    private final Map<float[], DeviceBuffer> rotaryTables = new IdentityHashMap<>();
    private final List<Operation> collected = new ArrayList<>();
    /** What batches must pass for the collected operations. */
    private final List<Consumer<Batch>> checks = new ArrayList<>();
    private Object program;
    private Thread currentThread;
    private int smallestCapacity = Integer.MAX_VALUE;
    private List<CudaKvCache> caches = List.of();
    private Batch batch;
    private boolean collecting;
    private KvCacheSpec slotsCheckedFor;
    private KvCacheSpec tablesCheckedFor;
    private CudaLogits logits;
    private HostTransfer transfer;
    private boolean closed;

    private CudaBackend(DeviceResources resources, boolean graphsWanted) {
        this.resources = resources;
        context = resources.context();
        this.graphsWanted = graphsWanted;
        currentThread = Thread.currentThread();
        try {
            resources.own(this::reportLeaks);
            stream = resources.own(context.newStream());
            memory = resources.own(new DeviceMemory(context));
            staging = resources.own(new WeightStaging(context, stream));
            weights = new WeightLoader(memory, staging);
            graphs = resources.own(new DecodeGraphs(stream));
            inputs = resources.own(new StepInputs(context, stream, memory, graphs::clear));
            outputs = resources.own(new StepOutputs(context, stream, memory, graphs::clear));
            linearLayers = resources.own(new LinearLayers(context, stream));
            launchers = new Launchers(context, stream, linearLayers, resources.own(new PagedAttentionLayers(context, stream)));
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /**
     * Opens device 0.
     *
     * @param graphs whether decode steps are recorded and replayed
     * @throws FireqException if {@code numerics} is FLOAT32 or there is no GPU to use, with the reason
     */
    public static CudaBackend open(Numerics numerics, boolean graphs) {
        if (numerics != Numerics.QUANTIZED) {
            throw new FireqException("CUDA backend: numerics are %s, and the GPU runs QUANTIZED only; set the device to cpu"
                    .formatted(numerics));
        }
        return new CudaBackend(DeviceResources.open("CUDA backend"), graphs);
    }

    /** Such as "device 0 'NVIDIA H200' sm_90, 139 GB, CUDA graphs". */
    @Override
    public String description() {
        return "%s, %d GB%s".formatted(context.device().describe(), context.device().totalBytes() >> 30,
                graphsWanted ? ", CUDA graphs" : "");
    }

    @Override
    public OptionalLong freeBytes() {
        enter();
        return OptionalLong.of(context.freeBytes());
    }

    @Override
    public Optional<Hardware> hardware() {
        CudaDevice device = context.device();
        int version = device.driverVersion();
        return Optional.of(new Hardware(device.name(), "CUDA %d.%d".formatted(version / 1000, version % 1000 / 10),
                device.clockKHz() / 1e3, device.peakBytesPerSecond(), device.peakFp8FlopsPerSecond(), device.l2Bytes()));
    }

    @Override
    public Stopwatch stopwatch() {
        enter();
        return new CudaStopwatch(new LaunchTimer(context, stream), graphsWanted);
    }

    @Override
    public Weight weight(List<WeightMatrix> rowBlocks) {
        enter();
        CudaWeight weight = weights.load(rowBlocks);
        // An e4m3 weight keeps its order, so that one copy serves the embedding and the head of a tied model.
        return weight.linear() != null && weight.linear().bits() == 8 ? linearLayers.prepare(weight, false) : weight;
    }

    @Override
    public Weight weight(List<WeightMatrix> rowBlocks, Epilogue epilogue) {
        enter();
        CudaWeight loaded = weights.load(rowBlocks);
        if (loaded.linear() == null) {
            return loaded;
        }
        CudaWeight prepared = linearLayers.prepare(loaded, epilogue == Epilogue.SILU_MUL);
        if (prepared.linear() == null) {
            weights.free(loaded.linear());
        }
        return prepared;
    }

    @Override
    public void free(Weight weight) {
        enter();
        flush();
        stream.synchronize();
        CudaWeight freed = (CudaWeight) weight;
        if (freed.gemm() != null) {
            linearLayers.free(freed.gemm());
        }
        if (freed.linear() != null) {
            weights.free(freed.linear());
        }
        if (freed.table() != null) {
            memory.free(freed.table());
        }
    }

    @Override
    public Vector vector(float[] values) {
        enter();
        return new CudaVector(values.length, upload("vector [%d]".formatted(values.length), values));
    }

    @Override
    public Attention attention(AttentionSpec spec) {
        enter();
        BackendChecks.attention(spec);
        DeviceBuffer cos = rotaryTables.computeIfAbsent(spec.cos(), table -> upload("cosines", table));
        DeviceBuffer sin = rotaryTables.computeIfAbsent(spec.sin(), table -> upload("sines", table));
        DeviceBuffer kSmooth = spec.kSmooth() == null
                ? null
                : upload("K smoothing %d".formatted(spec.layer()), spec.kSmooth());
        return new CudaAttention(spec, cos, sin, kSmooth);
    }

    private DeviceBuffer upload(String label, float[] values) {
        DeviceBuffer buffer = memory.allocate(label, (long) values.length * Float.BYTES);
        staging.upload(buffer, 0, values);
        return buffer;
    }

    @Override
    public KvCache kvCache(KvCacheSpec spec) {
        enter();
        CudaKvCache cache = CudaKvCache.allocate(spec, memory, stream);
        List<CudaKvCache> all = new ArrayList<>(caches);
        all.add(cache);
        caches = List.copyOf(all);
        return cache;
    }

    @Override
    public Rows rows(int capacity, int width) {
        enter();
        smallestCapacity = Math.min(smallestCapacity, capacity);
        return new CudaRows(capacity, width,
                memory.allocate("bf16 rows [%d, %d]".formatted(capacity, width), 2L * capacity * width));
    }

    @Override
    public QuantizedRows quantizedRows(int capacity, int width, int groups) {
        enter();
        BackendChecks.groups(width, groups);
        smallestCapacity = Math.min(smallestCapacity, capacity);
        return new CudaQuantizedRows(capacity, width, groups,
                memory.allocate("e4m3 rows [%d, %d]".formatted(capacity, width), (long) capacity * width),
                memory.allocate("row scales [%d, %d]".formatted(capacity, groups),
                        (long) capacity * groups * Float.BYTES));
    }

    @Override
    public void begin(Batch newBatch) {
        enter();
        BackendChecks.batch(newBatch);
        flush();
        if (logits != null) {
            logits.stepOver = true;
            logits = null;
        }
        batch = newBatch;
        slotsCheckedFor = null;
        tablesCheckedFor = null;
        int bucket = DecodePadding.bucket(batch.nSeqs(), smallestCapacity);
        // With several caches it is not known yet which one the step would pad in.
        collecting = graphsWanted && DecodePadding.isDecode(batch) && DecodePadding.isRecorded(batch.nSeqs())
                && (bucket == batch.nSeqs() || bucket > batch.nSeqs() && caches.size() == 1);
        inputs.upload(collecting && bucket > batch.nSeqs() ? padded(bucket) : batch);
    }

    @Override
    public Logits step(Batch newBatch, Supplier<Logits> newProgram) {
        begin(newBatch);
        if (collecting) {
            DecodeGraphs.Step step = graphs.replay(inputs.layout(), newProgram, batch);
            if (step != null) {
                logits = new CudaLogits(outputs, batch.logitRows().length, batch.samplers().length, step.vocabSize());
                return logits;
            }
        }
        program = newProgram;
        try {
            return newProgram.get();
        } finally {
            program = null;
        }
    }

    private Batch padded(int bucket) {
        CudaKvCache cache = caches.get(0);
        return DecodePadding.pad(batch, bucket, cache.paddingBlock(), cache.spec().kvBlockSize());
    }

    /** Launches the operations of a step that has not come to its logits. */
    void flush() {
        launchCollected();
        forgetCollected();
    }

    private void forgetCollected() {
        collected.clear();
        checks.clear();
    }

    /** Applies to the batch, and to those of later steps that repeat this one. */
    private void check(Consumer<Batch> check) {
        check.accept(batch);
        if (collecting) {
            checks.add(check);
        }
    }

    private void launchCollected() {
        for (Operation operation : collected) {
            operation.launch(launchers, inputs);
        }
    }

    private void submit(Operation operation) {
        if (collecting) {
            collected.add(operation);
        } else if (batch.nTokens() > 0) {
            operation.launch(launchers, inputs);
        }
    }

    @Override
    public void embed(Weight table, Rows out) {
        CudaWeight weight = (CudaWeight) table;
        CudaRows target = rowsOf("embed out", out, weight.k());
        check(b -> BackendChecks.tokenIds(b, weight.n()));
        submit(new Operation.Embed(weight, target));
    }

    @Override
    public void rmsNormQuantize(Rows x, Vector weight, float epsilon, QuantizedRows out) {
        CudaRows input = rowsOf("rmsNormQuantize x", x, x.width());
        BackendChecks.norm(weight.size(), x.width());
        submit(new Operation.RmsNormQuantize(input, (CudaVector) weight, epsilon,
                quantizedOf("rmsNormQuantize out", out, x.width(), 1)));
    }

    @Override
    public void quantize(Rows x, QuantizedRows out) {
        submit(new Operation.Quantize(rowsOf("quantize x", x, x.width()),
                quantizedOf("quantize out", out, x.width(), 1)));
    }

    @Override
    public void linear(QuantizedRows x, Weight w, Epilogue epilogue, Rows out) {
        CudaWeight weight = (CudaWeight) w;
        weight.requireQuantized();
        BackendChecks.epilogue(weight, epilogue);
        int width = epilogue == Epilogue.SILU_MUL ? weight.n() / 2 : weight.n();
        submit(new Operation.Linear(quantizedOf("linear x", x, weight.k(), 1), weight, epilogue,
                rowsOf("linear out", out, width)));
    }

    @Override
    public void ropeAppendKv(Rows qkv, Attention attention, KvCache cache, QuantizedRows query) {
        AttentionSpec spec = attention.spec();
        CudaKvCache kv = cacheOf("ropeAppendKv", cache, spec);
        CudaRows input = rowsOf("ropeAppendKv qkv", qkv, (spec.nHeads() + 2 * spec.nKvHeads()) * spec.headDim());
        CudaQuantizedRows target =
                quantizedOf("ropeAppendKv query", query, spec.nHeads() * spec.headDim(), spec.nHeads());
        if (slotsCheckedFor != kv.spec()) { // once for all layers
            check(b -> BackendChecks.slots(b, kv.spec(), spec));
            slotsCheckedFor = kv.spec();
        }
        submit(new Operation.RopeAppendKv(input, (CudaAttention) attention, kv, target));
    }

    @Override
    public void attention(QuantizedRows query, Attention attention, KvCache cache, Rows out) {
        AttentionSpec spec = attention.spec();
        CudaKvCache kv = cacheOf("attention", cache, spec);
        int width = spec.nHeads() * spec.headDim();
        CudaQuantizedRows input = quantizedOf("attention query", query, width, spec.nHeads());
        CudaRows target = rowsOf("attention out", out, width);
        if (tablesCheckedFor != kv.spec()) {
            check(b -> BackendChecks.blockTables(b, kv.spec()));
            tablesCheckedFor = kv.spec();
        }
        submit(new Operation.Attend(input, (CudaAttention) attention, kv, target));
    }

    @Override
    public Logits logits(Rows hidden, Vector normWeight, float epsilon, Weight head) {
        CudaWeight weight = (CudaWeight) head;
        weight.requireQuantized();
        CudaRows input = rowsOf("logits hidden", hidden, weight.k());
        BackendChecks.norm(normWeight.size(), weight.k());
        check(BackendChecks::logitRows);
        int nLogits = batch.logitRows().length;
        if (nLogits > 0) {
            submit(new Operation.ComputeLogits(input, (CudaVector) normWeight, epsilon, weight, outputs));
        }
        if (collecting) {
            try {
                graphs.run(inputs.layout(), new DecodeGraphs.Step(program, collected, checks, weight.n()),
                        this::launchCollected);
            } finally {
                forgetCollected();
            }
        }
        logits = new CudaLogits(outputs, nLogits, batch.samplers().length, weight.n());
        return logits;
    }

    @Override
    public void read(Rows rows, int nRows, float[] target) {
        enter();
        flush();
        transfer().download(((CudaRows) rows).values(), (long) nRows * rows.width(), Short.BYTES, (from, count, chunk) ->
                Chunks.forEach(count, HOST_CHUNK, (begin, end) -> {
                    for (int i = begin; i < end; i++) {
                        target[(int) from + i] = Bf16.decode(chunk.getShort(i * Short.BYTES));
                    }
                }));
    }

    @Override
    public void read(QuantizedRows rows, int nRows, float[] target) {
        enter();
        flush();
        CudaQuantizedRows source = (CudaQuantizedRows) rows;
        float[] scales = new float[nRows * rows.groups()];
        transfer().download(source.scales(), scales);
        int groupSize = rows.width() / rows.groups();
        transfer().download(source.codes(), (long) nRows * rows.width(), 1, (from, count, chunk) ->
                Chunks.forEach(count, HOST_CHUNK, (begin, end) -> {
                    for (int i = begin; i < end; i++) {
                        target[(int) from + i] = scales[((int) from + i) / groupSize] * E4m3.decode(chunk.get(i));
                    }
                }));
    }

    @Override
    public void write(float[] source, int nRows, Rows rows) {
        enter();
        flush();
        staging.upload(((CudaRows) rows).values(), 0, (long) nRows * rows.width(), Short.BYTES, (from, count, chunk) ->
                Chunks.forEach(count, HOST_CHUNK, (begin, end) -> {
                    for (int i = begin; i < end; i++) {
                        chunk.putShort(i * Short.BYTES, Bf16.encode(source[(int) from + i]));
                    }
                }));
    }

    private HostTransfer transfer() {
        if (transfer == null) {
            transfer = resources.own(new HostTransfer(context, stream));
        }
        return transfer;
    }

    /** Decode graphs recorded so far. */
    long recordedGraphs() {
        return graphs.size();
    }

    /** Labels and sizes of the device memory in use. */
    List<String> allocations() {
        return memory.labels();
    }

    CudaContext context() {
        return context;
    }

    CudaStream stream() {
        return stream;
    }

    private void enter() {
        if (closed) {
            throw new IllegalStateException("CUDA backend: used after it was closed");
        }
        if (currentThread != Thread.currentThread()) {
            context.makeCurrent();
            currentThread = Thread.currentThread();
        }
    }

    private CudaRows rowsOf(String what, Rows rows, int width) {
        BackendChecks.rows(what, batch, rows, width);
        return (CudaRows) rows;
    }

    private CudaQuantizedRows quantizedOf(String what, QuantizedRows rows, int width, int groups) {
        BackendChecks.quantizedRows(what, batch, rows, width, groups);
        return (CudaQuantizedRows) rows;
    }

    private static CudaKvCache cacheOf(String what, KvCache cache, AttentionSpec spec) {
        BackendChecks.cacheFits(what, cache.spec(), spec);
        return (CudaKvCache) cache;
    }

    /** Frees everything; what a fault has taken with it is logged. */
    @Override
    public void close() {
        closed = true;
        resources.close();
    }

    private void reportLeaks() {
        List<String> left = context.liveBuffers();
        if (!left.isEmpty()) {
            LOG.warn("Closing the CUDA backend: device memory that nobody freed: {}", left);
        }
    }
}
