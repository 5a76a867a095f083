package io.fireq.engine.backend.cpu;

/** What one thread needs to attend with m query rows to kvLen tokens: see {@link PagedAttention}. */
final class AttentionScratch {
    /** {@code [m, headDim]} decoded e4m3 queries. */
    float[] q = {};
    /** {@code [m]} their scales, over √headDim. */
    float[] qScales = {};
    /** {@code [groups, m]} sums of a query over a group of channels. */
    float[] qSums = {};
    /** {@code [headDim, keyChunk]} codes of K, or {@code [keyChunk, headDim]} of V. */
    float[] codes = {};
    /** {@code [m, keyChunk]} inner products with codes. */
    float[] dots = {};
    /** {@code [groups, kvLen]} scales of K or V. */
    float[] scales = {};
    /** {@code [groups, kvLen]} zeros of K or V. */
    float[] zeros = {};
    /** {@code [m, kvLen]} scores, then probabilities before division by their sum. */
    float[] p = {};
    /** {@code [groups, m, kvLen]} rows p · scale, quantized. */
    float[] a = {};
    /** {@code [groups, m]} scales of a. */
    float[] aScales = {};
    /** {@code [m, headDim]} weighted sums of codes. */
    float[] o = {};

    void reserve(int m, int kvLen, int headDim, int groups, int keyChunk) {
        q = WorkerScratch.atLeast(q, m * headDim);
        qScales = WorkerScratch.atLeast(qScales, m);
        qSums = WorkerScratch.atLeast(qSums, groups * m);
        codes = WorkerScratch.atLeast(codes, keyChunk * headDim);
        dots = WorkerScratch.atLeast(dots, m * keyChunk);
        scales = WorkerScratch.atLeast(scales, groups * kvLen);
        zeros = WorkerScratch.atLeast(zeros, groups * kvLen);
        p = WorkerScratch.atLeast(p, Math.multiplyExact(m, kvLen));
        a = WorkerScratch.atLeast(a, Math.multiplyExact(groups * m, kvLen));
        aScales = WorkerScratch.atLeast(aScales, groups * m);
        o = WorkerScratch.atLeast(o, m * headDim);
    }
}
