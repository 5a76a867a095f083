package io.fireq.engine.quant.calibration;

import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.SafetensorsFile;
import io.fireq.engine.weights.SafetensorsWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The largest magnitude of each channel at each {@link Place} of each layer, in the model as it came and as smoothing
 * left it: what one plots to see outliers. A checkpoint carries it in a safetensors file of its own:
 *
 * <pre>
 *   layers.i.PLACE.before, layers.i.PLACE.after    BF16 [channels]   PLACE in lower case; heads one after the other
 * </pre>
 */
public final class SmoothingMagnitudes {
    /** The file in a checkpoint's directory. */
    public static final String FILE = "channel_magnitudes.safetensors";

    private final Map<String, float[]> byName = new TreeMap<>();

    /** Notes a place; both arrays have a value per channel. */
    public void put(int layer, Place place, float[] before, float[] after) {
        byName.put(name(layer, place, "before"), before.clone());
        byName.put(name(layer, place, "after"), after.clone());
    }

    /** Before smoothing; empty where nothing was measured. */
    public Optional<float[]> before(int layer, Place place) {
        return Optional.ofNullable(byName.get(name(layer, place, "before"))).map(float[]::clone);
    }

    /** After smoothing; empty where nothing was measured. */
    public Optional<float[]> after(int layer, Place place) {
        return Optional.ofNullable(byName.get(name(layer, place, "after"))).map(float[]::clone);
    }

    /** Takes over all that another one has. */
    public void putAll(SmoothingMagnitudes other) {
        byName.putAll(other.byName);
    }

    public boolean isEmpty() {
        return byName.isEmpty();
    }

    /** Reads what a checkpoint carries, or empty if it has none. */
    public static Optional<SmoothingMagnitudes> ofCheckpoint(Path directory) {
        Path file = directory.resolve(FILE);
        return Files.isRegularFile(file) ? Optional.of(read(file)) : Optional.empty();
    }

    /**
     * Reads a file.
     *
     * @throws io.fireq.engine.api.ModelFormatException if it is damaged
     */
    public static SmoothingMagnitudes read(Path path) {
        SmoothingMagnitudes magnitudes = new SmoothingMagnitudes();
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            for (String name : file.tensors().keySet()) {
                magnitudes.byName.put(name, file.tensor(name).toFloats());
            }
        }
        return magnitudes;
    }

    /** Writes a file. */
    public void write(Path path) {
        SafetensorsWriter.write(path, Map.of(), byName.entrySet().stream()
                .map(entry -> bf16(entry.getKey(), entry.getValue())).toList());
    }

    private static HostTensor bf16(String name, float[] values) {
        ByteBuffer data = ByteBuffer.allocate(2 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        for (float value : values) {
            data.putShort(Bf16.encode(value));
        }
        return new HostTensor(name, DType.BF16, List.of(values.length), data.flip());
    }

    private static String name(int layer, Place place, String when) {
        return "layers.%d.%s.%s".formatted(layer, place.fileName(), when);
    }
}
