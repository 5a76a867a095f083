package io.fireq.kernels.testing;

import java.util.Random;

/** Random inputs; fresh on every run, or those of {@code -Dfireq.test.seed}. The seed is printed. */
public final class Seeded {
    private final long seed;
    private final Random random;

    private Seeded(String test, long seed) {
        this.seed = seed;
        this.random = new Random(seed);
        System.out.printf("%s: seed %d%n", test, seed);
    }

    /** Random numbers for one test. */
    public static Seeded fresh(String test) {
        return new Seeded(test, Long.getLong("fireq.test.seed", System.nanoTime() & 0xffff_ffffL));
    }

    /** For messages. */
    @Override
    public String toString() {
        return "seed " + seed;
    }

    public int below(int bound) {
        return random.nextInt(bound);
    }

    public float uniform(float low, float high) {
        return low + random.nextFloat() * (high - low);
    }

    /** Normal values as bf16 codes. */
    public short[] bf16(int count, double deviation) {
        short[] codes = new short[count];
        for (int i = 0; i < count; i++) {
            codes[i] = Formats.bf16((float) (random.nextGaussian() * deviation));
        }
        return codes;
    }

    public float[] floats(int count, double mean, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (mean + random.nextGaussian() * deviation);
        }
        return values;
    }

    /** Finite e4m3 codes of normal values. */
    public byte[] e4m3(int count, double deviation) {
        byte[] codes = new byte[count];
        for (int i = 0; i < count; i++) {
            codes[i] = Formats.e4m3(random.nextGaussian() * deviation);
        }
        return codes;
    }

    public byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        random.nextBytes(bytes);
        return bytes;
    }

    /** 0..count-1 in random order. */
    public int[] permutation(int count) {
        int[] values = new int[count];
        for (int i = 0; i < count; i++) {
            int j = random.nextInt(i + 1);
            values[i] = values[j];
            values[j] = i;
        }
        return values;
    }
}
