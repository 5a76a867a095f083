package io.fireq.engine.quant.imports;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.TensorInfo;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** The tensors of one linear layer in a source checkpoint, by the part of their name behind the layer's. */
final class LayerTensors {
    private static final Set<DType> FLOATS = Set.of(DType.F32, DType.F16, DType.BF16);

    private final Checkpoint checkpoint;
    private final String layerName;

    LayerTensors(Checkpoint checkpoint, String layerName) {
        this.checkpoint = checkpoint;
        this.layerName = layerName;
    }

    String layerName() {
        return layerName;
    }

    boolean has(String suffix) {
        return checkpoint.has(layerName + suffix);
    }

    /** What the header says; {@link ModelFormatException} when there is no such tensor. */
    TensorInfo info(String suffix) {
        if (!has(suffix)) {
            checkpoint.bytes(layerName + suffix); // its message names similar tensors
        }
        return checkpoint.info(layerName + suffix);
    }

    /** All suffixes that the checkpoint has for this layer. */
    Set<String> suffixes() {
        return checkpoint.names().stream().filter(name -> name.startsWith(layerName + "."))
                .map(name -> name.substring(layerName.length())).collect(Collectors.toSet());
    }

    /** Integers of 32 bits. */
    ByteBuffer int32(String suffix, int... shape) {
        return bytes(suffix, "I32", shape);
    }

    ByteBuffer int8(String suffix, int... shape) {
        return bytes(suffix, "I8", shape);
    }

    /** Integers of 64 bits; some writers take 32. */
    long[] int64(String suffix, int count) {
        boolean narrow = info(suffix).dtypeName().equals("I32");
        ByteBuffer stored = bytes(suffix, narrow ? "I32" : "I64", count);
        long[] values = new long[count];
        for (int i = 0; i < count; i++) {
            values[i] = narrow ? stored.getInt(i * Integer.BYTES) : stored.getLong(i * Long.BYTES);
        }
        return values;
    }

    private ByteBuffer bytes(String suffix, String dtypeName, int... shape) {
        TensorInfo info = info(suffix);
        requireShape(suffix, info.shape(), shape);
        if (!info.dtypeName().equals(dtypeName)) {
            throw malformed(suffix, "tensor '%s' %s %s: the format must be %s; fetch the checkpoint again"
                    .formatted(info.name(), info.dtypeName(), info.shape(), dtypeName));
        }
        return checkpoint.bytes(info.name());
    }

    /** Finite numbers, F32, F16 or BF16. */
    float[] floats(String suffix, int... shape) {
        HostTensor tensor = floatTensor(suffix, shape);
        float[] values = tensor.toFloats();
        for (int i = 0; i < values.length; i++) {
            if (!Float.isFinite(values[i])) {
                throw malformed(suffix, "tensor %s holds %s at %d; the checkpoint is damaged, fetch it again"
                        .formatted(tensor, values[i], i));
            }
        }
        return values;
    }

    /** {@code [columns, rows]} of a tensor {@code [rows, columns]}. */
    float[] transposedFloats(String suffix, int rows, int columns) {
        float[] values = floats(suffix, rows, columns);
        float[] transposed = new float[values.length];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                transposed[column * rows + row] = values[row * columns + column];
            }
        }
        return transposed;
    }

    HostTensor floatTensor(String suffix, int... shape) {
        TensorInfo info = info(suffix);
        requireShape(suffix, info.shape(), shape);
        if (info.dtype().filter(FLOATS::contains).isEmpty()) {
            throw malformed(suffix, "tensor '%s' %s %s: the format must be F32, F16 or BF16; start from the original "
                    .formatted(info.name(), info.dtypeName(), info.shape()) + "checkpoint");
        }
        return checkpoint.tensor(info.name());
    }

    private void requireShape(String suffix, List<Integer> actual, int... required) {
        if (!actual.equals(Arrays.stream(required).boxed().toList())) {
            throw malformed(suffix, ("tensor '%s%s' has the shape %s; a 4-bit weight needs %s; other widths are not "
                    + "imported, and otherwise config.json and the weights are of different models")
                    .formatted(layerName, suffix, actual, Arrays.toString(required)));
        }
    }

    ModelFormatException malformed(String suffix, String problem) {
        return checkpoint.malformed(layerName + suffix, problem);
    }

    @Override
    public String toString() {
        return layerName;
    }
}
