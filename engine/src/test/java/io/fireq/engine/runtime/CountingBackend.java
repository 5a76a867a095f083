package io.fireq.engine.runtime;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/** A backend without arithmetic: after token t it predicts token t + 1. Steps can be held, or made to fail. */
final class CountingBackend implements Backend {
    final int vocabSize;
    /** One permit per step; plenty unless a test drains it. */
    final Semaphore steps = new Semaphore(1 << 30);
    volatile RuntimeException failure;
    volatile int nanAfterToken = -1;
    volatile boolean closed;
    final AtomicInteger copiedRows = new AtomicInteger();
    private Batch batch;

    CountingBackend(int vocabSize) {
        this.vocabSize = vocabSize;
    }

    @Override
    public String description() {
        return "counting";
    }

    @Override
    public Weight weight(List<WeightMatrix> rowBlocks) {
        int n = rowBlocks.stream().mapToInt(WeightMatrix::n).sum();
        int k = rowBlocks.get(0).k();
        return new Weight() {
            @Override
            public int n() {
                return n;
            }

            @Override
            public int k() {
                return k;
            }
        };
    }

    @Override
    public Vector vector(float[] values) {
        return () -> values.length;
    }

    @Override
    public Attention attention(AttentionSpec spec) {
        return () -> spec;
    }

    @Override
    public KvCache kvCache(KvCacheSpec spec) {
        return () -> spec;
    }

    @Override
    public Rows rows(int capacity, int width) {
        return new Rows() {
            @Override
            public int capacity() {
                return capacity;
            }

            @Override
            public int width() {
                return width;
            }
        };
    }

    @Override
    public QuantizedRows quantizedRows(int capacity, int width, int groups) {
        return new QuantizedRows() {
            @Override
            public int capacity() {
                return capacity;
            }

            @Override
            public int width() {
                return width;
            }

            @Override
            public int groups() {
                return groups;
            }
        };
    }

    @Override
    public void begin(Batch newBatch) {
        steps.acquireUninterruptibly();
        if (failure != null) {
            throw failure;
        }
        batch = newBatch;
    }

    @Override
    public void embed(Weight table, Rows out) {}

    @Override
    public void rmsNormQuantize(Rows x, Vector weight, float epsilon, QuantizedRows out) {}

    @Override
    public void quantize(Rows x, QuantizedRows out) {}

    @Override
    public void linear(QuantizedRows x, Weight w, Epilogue epilogue, Rows out) {}

    @Override
    public void ropeAppendKv(Rows qkv, Attention attention, KvCache cache, QuantizedRows query) {}

    @Override
    public void attention(QuantizedRows query, Attention attention, KvCache cache, Rows out) {}

    @Override
    public Logits logits(Rows hidden, Vector normWeight, float epsilon, Weight head) {
        Batch current = batch;
        return new Logits() {
            @Override
            public void copyRow(int index, float[] target) {
                copiedRows.incrementAndGet();
                fill(current, index, target);
            }

            @Override
            public int[] sample() {
                int[] tokens = new int[current.samplers().length];
                float[] row = new float[vocabSize];
                for (int i = 0; i < tokens.length; i++) {
                    fill(current, i, row);
                    tokens[i] = current.samplers()[i].sample(row);
                }
                return tokens;
            }
        };
    }

    private void fill(Batch current, int index, float[] target) {
        int token = current.tokenIds()[current.logitRows()[index]];
        Arrays.fill(target, token == nanAfterToken ? Float.NaN : 0);
        target[(token + 1) % vocabSize] += 1;
    }

    @Override
    public void close() {
        closed = true;
    }
}
