package io.fireq.engine.sampling;

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

    /** What tokens of a logit count in a sum. */
    interface Measure {
        long of(float logit);
    }

    /** Orders logits: the larger a logit, the smaller this number; -0 and 0 are equal. */
    static int order(float logit) {
        int bits = Float.floatToRawIntBits(logit + 0f);
        return bits >= 0 ? ~bits : bits & Integer.MAX_VALUE;
    }

    private static float logitAt(int order) {
        return Float.intBitsToFloat(order < 0 ? ~order : order | Integer.MIN_VALUE);
    }

    boolean keeps(int tokenOrder, int id) {
        return tokenOrder < order || tokenOrder == order && id <= last;
    }

    /** The sum over the tokens that are kept. */
    long sum(float[] logits, Measure measure) {
        long sum = 0;
        for (int i = 0; i < logits.length; i++) {
            sum += keeps(order(logits[i]), i) ? measure.of(logits[i]) : 0;
        }
        return sum;
    }

    /** The id up to which, in order of id, what is kept adds up to more than {@code target}. */
    int locate(float[] logits, Measure measure, long target) {
        long sum = 0;
        for (int i = 0; i < logits.length; i++) {
            sum += keeps(order(logits[i]), i) ? measure.of(logits[i]) : 0;
            if (sum > target) {
                return i;
            }
        }
        throw new IllegalArgumentException("Sampling: the target %d is not below the sum %d".formatted(target, sum));
    }

    /**
     * Cuts what is kept where its sum, in descending order of logits, lower ids first, reaches {@code limit}: by 11, 11
     * and 10 bits of the order, each with a histogram.
     *
     * @param limit at least 1, at most the whole sum
     */
    Cut search(float[] logits, long limit, Measure measure) {
        int found = 0; // the upper bits of the order, as an unsigned number
        long before = 0;
        long inBin = 0;
        for (int level = 0; level < SHIFTS.length; level++) {
            int shift = SHIFTS[level];
            long[] bins = histogram(logits, measure, level, found);
            int bin = 0;
            while (before + bins[bin] < limit) {
                before += bins[bin++];
            }
            inBin = bins[bin];
            found = level == 0 ? bin : found << SHIFTS[level - 1] - shift | bin;
        }
        int tied = found ^ Integer.MIN_VALUE;
        // Of the tokens at that logit, as many as it takes.
        long unit = measure.of(logitAt(tied));
        long wanted = (limit - before + unit - 1) / unit;
        if (wanted == inBin / unit) {
            return new Cut(tied, tied == order ? last : NONE.last);
        }
        return new Cut(tied, locate(logits, logit -> order(logit) == tied ? 1 : 0, wanted - 1));
    }

    private long[] histogram(float[] logits, Measure measure, int level, int found) {
        int shift = SHIFTS[level];
        int mask = (1 << (level == 0 ? 32 : SHIFTS[level - 1]) - shift) - 1;
        long[] bins = new long[1 << SEARCH_BITS];
        for (int i = 0; i < logits.length; i++) {
            int tokenOrder = order(logits[i]);
            int unsigned = tokenOrder ^ Integer.MIN_VALUE;
            if ((level == 0 || unsigned >>> SHIFTS[level - 1] == found) && keeps(tokenOrder, i)) {
                bins[unsigned >>> shift & mask] += measure.of(logits[i]);
            }
        }
        return bins;
    }
}
