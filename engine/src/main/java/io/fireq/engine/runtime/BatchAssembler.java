package io.fireq.engine.runtime;

import io.fireq.engine.batch.Batch;
import io.fireq.engine.kv.KvCacheManager;
import io.fireq.engine.sampling.Sampler;
import io.fireq.engine.scheduler.Sequence;
import io.fireq.engine.scheduler.StepPlan;
import java.util.List;
import java.util.function.Function;

/** Lays a step's plan out as the primitive arrays that a backend reads. */
public final class BatchAssembler {
    private final KvCacheManager kvCache;

    public BatchAssembler(KvCacheManager kvCache) {
        this.kvCache = kvCache;
    }

    /** {@code samplerOf} knows how each sequence draws. */
    public Batch assemble(StepPlan plan, Function<Sequence, Sampler> samplerOf) {
        List<StepPlan.Entry> entries = plan.entries();
        int nTokens = plan.nTokens();
        int nSeqs = entries.size();
        int[] tokenIds = new int[nTokens];
        int[] positions = new int[nTokens];
        int[] slotMapping = new int[nTokens];
        int[] cuSeqlens = new int[nSeqs + 1];
        int[] kvLens = new int[nSeqs];
        int[][] blockTables = new int[nSeqs][];
        int[] logitRows = new int[(int) entries.stream().filter(StepPlan.Entry::samples).count()];
        Sampler[] samplers = new Sampler[logitRows.length];
        int row = 0;
        int nLogits = 0;
        for (int s = 0; s < nSeqs; s++) {
            StepPlan.Entry entry = entries.get(s);
            Sequence sequence = entry.sequence();
            for (int i = 0; i < entry.nTokens(); i++, row++) {
                int position = sequence.nComputed() + i;
                tokenIds[row] = sequence.token(position);
                positions[row] = position;
                slotMapping[row] = kvCache.slot(sequence.blockTable(), position);
            }
            cuSeqlens[s + 1] = row;
            kvLens[s] = sequence.nComputed() + entry.nTokens();
            blockTables[s] = sequence.blockTable().blocks();
            if (entry.samples()) {
                samplers[nLogits] = samplerOf.apply(sequence);
                logitRows[nLogits++] = row - 1;
            }
        }
        return new Batch(tokenIds, positions, slotMapping, cuSeqlens, kvLens, blockTables, logitRows, samplers);
    }
}
