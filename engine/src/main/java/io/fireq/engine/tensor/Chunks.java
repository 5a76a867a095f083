package io.fireq.engine.tensor;

import java.util.stream.IntStream;

/** Loops over large arrays, on all processors. For work whose pieces do not depend on each other. */
public final class Chunks {
    private Chunks() {}

    /** Runs {@code body} over 0..n-1 in pieces of {@code grain}. */
    public static void forEach(int n, int grain, Body body) {
        if (n <= grain) {
            body.run(0, n);
            return;
        }
        int pieces = (int) (((long) n + grain - 1) / grain);
        IntStream.range(0, pieces).parallel().forEach(piece ->
                body.run(piece * grain, (int) Math.min(n, (piece + 1L) * grain)));
    }

    /** Works on {@code begin ≤ i < end}. */
    public interface Body {
        void run(int begin, int end);
    }
}
