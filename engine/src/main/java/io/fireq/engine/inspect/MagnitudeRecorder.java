package io.fireq.engine.inspect;

import io.fireq.engine.backend.cpu.ObservedCpuBackend;
import io.fireq.engine.backend.cpu.ObservedCpuBackend.Site;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.runtime.LoadedModel;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/** Keeps the largest magnitude of every channel that passes an {@link ObservedCpuBackend}. One thread. */
public final class MagnitudeRecorder implements ObservedCpuBackend.Observer {
    private final Map<Integer, Map<Site, float[]>> byLayer = new TreeMap<>();

    @Override
    public void row(int layer, Site site, float[] values, int offset, int width) {
        float[] largest = byLayer.computeIfAbsent(layer, key -> new EnumMap<>(Site.class))
                .computeIfAbsent(site, key -> new float[width]);
        for (int channel = 0; channel < width; channel++) {
            largest[channel] = Math.max(largest[channel], Math.abs(values[offset + channel]));
        }
    }

    /** Runs a model that was loaded onto the observed backend over the tokens, window by window. */
    public static void run(LoadedModel model, int[] tokens, Runnable betweenSteps) {
        int window = model.info().maxModelLen();
        int blocks = (window + model.limits().kvBlockSize() - 1) / model.limits().kvBlockSize();
        int[] blockTable = IntStream.range(0, blocks).toArray();
        for (int windowBegin = 0; windowBegin < tokens.length; windowBegin += window) {
            int length = Math.min(window, tokens.length - windowBegin);
            for (int from = 0; from < length; from += model.limits().maxBatchTokens()) {
                int to = Math.min(length, from + model.limits().maxBatchTokens());
                int[] positions = IntStream.range(from, to).toArray();
                model.model().forward(new Batch(Arrays.copyOfRange(tokens, windowBegin + from, windowBegin + to),
                        positions, positions, new int[] {0, to - from}, new int[] {to}, new int[][] {blockTable},
                        new int[0]));
                betweenSteps.run();
            }
        }
    }

    /**
     * What two runs of one architecture saw; either may be null.
     *
     * @throws IllegalArgumentException if they are of different architectures
     */
    public static List<ChannelMagnitudes> compare(MagnitudeRecorder before, MagnitudeRecorder after) {
        MagnitudeRecorder present = before == null ? after : before;
        if (before != null && after != null && before.byLayer.size() != after.byLayer.size()) {
            throw new IllegalArgumentException(("Channel magnitudes: %d layers before and %d after; both must come from "
                    + "the same architecture").formatted(before.byLayer.size(), after.byLayer.size()));
        }
        return present.byLayer.keySet().stream().flatMap(layer -> Arrays.stream(Site.values())
                .map(site -> new ChannelMagnitudes(layer, site, of(before, layer, site), of(after, layer, site))))
                .toList();
    }

    private static float[] of(MagnitudeRecorder recorder, int layer, Site site) {
        return recorder == null ? new float[0] : recorder.byLayer.get(layer).get(site);
    }
}
