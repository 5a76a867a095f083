package io.fireq.engine.backend.cpu;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The model's operations on the CPU, exact in every rounding step of {@code docs/numerics.md}. Quantized values are kept
 * as floats that hold them; weights stay where they are mapped. A token's results do not depend on the number of
 * threads, on the other tokens of its step, or on where its KV blocks lie.
 *
 * <p>One caller at a time; helper threads end with {@link #close}.
 */
public final class CpuBackend implements Backend {
    private static final Logger LOG = LoggerFactory.getLogger(CpuBackend.class);

    private final Rounding rounding;
    private final CpuKernelSelection kernels;
    private final CpuWorkers workers;
    private final WorkerScratch[] scratch;
    private final LinearLayer linear;
    private final PagedAttention attention;
    private final QkvPost qkvPost;
    private Batch batch;
    private CpuLogits logits;
    private CpuRows logitHidden;
    private CpuQuantizedRows logitInput;

    private CpuBackend(Numerics numerics, int threads, CpuKernelSelection kernels) {
        this.kernels = kernels;
        rounding = new Rounding(numerics, kernels.chosen());
        workers = new CpuWorkers(threads);
        scratch = new WorkerScratch[threads];
        for (int i = 0; i < threads; i++) {
            scratch[i] = new WorkerScratch();
        }
        linear = new LinearLayer(kernels.chosen(), workers, rounding, scratch);
        attention = new PagedAttention(kernels.chosen(), workers, rounding, scratch);
        qkvPost = new QkvPost(rounding);
    }

    /**
     * @param threads threads that share the work, the caller of the operations included; 0 takes all processors
     * @throws io.fireq.engine.api.FireqException if {@code choice} is VECTOR and the JVM lacks the Vector API
     */
    public static CpuBackend create(Numerics numerics, int threads, CpuKernelChoice choice) {
        int nThreads = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
        CpuKernelSelection kernels = CpuKernelSelection.choose(choice);
        LOG.info("CPU kernels: {} ({})", kernels.chosen().name(), kernels.reason());
        return new CpuBackend(numerics, nThreads, kernels);
    }

    /** Such as "CPU, 2 threads, Vector API 512 bits". */
    @Override
    public String description() {
        int threads = workers.threads();
        return "CPU, %d thread%s, %s".formatted(threads, threads == 1 ? "" : "s", kernels.chosen().name());
    }

    @Override
    public Weight weight(List<WeightMatrix> rowBlocks) {
        return new CpuWeight(rowBlocks, !rounding.isQuantized());
    }

    @Override
    public Vector vector(float[] values) {
        return new CpuVector(values.clone());
    }

    @Override
    public Attention attention(AttentionSpec spec) {
        BackendChecks.attention(spec);
        return new CpuAttention(spec);
    }

    @Override
    public KvCache kvCache(KvCacheSpec spec) {
        if (!rounding.isQuantized() && spec.format().kind() != KvFormat.Kind.FLOAT32) {
            throw new IllegalArgumentException("KV cache: format %s rounds, and FLOAT32 numerics do not; use %s"
                    .formatted(spec.format().kind(), KvFormat.Kind.FLOAT32));
        }
        return CpuKvCache.allocate(spec);
    }

    @Override
    public Rows rows(int capacity, int width) {
        return CpuRows.allocate(capacity, width);
    }

    @Override
    public QuantizedRows quantizedRows(int capacity, int width, int groups) {
        return CpuQuantizedRows.allocate(capacity, width, groups);
    }

    @Override
    public void begin(Batch batch) {
        BackendChecks.batch(batch);
        this.batch = batch;
        if (logits != null) {
            logits.stepOver = true;
            logits = null;
        }
    }

    @Override
    public void embed(Weight table, Rows out) {
        CpuWeight w = (CpuWeight) table;
        CpuRows target = rowsOf("embed out", out, w.k());
        BackendChecks.tokenIds(batch, w.n());
        workers.parallelFor(batch.nTokens(), 1, (worker, begin, end) -> {
            for (int t = begin; t < end; t++) {
                w.decodeRow(batch.tokenIds()[t], target.values(), t * w.k());
                for (int i = t * w.k(); i < (t + 1) * w.k(); i++) {
                    target.values()[i] = rounding.store(target.values()[i]);
                }
            }
        });
    }

    @Override
    public void rmsNormQuantize(Rows x, Vector weight, float epsilon, QuantizedRows out) {
        CpuRows input = rowsOf("rmsNormQuantize x", x, x.width());
        rmsNormQuantize(input, (CpuVector) weight, epsilon, quantizedOf("rmsNormQuantize out", out, x.width(), 1),
                batch.nTokens());
    }

    private void rmsNormQuantize(CpuRows x, CpuVector weight, float epsilon, CpuQuantizedRows out, int nRows) {
        int width = x.width();
        BackendChecks.norm(weight.size(), width);
        workers.parallelFor(nRows, 1, (worker, begin, end) -> {
            for (int t = begin; t < end; t++) {
                float[] normed = scratch[worker].products(width);
                RmsNorm.normalize(x.values(), t * width, weight.values(), epsilon, normed);
                out.scales()[t] = rounding.quantizeRow(normed, 0, width, out.values(), t * width);
            }
        });
    }

    @Override
    public void quantize(Rows x, QuantizedRows out) {
        int width = x.width();
        CpuRows input = rowsOf("quantize x", x, width);
        CpuQuantizedRows target = quantizedOf("quantize out", out, width, 1);
        workers.parallelFor(batch.nTokens(), 1, (worker, begin, end) -> {
            for (int t = begin; t < end; t++) {
                target.scales()[t] =
                        rounding.quantizeRow(input.values(), t * width, width, target.values(), t * width);
            }
        });
    }

    @Override
    public void linear(QuantizedRows x, Weight w, Epilogue epilogue, Rows out) {
        CpuWeight weight = (CpuWeight) w;
        weight.requireLinear();
        boolean gated = epilogue == Epilogue.SILU_MUL;
        BackendChecks.epilogue(weight, epilogue);
        linear.run(quantizedOf("linear x", x, weight.k(), 1), batch.nTokens(), weight, epilogue,
                rowsOf("linear out", out, gated ? weight.n() / 2 : weight.n()));
    }

    @Override
    public void ropeAppendKv(Rows qkv, Attention attention, KvCache cache, QuantizedRows query) {
        AttentionSpec spec = attention.spec();
        CpuKvCache kv = cacheOf("ropeAppendKv", cache, spec);
        CpuRows input = rowsOf("ropeAppendKv qkv", qkv, (spec.nHeads() + 2 * spec.nKvHeads()) * spec.headDim());
        CpuQuantizedRows target =
                quantizedOf("ropeAppendKv query", query, spec.nHeads() * spec.headDim(), spec.nHeads());
        BackendChecks.slots(batch, kv.spec(), spec);
        workers.parallelFor(spec.nKvHeads(), batch.nTokens() == 1 ? spec.nKvHeads() : 1, (worker, begin, end) -> qkvPost
                .run(batch, begin, end, input, spec, kv, target, scratch[worker].products(spec.headDim())));
    }

    @Override
    public void attention(QuantizedRows query, Attention attention, KvCache cache, Rows out) {
        AttentionSpec spec = attention.spec();
        CpuKvCache kv = cacheOf("attention", cache, spec);
        int width = spec.nHeads() * spec.headDim();
        CpuQuantizedRows input = quantizedOf("attention query", query, width, spec.nHeads());
        CpuRows target = rowsOf("attention out", out, width);
        BackendChecks.blockTables(batch, kv.spec());
        this.attention.run(batch, input, spec, kv, target);
    }

    @Override
    public Logits logits(Rows hidden, Vector normWeight, float epsilon, Weight head) {
        CpuWeight weight = (CpuWeight) head;
        weight.requireLinear();
        int width = weight.k();
        CpuRows input = rowsOf("logits hidden", hidden, width);
        BackendChecks.logitRows(batch);
        int nLogits = batch.logitRows().length;
        if (logitHidden == null || logitHidden.width() != width || logitHidden.capacity() < nLogits) {
            logitHidden = CpuRows.allocate(nLogits, width);
            logitInput = CpuQuantizedRows.allocate(nLogits, width, 1);
        }
        for (int i = 0; i < nLogits; i++) {
            int row = batch.logitRows()[i];
            System.arraycopy(input.values(), row * width, logitHidden.values(), i * width, width);
        }
        rmsNormQuantize(logitHidden, (CpuVector) normWeight, epsilon, logitInput, nLogits);
        float[] values = new float[Math.multiplyExact(nLogits, weight.n())];
        linear.runToFloat(logitInput, nLogits, weight, values);
        logits = new CpuLogits(values, nLogits, weight.n(), batch.samplers(), workers, scratch);
        return logits;
    }

    @Override
    public void read(Rows rows, int nRows, float[] target) {
        System.arraycopy(((CpuRows) rows).values(), 0, target, 0, nRows * rows.width());
    }

    @Override
    public void read(QuantizedRows rows, int nRows, float[] target) {
        CpuQuantizedRows source = (CpuQuantizedRows) rows;
        int groupSize = rows.width() / rows.groups();
        for (int i = 0; i < nRows * rows.width(); i++) {
            target[i] = source.scales()[i / groupSize] * source.values()[i];
        }
    }

    @Override
    public void write(float[] source, int nRows, Rows rows) {
        float[] target = ((CpuRows) rows).values();
        for (int i = 0; i < nRows * rows.width(); i++) {
            target[i] = rounding.store(source[i]);
        }
    }

    @Override
    public void close() {
        workers.close();
    }

    private CpuRows rowsOf(String what, Rows rows, int width) {
        BackendChecks.rows(what, batch, rows, width);
        return (CpuRows) rows;
    }

    private CpuQuantizedRows quantizedOf(String what, QuantizedRows rows, int width, int groups) {
        BackendChecks.quantizedRows(what, batch, rows, width, groups);
        return (CpuQuantizedRows) rows;
    }

    private static CpuKvCache cacheOf(String what, KvCache cache, AttentionSpec spec) {
        BackendChecks.cacheFits(what, cache.spec(), spec);
        return (CpuKvCache) cache;
    }
}
