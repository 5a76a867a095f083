package io.fireq.engine.backend;

import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.engine.backend.Backend.QuantizedRows;
import io.fireq.engine.backend.Backend.Rows;
import io.fireq.engine.backend.Backend.Weight;
import io.fireq.engine.batch.Batch;

/** What every backend refuses, with the same words: operands that do not fit each other or the batch. */
public final class BackendChecks {
    private BackendChecks() {}

    /** Each sequence's rows must be its newest tokens. */
    public static void batch(Batch batch) {
        for (int s = 0; s < batch.nSeqs(); s++) {
            int nRows = batch.cuSeqlens()[s + 1] - batch.cuSeqlens()[s];
            for (int i = 0; i < nRows; i++) {
                int row = batch.cuSeqlens()[s] + i;
                int position = batch.kvLens()[s] - nRows + i;
                if (batch.positions()[row] != position || position < 0) {
                    throw refusal("Batch: token row %d of sequence %d is at position %d; with kvLen=%d and %d rows it "
                            + "must be %d", row, s, batch.positions()[row], batch.kvLens()[s], nRows, position);
                }
            }
        }
    }

    /** {@code batch} is null before the first step. */
    public static void rows(String what, Batch batch, Rows rows, int width) {
        capacity(what, batch, rows.capacity());
        require(rows.width() == width, "%s: width is %d, it must be %d", what, rows.width(), width);
    }

    /** {@code batch} is null before the first step. */
    public static void quantizedRows(String what, Batch batch, QuantizedRows rows, int width, int groups) {
        capacity(what, batch, rows.capacity());
        require(rows.width() == width && rows.groups() == groups,
                "%s: width and groups are %d and %d, they must be %d and %d", what, rows.width(), rows.groups(), width,
                groups);
    }

    private static void capacity(String what, Batch batch, int capacity) {
        if (batch == null) {
            throw new IllegalStateException(what + ": no step was begun; call begin(batch) first");
        }
        require(capacity >= batch.nTokens(), "%s: capacity is %d rows, the batch has %d tokens", what, capacity,
                batch.nTokens());
    }

    public static void groups(int width, int groups) {
        require(groups >= 1 && width % groups == 0, "Quantized rows: width=%d is not a multiple of groups=%d", width,
                groups);
    }

    public static void tokenIds(Batch batch, int vocabSize) {
        for (int t = 0; t < batch.nTokens(); t++) {
            int id = batch.tokenIds()[t];
            if (id < 0 || id >= vocabSize) {
                throw refusal("embed: token id %d of row %d is not in 0..%d", id, t, vocabSize - 1);
            }
        }
    }

    public static void norm(int weightSize, int width) {
        require(weightSize == width, "rmsNormQuantize: the weight has %d values, rows have %d", weightSize, width);
    }

    public static void epilogue(Weight weight, Epilogue epilogue) {
        require(epilogue != Epilogue.SILU_MUL || weight.n() % 2 == 0,
                "linear: n=%d is odd, SILU_MUL needs as many gates as ups", weight.n());
    }

    public static void attention(AttentionSpec spec) {
        require(spec.nKvHeads() >= 1 && spec.nHeads() % spec.nKvHeads() == 0,
                "Attention: nHeads=%d is not a multiple of nKvHeads=%d", spec.nHeads(), spec.nKvHeads());
        require(spec.headDim() >= 2 && spec.headDim() % 2 == 0,
                "Attention: headDim=%d is not even, rotation pairs channels", spec.headDim());
        require(spec.cos().length == spec.sin().length && spec.cos().length % (spec.headDim() / 2) == 0,
                "Attention: %d cosines and %d sines do not make rows of headDim/2=%d", spec.cos().length,
                spec.sin().length, spec.headDim() / 2);
        require(spec.kSmooth() == null || spec.kSmooth().length == spec.nKvHeads() * spec.headDim(),
                "Attention: kSmooth has %d values, nKvHeads·headDim is %d",
                spec.kSmooth() == null ? 0 : spec.kSmooth().length, spec.nKvHeads() * spec.headDim());
        int block = spec.hadamardBlock();
        require(block == 0 || block > 0 && Integer.bitCount(block) == 1 && spec.headDim() % block == 0,
                "Attention: hadamardBlock=%d is neither 0 nor a power of two that divides headDim=%d", block,
                spec.headDim());
    }

    public static void kvCache(KvCacheSpec spec) {
        require(spec.format().groupSize() >= 1 && spec.headDim() % spec.format().groupSize() == 0,
                "KV cache: headDim=%d is not a multiple of groupSize=%d", spec.headDim(), spec.format().groupSize());
    }

    public static void cacheFits(String what, KvCacheSpec cache, AttentionSpec spec) {
        require(cache.nKvHeads() == spec.nKvHeads() && cache.headDim() == spec.headDim()
                        && spec.layer() < cache.nLayers(),
                "%s: the KV cache has %d layers, %d heads of %d; layer %d has %d heads of %d", what, cache.nLayers(),
                cache.nKvHeads(), cache.headDim(), spec.layer(), spec.nKvHeads(), spec.headDim());
    }

    /** Positions within the rotary table, slots within the cache. */
    public static void slots(Batch batch, KvCacheSpec cache, AttentionSpec spec) {
        int maxPositions = spec.cos().length / (spec.headDim() / 2);
        int nSlots = cache.nBlocks() * cache.kvBlockSize();
        for (int t = 0; t < batch.nTokens(); t++) {
            if (batch.positions()[t] >= maxPositions) {
                throw refusal("ropeAppendKv: position %d of row %d is not in 0..%d", batch.positions()[t], t,
                        maxPositions - 1);
            }
            if (batch.slotMapping()[t] < 0 || batch.slotMapping()[t] >= nSlots) {
                throw refusal("ropeAppendKv: slot %d of row %d is not in 0..%d", batch.slotMapping()[t], t, nSlots - 1);
            }
        }
    }

    /** Enough KV blocks for each sequence, all within the cache. */
    public static void blockTables(Batch batch, KvCacheSpec cache) {
        for (int s = 0; s < batch.nSeqs(); s++) {
            int nBlocks = (batch.kvLens()[s] + cache.kvBlockSize() - 1) / cache.kvBlockSize();
            int[] table = batch.blockTables()[s];
            if (table.length < nBlocks) {
                throw refusal("attention: sequence %d has %d KV blocks, kvLen=%d needs %d", s, table.length,
                        batch.kvLens()[s], nBlocks);
            }
            for (int b = 0; b < nBlocks; b++) {
                if (table[b] < 0 || table[b] >= cache.nBlocks()) {
                    throw refusal("attention: KV block %d of sequence %d is not in 0..%d", table[b], s,
                            cache.nBlocks() - 1);
                }
            }
        }
    }

    public static void logitRows(Batch batch) {
        for (int row : batch.logitRows()) {
            if (row < 0 || row >= batch.nTokens()) {
                throw refusal("logits: row %d is not in 0..%d", row, batch.nTokens() - 1);
            }
        }
    }

    /** Drawing needs to know how. */
    public static void samplers(int nSamplers, int nLogits) {
        if (nSamplers != nLogits) {
            throw new IllegalStateException("Logits: the batch asked for %d rows of logits and %d tokens; give it samplers"
                    .formatted(nLogits, nSamplers));
        }
    }

    /** Why a weight that is only stored cannot be multiplied with. */
    public static IllegalArgumentException unquantized(Object tensor) {
        return new IllegalArgumentException(("Linear layer: tensor %s is not quantized, and quantized numerics "
                + "multiply INT4 or FP8 weights; quantize the checkpoint or run with FLOAT32 numerics")
                        .formatted(tensor));
    }

    private static void require(boolean holds, String message, Object... args) {
        if (!holds) {
            throw refusal(message, args);
        }
    }

    /** Called by loops over tokens directly, so that what passes is not boxed. */
    private static IllegalArgumentException refusal(String message, Object... args) {
        return new IllegalArgumentException(message.formatted(args));
    }
}
