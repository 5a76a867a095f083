package io.fireq.engine.weights.v1;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * How the weight {@code [n, k]} of a linear layer X (such as {@code model.layers.0.self_attn.q_proj}) is laid out in
 * safetensors files. All tensors are row-major and little-endian.
 *
 * <pre>
 *   INT4   X.weight_packed      U8       [n, ceil(k/2)]    codes 0..15, two in a byte:
 *                                                          low nibble = even column, high nibble = the next one
 *          X.weight_scale       F8_E4M3  [n, k/groupSize]  σ of each group of columns, of either sign
 *          X.weight_row_scale   F32      [n]
 *          X.weight_values      F32      [16]              what the codes stand for; absent where codes are
 *                                                          two's complement: 0, 1, …, 7, −8, …, −1
 *          w[n,k] = row_scale[n] · e4m3(values[code] · σ[n, k / groupSize])
 *
 *   FP8    X.weight_e4m3        F8_E4M3  [n, k]
 *          X.weight_row_scale   F32      [n]
 *          w[n,k] = row_scale[n] · weight_e4m3[n,k]
 *
 *   none   X.weight             F32, F16 or BF16 [n, k]    as in a Hugging Face checkpoint
 * </pre>
 *
 * Everything that is no linear layer keeps its Hugging Face name and format. One tensor is new:
 * {@code model.layers.i.self_attn.k_smooth}, F32 {@code [nKvHeads, headDim]}, optional: K is multiplied by it after the
 * rotary embedding and Q divided by it.
 */
public final class LinearFormat {
    static final String PACKED = ".weight_packed";
    static final String GROUP_SCALE = ".weight_scale";
    static final String ROW_SCALE = ".weight_row_scale";
    static final String VALUES = ".weight_values";
    static final String E4M3 = ".weight_e4m3";
    static final String PLAIN = ".weight";

    private LinearFormat() {}

    /** The name of a layer's optional K smoothing vector. */
    public static String kSmoothName(int layer) {
        return "model.layers." + layer + ".self_attn.k_smooth";
    }

    /** The tensors that a weight is stored as. They share its memory. */
    public static List<HostTensor> encode(String layerName, WeightMatrix weight) {
        if (weight instanceof Int4Matrix int4) {
            return encodeInt4(layerName, int4);
        }
        if (weight instanceof E4m3Matrix e4m3) {
            return List.of(
                    new HostTensor(layerName + E4M3, DType.E4M3, List.of(e4m3.n(), e4m3.k()), whole(e4m3.codes())),
                    HostTensor.ofFloats(layerName + ROW_SCALE, List.of(e4m3.n()), e4m3.rowScale()));
        }
        HostTensor tensor = ((FloatMatrix) weight).tensor();
        return List.of(new HostTensor(layerName + PLAIN, tensor.dtype(), tensor.shape(), whole(tensor.data())));
    }

    private static List<HostTensor> encodeInt4(String layerName, Int4Matrix weight) {
        int n = weight.n();
        List<HostTensor> tensors = new ArrayList<>();
        tensors.add(new HostTensor(layerName + PACKED, DType.U8, List.of(n, weight.rowBytes()),
                whole(weight.packed())));
        tensors.add(new HostTensor(layerName + GROUP_SCALE, DType.E4M3, List.of(n, weight.groups()),
                whole(weight.scales())));
        tensors.add(HostTensor.ofFloats(layerName + ROW_SCALE, List.of(n), weight.rowScale()));
        if (!Arrays.equals(weight.values(), Int4Matrix.integers())) {
            tensors.add(HostTensor.ofFloats(layerName + VALUES, List.of(Int4Matrix.CODES), weight.values()));
        }
        return tensors;
    }

    /** Whether a source has the layer's weight, in any of the three forms. */
    public static boolean isPresent(String layerName, Predicate<String> hasTensor) {
        return Stream.of(PACKED, E4M3, PLAIN).anyMatch(suffix -> hasTensor.test(layerName + suffix));
    }

    private static ByteBuffer whole(ByteBuffer data) {
        return data.duplicate().clear();
    }

    /**
     * Reads the weight of a layer in whichever of the three forms the source has.
     *
     * @throws ModelFormatException when it has none, or one of other shapes or formats than required
     */
    public static WeightMatrix decode(String layerName, int n, int k, TensorSource source) {
        if (source.has(layerName + PACKED)) {
            return decodeInt4(layerName, n, k, source);
        }
        if (source.has(layerName + E4M3)) {
            HostTensor codes = tensor(source, layerName + E4M3, DType.E4M3, n, k);
            requireNumbers(codes, source);
            return new E4m3Matrix(layerName, n, k, codes.data(), rowScale(layerName, n, source));
        }
        HostTensor plain = source.tensor(layerName + PLAIN);
        if (plain.dtype() == DType.E4M3 || plain.dtype() == DType.U8) {
            throw new UnsupportedModelException(
                    "Tensor %s: an unquantized weight is F32, F16 or BF16; quantize from the original checkpoint"
                            .formatted(plain));
        }
        requireShape(source, plain, n, k);
        return new FloatMatrix(plain);
    }

    private static Int4Matrix decodeInt4(String layerName, int n, int k, TensorSource source) {
        ByteBuffer packed = tensor(source, layerName + PACKED, DType.U8, n, (k + 1) / 2).data();
        HostTensor scales = source.tensor(layerName + GROUP_SCALE);
        int groups = scales.shape().size() == 2 ? scales.shape().get(1) : 0;
        if (groups < 1 || k % groups != 0 || (k / groups) % 2 != 0 && groups != 1) {
            throw source.malformed(scales.name(),
                    "tensor %s: k=%d must divide into groups of equal and even size; quantize the model again"
                            .formatted(scales, k));
        }
        requireDtype(source, scales, DType.E4M3);
        requireShape(source, scales, n, groups);
        requireNumbers(scales, source);
        float[] values = Int4Matrix.integers();
        if (source.has(layerName + VALUES)) {
            values = tensor(source, layerName + VALUES, DType.F32, Int4Matrix.CODES).toFloats();
            requireFinite(layerName + VALUES, values, source);
        }
        return new Int4Matrix(layerName, n, k, k / groups, packed, scales.data(), rowScale(layerName, n, source),
                values);
    }

    private static float[] rowScale(String layerName, int n, TensorSource source) {
        float[] scales = tensor(source, layerName + ROW_SCALE, DType.F32, n).toFloats();
        requireFinite(layerName + ROW_SCALE, scales, source);
        return scales;
    }

    /** Two e4m3 codes are NaN, {@code S.1111.111}: eight bytes are looked at together. */
    private static void requireNumbers(HostTensor e4m3, TensorSource source) {
        ByteBuffer codes = whole(e4m3.data());
        int at = 0;
        for (; at + Long.BYTES <= codes.limit(); at += Long.BYTES) {
            // Without signs only 0x7f carries into its highest bit when 1 is added.
            if (((codes.getLong(at) & 0x7f7f7f7f7f7f7f7fL) + 0x0101010101010101L & 0x8080808080808080L) != 0) {
                break;
            }
        }
        for (; at < codes.limit(); at++) {
            if ((codes.get(at) & 0x7f) == 0x7f) {
                throw source.malformed(e4m3.name(),
                        "'%s' holds the e4m3 code 0x%02x, which is NaN, at index %d; the file is damaged, or quantize the "
                                .formatted(e4m3.name(), codes.get(at), at) + "model again");
            }
        }
    }

    private static void requireFinite(String name, float[] values, TensorSource source) {
        for (int i = 0; i < values.length; i++) {
            if (!Float.isFinite(values[i])) {
                throw source.malformed(name, "'%s' holds %s at index %d; quantize the model again"
                        .formatted(name, values[i], i));
            }
        }
    }

    private static HostTensor tensor(TensorSource source, String name, DType dtype, Integer... shape) {
        HostTensor tensor = source.tensor(name);
        requireDtype(source, tensor, dtype);
        requireShape(source, tensor, shape);
        return tensor;
    }

    private static void requireDtype(TensorSource source, HostTensor tensor, DType required) {
        if (tensor.dtype() != required) {
            throw source.malformed(tensor.name(), "tensor %s: the format must be %s; quantize the model again"
                    .formatted(tensor, required.safetensorsName()));
        }
    }

    private static void requireShape(TensorSource source, HostTensor tensor, Integer... required) {
        if (!tensor.shape().equals(List.of(required))) {
            throw source.malformed(tensor.name(),
                    "tensor %s: the shape must be %s; config.json and the weights are of different models"
                            .formatted(tensor, List.of(required)));
        }
    }
}
