package io.fireq.examples;

/** One thing to show. */
interface TourStop {
    String title();

    void show(Transcript transcript);
}
