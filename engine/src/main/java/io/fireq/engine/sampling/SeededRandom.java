package io.fireq.engine.sampling;

/**
 * A counter-based random number: a pure function of seed and index, so that a draw depends neither on earlier draws nor
 * on batch mates, and a device computes the same. The mixing function is SplitMix64's finalizer (Steele et al. 2014).
 */
final class SeededRandom {
    private static final long GOLDEN_GAMMA = 0x9e3779b97f4a7c15L;

    private SeededRandom() {}

    /** 64 random bits. */
    static long bits(long seed, long index) {
        return mix(mix(seed) + (index + 1) * GOLDEN_GAMMA);
    }

    private static long mix(long bits) {
        long z = (bits ^ bits >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }
}
