package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * Gives a small model the outlier channels of a large one without changing what it computes: some channels times a power
 * of two, the weights that take them divided by it, exactly. In every decoder layer, chosen by a seed:
 *
 * <pre>{@code
 *   6 channels of either norm            × 64     columns of query, key, value and of gate, up   / 64
 *   16 rows of up                        × 64     columns of down                                / 64
 *   2 rotated pairs of each head of key  × 16     rows of all query heads that meet it           / 16
 *   2 rows of each head of value         × 16     columns of output that take them               / 16
 * }</pre>
 *
 * <p>From the command line: {@code SOURCE TARGET SEED}, two directories and a number.
 */
public final class OutlierInjector {
    private static final int NORM_CHANNELS = 6;
    private static final int UP_ROWS = 16;
    private static final int KEY_PAIRS = 2;
    private static final int VALUE_ROWS = 2;
    private static final float LARGE = 64;
    private static final float SMALL = 16;

    private final ModelConfig config;
    private final Map<String, HostTensor> tensors;
    private final Map<String, float[]> changed = new LinkedHashMap<>();
    private final SplittableRandom random;

    private OutlierInjector(ModelConfig config, Map<String, HostTensor> tensors, long seed) {
        this.config = config;
        this.tensors = tensors;
        this.random = new SplittableRandom(seed);
    }

    public static void main(String[] arguments) throws IOException {
        inject(Path.of(arguments[0]), Path.of(arguments[1]), Long.parseLong(arguments[2]));
    }

    /** Writes the model of {@code source} with outliers, in float32, into the new directory {@code target}. */
    public static void inject(Path source, Path target, long seed) throws IOException {
        Files.createDirectory(target);
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            Map<String, HostTensor> tensors = new LinkedHashMap<>();
            checkpoint.names().forEach(name -> tensors.put(name, checkpoint.tensor(name)));
            OutlierInjector injector = new OutlierInjector(ModelConfig.read(source), tensors, seed);
            for (int layer = 0; layer < injector.config.nLayers(); layer++) {
                injector.layer(LayerNames.block(layer));
            }
            SafetensorsWriter.write(target.resolve("model.safetensors"), Map.of(), tensors.values().stream()
                    .map(tensor -> HostTensor.ofFloats(tensor.name(), tensor.shape(),
                            injector.changed.getOrDefault(tensor.name(), tensor.toFloats())))
                    .toList());
        }
        try (Stream<Path> files = Files.list(source)) {
            for (Path file : files.filter(f -> !f.toString().contains(".safetensors")).toList()) {
                Files.copy(file, target.resolve(file.getFileName()));
            }
        }
    }

    private void layer(String prefix) {
        for (int channel : choose(config.hiddenSize(), NORM_CHANNELS)) {
            row(prefix + LayerNames.INPUT_NORM, channel, LARGE);
            for (String reader : List.of(LayerNames.QUERY, LayerNames.KEY, LayerNames.VALUE)) {
                column(prefix + reader, channel, 1 / LARGE);
            }
        }
        for (int channel : choose(config.hiddenSize(), NORM_CHANNELS)) {
            row(prefix + LayerNames.POST_NORM, channel, LARGE);
            column(prefix + LayerNames.GATE, channel, 1 / LARGE);
            column(prefix + LayerNames.UP, channel, 1 / LARGE);
        }
        for (int channel : choose(config.ffnSize(), UP_ROWS)) {
            row(prefix + LayerNames.UP, channel, LARGE);
            column(prefix + LayerNames.DOWN, channel, 1 / LARGE);
        }
        int headDim = config.headDim();
        int queriesPerHead = config.nHeads() / config.nKvHeads();
        for (int head = 0; head < config.nKvHeads(); head++) {
            for (int pair : choose(headDim / 2, KEY_PAIRS)) {
                for (int channel : new int[] {pair, pair + headDim / 2}) {
                    row(prefix + LayerNames.KEY, head * headDim + channel, SMALL);
                    for (int query = head * queriesPerHead; query < (head + 1) * queriesPerHead; query++) {
                        row(prefix + LayerNames.QUERY, query * headDim + channel, 1 / SMALL);
                    }
                }
            }
            for (int channel : choose(headDim, VALUE_ROWS)) {
                row(prefix + LayerNames.VALUE, head * headDim + channel, SMALL);
                for (int query = head * queriesPerHead; query < (head + 1) * queriesPerHead; query++) {
                    column(prefix + LayerNames.OUTPUT, query * headDim + channel, 1 / SMALL);
                }
            }
        }
    }

    private int[] choose(int n, int count) {
        return random.ints(0, n).distinct().limit(Math.min(n, count)).toArray();
    }

    /** A row of a matrix, or an element of a norm. */
    private void row(String layerName, int row, float factor) {
        float[] values = values(layerName);
        int k = values.length / tensors.get(layerName + ".weight").shape().get(0);
        for (int i = row * k; i < (row + 1) * k; i++) {
            values[i] *= factor;
        }
    }

    private void column(String layerName, int column, float factor) {
        float[] values = values(layerName);
        int k = tensors.get(layerName + ".weight").shape().get(1);
        for (int i = column; i < values.length; i += k) {
            values[i] *= factor;
        }
    }

    private float[] values(String layerName) {
        String name = layerName + ".weight";
        return changed.computeIfAbsent(name, n -> tensors.get(n).toFloats());
    }
}
