package io.fireq.engine.sampling;

import io.fireq.engine.api.SamplingParams;
import java.util.Arrays;

/**
 * The most likely tokens in order, found lazily: a max-heap over all tokens from which only as many are taken as top-k,
 * top-p and min-p keep. Equal probabilities are ordered by token id.
 */
final class Nucleus {
    private final long[] heap;
    private final double total;
    private int size;
    private long[] sorted = new long[64];
    private int nSorted;

    /**
     * @param weights {@code [vocabSize]} unnormalized probabilities, the largest being 1
     * @param total   their sum
     */
    Nucleus(float[] weights, double total) {
        this.total = total;
        heap = new long[weights.length];
        for (int i = 0; i < weights.length; i++) {
            // Weights are not negative, so their bits order as they do; the complement puts low ids first.
            heap[i] = (long) Float.floatToRawIntBits(weights[i]) << 32 | ~i & 0xffffffffL;
        }
        size = heap.length;
        for (int i = size / 2 - 1; i >= 0; i--) {
            siftDown(i);
        }
    }

    int pick(SamplingParams params, float uniform) {
        int maxKept = params.topK() == 0 ? heap.length : Math.min(params.topK(), heap.length);
        double limit = params.topP() * (params.topK() == 0 ? total : mass(maxKept));
        int nKept = 0;
        double keptMass = 0;
        while (nKept < maxKept && keptMass < limit) {
            float weight = weight(sorted(nKept));
            if (weight == 0 || weight < params.minP()) {
                break;
            }
            keptMass += weight;
            nKept++;
        }
        double target = uniform * keptMass;
        for (int i = 0; i < nKept - 1; i++) {
            target -= weight(sorted(i));
            if (target < 0) {
                return token(sorted(i));
            }
        }
        return token(sorted(nKept - 1));
    }

    private double mass(int nMostLikely) {
        double mass = 0;
        for (int i = 0; i < nMostLikely; i++) {
            mass += weight(sorted(i));
        }
        return mass;
    }

    /** The entry with {@code index} more likely ones before it. */
    private long sorted(int index) {
        while (index >= nSorted) {
            if (nSorted == sorted.length) {
                sorted = Arrays.copyOf(sorted, nSorted * 2);
            }
            sorted[nSorted++] = removeMax();
        }
        return sorted[index];
    }

    private static float weight(long entry) {
        return Float.intBitsToFloat((int) (entry >>> 32));
    }

    private static int token(long entry) {
        return ~(int) entry;
    }

    private long removeMax() {
        long max = heap[0];
        heap[0] = heap[--size];
        siftDown(0);
        return max;
    }

    private void siftDown(int parent) {
        long entry = heap[parent];
        while (true) {
            int child = 2 * parent + 1;
            if (child >= size) {
                break;
            }
            if (child + 1 < size && heap[child + 1] > heap[child]) {
                child++;
            }
            if (heap[child] <= entry) {
                break;
            }
            heap[parent] = heap[child];
            parent = child;
        }
        heap[parent] = entry;
    }
}
