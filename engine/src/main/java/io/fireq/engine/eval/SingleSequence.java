package io.fireq.engine.eval;

import io.fireq.engine.batch.Batch;
import io.fireq.engine.runtime.LoadedModel;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Steps of one sequence on a model that nothing else uses. */
final class SingleSequence {
    private SingleSequence() {}

    /** Positions from..to-1 of the tokens, with logits for the first nLogits of them. */
    static Batch step(LoadedModel loaded, int[] tokens, int from, int to, int nLogits) {
        return step(loaded, tokens, from, to, IntStream.range(0, nLogits).toArray());
    }

    /** Positions from..to-1 of the tokens, with logits for some rows of the step. */
    static Batch step(LoadedModel loaded, int[] tokens, int from, int to, int[] logitRows) {
        int[] positions = IntStream.range(from, to).toArray();
        int kvBlockSize = loaded.limits().kvBlockSize();
        int[] blocks = IntStream.range(0, (to + kvBlockSize - 1) / kvBlockSize).toArray();
        return new Batch(Arrays.copyOfRange(tokens, from, to), positions, positions, new int[] {0, to - from},
                new int[] {to}, new int[][] {blocks}, logitRows);
    }

    /** Most tokens of a sequence. */
    static int capacity(LoadedModel loaded) {
        return Math.min(loaded.info().maxModelLen(), loaded.limits().nKvBlocks() * loaded.limits().kvBlockSize());
    }
}
