package io.fireq.engine.sampling;

import java.util.Arrays;
import java.util.function.LongUnaryOperator;

/**
 * The tokens that are kept of a row: those with logits ordered before {@code order}, and of those at it the ones with an
 * id up to {@code last}.
 *
 * @param order an {@link #order}
 * @param last  an id
 */
record Cut(int order, int last) {
    /** Keeps all. */
    static final Cut NONE = new Cut(Integer.MAX_VALUE, Integer.MAX_VALUE);

    private static final int SEARCH_BITS = 11;
    private static final int[] SHIFTS = {32 - SEARCH_BITS, 32 - 2 * SEARCH_BITS, 0};
    /** Tokens whose weights are added up together, so that a draw looks at the weights of one run twice. */
    private static final int RUN = 512;

    /** Orders logits: the larger a logit, the smaller this number; -0 and 0 are equal. */
    static int order(float logit) {
        int bits = Float.floatToRawIntBits(logit + 0f);
        return bits ^ (~(bits >> 31) | Integer.MIN_VALUE); // a branch on the sign would be mispredicted every other time
    }

    private static float logitAt(int order) {
        return Float.intBitsToFloat(order < 0 ? ~order : order | Integer.MIN_VALUE);
    }

    private boolean keeps(int tokenOrder, int id) {
        return tokenOrder < order || tokenOrder == order && id <= last;
    }

    /** Of what is kept, the k most likely, lower ids first; k is at least 1 and at most their number. */
    Cut topK(float[] logits, int k) {
        return search(logits, null, total -> k);
    }

    /** Of what is kept, the most likely, lower ids first, that together have this share of its weight; at least one. */
    Cut topP(float[] logits, Weighting weighting, float share) {
        return search(logits, weighting, total -> Math.max(1, Weighting.share(total, share)));
    }

    /**
     * Cuts what is kept where its sum, in descending order of logits, lower ids first, reaches a limit: by 11, 11 and 10
     * bits of the order, each with a histogram.
     *
     * @param weighting what is added up; null counts tokens
     * @param limitOf   from the whole sum to the limit, at least 1 and at most that sum
     */
    private Cut search(float[] logits, Weighting weighting, LongUnaryOperator limitOf) {
        long[] bins = new long[1 << SEARCH_BITS];
        int found = 0; // the upper bits of the order, as an unsigned number
        long before = 0;
        long inBin = 0;
        long limit = 0;
        for (int level = 0; level < SHIFTS.length; level++) {
            histogram(logits, weighting, level, found, bins);
            if (level == 0) {
                long total = 0;
                for (long bin : bins) {
                    total += bin;
                }
                limit = limitOf.applyAsLong(total);
            }
            int bin = 0;
            while (before + bins[bin] < limit) {
                before += bins[bin++];
            }
            inBin = bins[bin];
            found = level == 0 ? bin : found << SHIFTS[level - 1] - SHIFTS[level] | bin;
        }
        int tied = found ^ Integer.MIN_VALUE;
        // Of the tokens at that logit, as many as it takes.
        long unit = weighting == null ? 1 : weighting.of(logitAt(tied));
        long wanted = (limit - before + unit - 1) / unit;
        return wanted == inBin / unit
                ? new Cut(tied, tied == order ? last : NONE.last)
                : new Cut(tied, tie(logits, tied, wanted));
    }

    private void histogram(float[] logits, Weighting weighting, int level, int found, long[] bins) {
        int shift = SHIFTS[level];
        int end = level == 0 ? 0 : SHIFTS[level - 1];
        int mask = (level == 0 ? 1 << SEARCH_BITS : 1 << end - shift) - 1;
        Arrays.fill(bins, 0);
        for (int i = 0; i < logits.length; i++) {
            int tokenOrder = order(logits[i]);
            int unsigned = tokenOrder ^ Integer.MIN_VALUE;
            if ((level == 0 || unsigned >>> end == found) && keeps(tokenOrder, i)) {
                bins[unsigned >>> shift & mask] += weighting == null ? 1 : weighting.of(logits[i]);
            }
        }
    }

    /** The id of the n-th token at this order. */
    private static int tie(float[] logits, int order, long n) {
        long found = 0;
        for (int i = 0; i < logits.length; i++) {
            if (order(logits[i]) == order && ++found == n) {
                return i;
            }
        }
        throw new IllegalStateException("Sampling: of %d equal logits there are %d".formatted(n, found));
    }

    /**
     * Draws from what is kept.
     *
     * @param bits random; a token's chance is its weight's share of the sum
     */
    int draw(float[] logits, Weighting weighting, long bits) {
        long[] runs = new long[(logits.length + RUN - 1) / RUN];
        long total = 0;
        for (int run = 0; run < runs.length; run++) {
            for (int i = run * RUN; i < Math.min(logits.length, (run + 1) * RUN); i++) {
                runs[run] += weight(logits[i], i, weighting);
            }
            total += runs[run];
        }
        long target = Weighting.fraction(total, bits);
        int run = 0;
        while (runs[run] <= target) {
            target -= runs[run++];
        }
        int token = run * RUN;
        for (long sum = weight(logits[token], token, weighting); sum <= target;
                sum += weight(logits[token], token, weighting)) {
            token++;
        }
        return token;
    }

    private long weight(float logit, int id, Weighting weighting) {
        return keeps(order(logit), id) ? weighting.of(logit) : 0;
    }
}
