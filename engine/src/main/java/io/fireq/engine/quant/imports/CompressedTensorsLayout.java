package io.fireq.engine.quant.imports;

import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.JsonObject;
import io.fireq.engine.weights.TensorInfo;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * compressed-tensors with 4-bit integer weights. Codes and zero points are -8..7; where they are packed, eight to a word
 * of 32 bits, the lowest first, 8 is added to them.
 *
 * <pre>
 *   X.weight_packed      I32  [n, ceil(k/8)]       format pack-quantized (W4A16); a word holds neighbouring columns
 *   X.weight_shape       I64  [2]                  n, k
 *   X.weight             I8   [n, k]               formats int-quantized and naive-quantized (W4A8) instead
 *   X.weight_scale       BF16 [n, groups], [n, 1] or [1]
 *   X.weight_zero_point  I32  [ceil(n/8), groups]  packed, a word holds neighbouring rows; or I8 [n, groups];
 *                                                  absent where symmetric
 *   X.weight_g_idx       I32  [k]                  the group of each column, or all -1; absent where contiguous
 *   w[n,k] = weight_scale[n, g] · (code − zero_point[n, g]),  g = g_idx[k]
 * </pre>
 *
 * Activations are FireQ's own, e4m3 with a scale per token, whatever the source was calibrated for.
 *
 * @param format    what config.json calls it
 * @param groupSize columns per group in its first group of layers; -1 for whole rows
 */
record CompressedTensorsLayout(String format, int groupSize) implements SourceLayout {
    private static final String PACKED = ".weight_packed";
    private static final String SHAPE = ".weight_shape";
    private static final String UNPACKED = ".weight";
    private static final String SCALES = ".weight_scale";
    private static final String ZEROS = ".weight_zero_point";
    private static final String GROUP_INDEX = ".weight_g_idx";
    private static final Set<String> SUFFIXES = Set.of(PACKED, SHAPE, UNPACKED, SCALES, ZEROS, GROUP_INDEX,
            ".input_scale", ".input_zero_point"); // FireQ scales activations as they come
    private static final List<String> FORMATS = List.of("pack-quantized", "int-quantized", "naive-quantized");

    /**
     * Reads the entry of config.json.
     *
     * @throws UnsupportedModelException when a group of layers is not 4-bit integers in one of these formats
     */
    static CompressedTensorsLayout of(JsonObject json) {
        String format = json.requireString("format");
        JsonObject groups = json.requireObject("config_groups");
        int groupSize = 0;
        for (String key : groups.keys()) {
            JsonObject group = groups.requireObject(key);
            String groupFormat = group.string("format").orElse(format);
            if (!FORMATS.contains(groupFormat)) {
                throw Refusals.unsupported(json, "%s has the format %s".formatted(key, groupFormat),
                        String.join(", ", FORMATS));
            }
            requireWeights(json, key, group.object("weights"));
            requireActivations(json, key, group);
            int columns = group.requireObject("weights").intOr("group_size", -1, -1, 1 << 20);
            groupSize = groupSize == 0 ? columns : groupSize;
        }
        for (String key : List.of("sparsity_config", "transform_config")) {
            json.object(key).filter(entry -> !entry.keys().isEmpty())
                    .filter(entry -> !entry.string("format").orElse("").equals("dense")).ifPresent(entry -> {
                        throw Refusals.unsupported(json, "it has a " + key, "weights without one");
                    });
        }
        return new CompressedTensorsLayout(format, groupSize == 0 ? -1 : groupSize);
    }

    private static void requireWeights(JsonObject json, String group, Optional<JsonObject> weights) {
        int bits = weights.map(entry -> entry.intOr("num_bits", 8, 1, 64)).orElse(16);
        String type = weights.flatMap(entry -> entry.string("type")).orElse("int");
        if (bits != 4 || !type.equals("int")) {
            throw Refusals.unsupported(json, "the weights of %s are %s with %d bits".formatted(group,
                    weights.isEmpty() ? "floats" : type, bits), "int with 4 bits");
        }
        String strategy = weights.get().string("strategy").orElse("group");
        if (!List.of("group", "channel", "tensor").contains(strategy)) {
            throw Refusals.unsupported(json, "the weights of %s have scales per %s".formatted(group, strategy),
                    "per group, channel or tensor");
        }
    }

    private static void requireActivations(JsonObject json, String group, JsonObject scheme) {
        int bits = scheme.object("input_activations").map(entry -> entry.intOr("num_bits", 8, 1, 64)).orElse(16);
        if (bits < 8) {
            throw Refusals.unsupported(json, "the activations of %s have %d bits".formatted(group, bits), "8 or more");
        }
        if (scheme.has("output_activations")) {
            throw Refusals.unsupported(json, "%s quantizes the outputs of layers".formatted(group), "their inputs only");
        }
    }

    @Override
    public String description() {
        return "compressed-tensors %s, %s".formatted(format,
                groupSize == -1 ? "a scale per row" : "group size " + groupSize);
    }

    @Override
    public boolean isPresent(LayerTensors tensors) {
        return tensors.has(PACKED) || tensors.has(UNPACKED) && tensors.has(SCALES);
    }

    @Override
    public GroupedInt4 read(LayerTensors tensors, int n, int k) {
        int groups = groups(tensors, n, k);
        float[] scales = scales(tensors, n, groups);
        int[] zeros = zeros(tensors, n, groups);
        int[] groupOf = groupOf(tensors, k, groups);
        byte[] steps = codes(tensors, n, k);
        for (int row = 0; row < n; row++) {
            for (int column = 0; column < k; column++) {
                steps[row * k + column] -= (byte) zeros[row * groups + groupOf[column]];
            }
        }
        return new GroupedInt4(tensors.layerName(), n, k, steps, groups, groupOf, scales);
    }

    private static int groups(LayerTensors tensors, int n, int k) {
        TensorInfo scales = tensors.info(SCALES);
        List<Integer> shape = scales.shape();
        int groups = shape.size() == 2 && shape.get(0) == n ? shape.get(1) : isSingle(shape) ? 1 : 0;
        if (groups < 1 || k % groups != 0) {
            throw tensors.malformed(SCALES, ("tensor '%s' has the shape %s; a weight [%d, %d] needs [%d, groups] with "
                    + "groups that divide %d, or [1]; start from the original checkpoint").formatted(scales.name(),
                            shape, n, k, n, k));
        }
        return groups;
    }

    private static boolean isSingle(List<Integer> shape) {
        return shape.stream().allMatch(dim -> dim == 1);
    }

    private static float[] scales(LayerTensors tensors, int n, int groups) {
        List<Integer> shape = tensors.info(SCALES).shape();
        float[] stored = tensors.floats(SCALES, shape.stream().mapToInt(dim -> dim).toArray());
        if (stored.length == n * groups) {
            return stored;
        }
        float[] scales = new float[n];
        Arrays.fill(scales, stored[0]);
        return scales;
    }

    /** {@code [n, groups]}, -8..7. */
    private static int[] zeros(LayerTensors tensors, int n, int groups) {
        int[] zeros = new int[n * groups];
        if (!tensors.has(ZEROS)) {
            return zeros;
        }
        boolean packed = tensors.info(ZEROS).dtypeName().equals("I32");
        ByteBuffer stored = packed
                ? tensors.int32(ZEROS, Nibbles.words(n), groups)
                : tensors.int8(ZEROS, tensors.info(SCALES).shape().stream().mapToInt(dim -> dim).toArray());
        for (int i = 0; i < zeros.length; i++) {
            int row = i / groups;
            zeros[i] = packed
                    ? Nibbles.get(stored, row / Nibbles.PER_WORD * groups + i % groups, row % Nibbles.PER_WORD) - 8
                    : requireInt4(tensors, ZEROS, stored.get(stored.capacity() == 1 ? 0 : i), i);
        }
        return zeros;
    }

    /** {@code [n, k]}, -8..7. */
    private static byte[] codes(LayerTensors tensors, int n, int k) {
        byte[] codes = new byte[Math.multiplyExact(n, k)];
        if (!tensors.has(PACKED)) {
            ByteBuffer stored = tensors.int8(UNPACKED, n, k);
            for (int i = 0; i < codes.length; i++) {
                codes[i] = (byte) requireInt4(tensors, UNPACKED, stored.get(i), i);
            }
            return codes;
        }
        requireStoredShape(tensors, n, k);
        int rowWords = Nibbles.words(k);
        ByteBuffer words = tensors.int32(PACKED, n, rowWords);
        for (int row = 0; row < n; row++) {
            for (int column = 0; column < k; column++) {
                int code = Nibbles.get(words, row * rowWords + column / Nibbles.PER_WORD, column % Nibbles.PER_WORD);
                codes[row * k + column] = (byte) (code - 8);
            }
        }
        return codes;
    }

    private static int requireInt4(LayerTensors tensors, String suffix, int value, int at) {
        if (value < -8 || value > 7) {
            throw tensors.malformed(suffix, ("'%s%s' holds %d at %d; 4-bit integers are -8..7; other widths are not "
                    + "imported, start from the original checkpoint").formatted(tensors, suffix, value, at));
        }
        return value;
    }

    private static void requireStoredShape(LayerTensors tensors, int n, int k) {
        if (!tensors.has(SHAPE)) {
            return;
        }
        long[] stored = tensors.int64(SHAPE, 2);
        if (stored[0] != n || stored[1] != k) {
            throw tensors.malformed(SHAPE, ("'%s%s' holds [%d, %d], config.json makes it [%d, %d]; config.json and the "
                    + "weights are of different models").formatted(tensors, SHAPE, stored[0], stored[1], n, k));
        }
    }

    private static int[] groupOf(LayerTensors tensors, int k, int groups) {
        return tensors.has(GROUP_INDEX) && tensors.int32(GROUP_INDEX, k).getInt(0) != -1
                ? GroupIndex.read(tensors, GROUP_INDEX, k, groups)
                : GroupedInt4.contiguousGroups(k, groups);
    }

    @Override
    public Set<String> suffixes() {
        return SUFFIXES;
    }
}
