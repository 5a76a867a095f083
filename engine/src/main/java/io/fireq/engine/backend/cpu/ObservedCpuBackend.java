package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.List;

/**
 * A CPU backend that shows an observer what a Llama's layers multiply and cache, for tools that look at activations. It
 * tells the layers apart by the order in which the model calls.
 */
public final class ObservedCpuBackend implements Backend {
    private final CpuBackend delegate;
    private final Observer observer;
    private Batch batch;
    private int normsSoFar;
    private int quantizationsSoFar;

    /** @param delegate owned: closed with this */
    public ObservedCpuBackend(CpuBackend delegate, Observer observer) {
        this.delegate = delegate;
        this.observer = observer;
    }

    /** Where in a layer values are seen. */
    public enum Site {
        /** Behind the first norm. */
        QKV_INPUT,
        /** What attention gives. */
        O_INPUT,
        /** Behind the second norm. */
        GATE_UP_INPUT,
        /** {@code silu(gate) · up}. */
        DOWN_INPUT,
        /** K of all KV heads, {@code [nKvHeads · headDim]}, rotated and smoothed, before the cache rounds it. */
        K_CACHE
    }

    /** Told of every token. */
    public interface Observer {
        /**
         * @param values real values; the {@code width} of them from {@code offset} on are this token's, and only during
         *               the call
         */
        void row(int layer, Site site, float[] values, int offset, int width);
    }

    @Override
    public void begin(Batch newBatch) {
        batch = newBatch;
        normsSoFar = 0;
        quantizationsSoFar = 0;
        delegate.begin(newBatch);
    }

    @Override
    public void rmsNormQuantize(Rows x, Vector weight, float epsilon, QuantizedRows out) {
        delegate.rmsNormQuantize(x, weight, epsilon, out);
        CpuQuantizedRows rows = (CpuQuantizedRows) out;
        Site site = normsSoFar % 2 == 0 ? Site.QKV_INPUT : Site.GATE_UP_INPUT;
        float[] row = new float[rows.width()];
        for (int t = 0; t < batch.nTokens(); t++) {
            for (int i = 0; i < row.length; i++) {
                row[i] = rows.scales()[t] * rows.values()[t * row.length + i];
            }
            observer.row(normsSoFar / 2, site, row, 0, row.length);
        }
        normsSoFar++;
    }

    @Override
    public void quantize(Rows x, QuantizedRows out) {
        delegate.quantize(x, out);
        CpuRows rows = (CpuRows) x;
        Site site = quantizationsSoFar % 2 == 0 ? Site.O_INPUT : Site.DOWN_INPUT;
        for (int t = 0; t < batch.nTokens(); t++) {
            observer.row(quantizationsSoFar / 2, site, rows.values(), t * rows.width(), rows.width());
        }
        quantizationsSoFar++;
    }

    @Override
    public void ropeAppendKv(Rows qkv, Attention attention, KvCache cache, QuantizedRows query) {
        delegate.ropeAppendKv(qkv, attention, cache, query);
        AttentionSpec spec = attention.spec();
        float[] head = new float[spec.headDim()];
        float[] row = new float[spec.nKvHeads() * spec.headDim()];
        for (int t = 0; t < batch.nTokens(); t++) {
            for (int kvHead = 0; kvHead < spec.nKvHeads(); kvHead++) {
                QkvPost.key((CpuRows) qkv, t, batch.positions()[t], spec, kvHead, head);
                System.arraycopy(head, 0, row, kvHead * head.length, head.length);
            }
            observer.row(spec.layer(), Site.K_CACHE, row, 0, row.length);
        }
    }

    @Override
    public String description() {
        return delegate.description() + ", observed";
    }

    @Override
    public Weight weight(List<WeightMatrix> rowBlocks) {
        return delegate.weight(rowBlocks);
    }

    @Override
    public Vector vector(float[] values) {
        return delegate.vector(values);
    }

    @Override
    public Attention attention(AttentionSpec spec) {
        return delegate.attention(spec);
    }

    @Override
    public KvCache kvCache(KvCacheSpec spec) {
        return delegate.kvCache(spec);
    }

    @Override
    public Rows rows(int capacity, int width) {
        return delegate.rows(capacity, width);
    }

    @Override
    public QuantizedRows quantizedRows(int capacity, int width, int groups) {
        return delegate.quantizedRows(capacity, width, groups);
    }

    @Override
    public void embed(Weight table, Rows out) {
        delegate.embed(table, out);
    }

    @Override
    public void linear(QuantizedRows x, Weight w, Epilogue epilogue, Rows out) {
        delegate.linear(x, w, epilogue, out);
    }

    @Override
    public void attention(QuantizedRows query, Attention attention, KvCache cache, Rows out) {
        delegate.attention(query, attention, cache, out);
    }

    @Override
    public Logits logits(Rows hidden, Vector normWeight, float epsilon, Weight head) {
        return delegate.logits(hidden, normWeight, epsilon, head);
    }

    @Override
    public void close() {
        delegate.close();
    }
}
