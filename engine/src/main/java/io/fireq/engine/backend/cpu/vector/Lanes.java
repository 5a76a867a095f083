package io.fireq.engine.backend.cpu.vector;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vector shapes of this machine. They are constants so that the JIT compiler sees through the Vector API, and no
 * other shape is used anywhere: a second one would spoil the type profiles that all vector code of a JVM shares.
 */
final class Lanes {
    static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
    static final VectorSpecies<Short> SHORTS = ShortVector.SPECIES_PREFERRED;
    static final VectorSpecies<Byte> BYTES = ByteVector.SPECIES_PREFERRED;
    /** Floats per vector. */
    static final int COUNT = FLOATS.length();

    private Lanes() {}

    /**
     * {@code Σ lanes[offset .. offset+COUNT-1]}, always in the same order. A reduction of the vector is slower on JDK 17,
     * and on JDK 25 it changes its order, and so its result, when the JIT compiler takes over.
     */
    static float sum(float[] lanes, int offset) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        for (int i = offset; i < offset + COUNT; i += 4) {
            s0 += lanes[i];
            s1 += lanes[i + 1];
            s2 += lanes[i + 2];
            s3 += lanes[i + 3];
        }
        return s0 + s1 + (s2 + s3);
    }
}
