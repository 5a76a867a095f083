package io.fireq.engine.quant.imports;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.JsonObject;
import io.fireq.engine.weights.TensorInfo;
import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.Set;

/**
 * GPTQ as AutoGPTQ and GPTQModel store it. Words are 32 bits, eight 4-bit numbers, the lowest first.
 *
 * <pre>
 *   X.qweight  I32  [k/8, n]        codes 0..15; a word holds eight neighbouring columns of one row
 *   X.qzeros   I32  [groups, n/8]   zero points; a word holds eight neighbouring rows
 *   X.scales   F16  [groups, n]
 *   X.g_idx    I32  [k]             the group of each column; absent where groups are contiguous
 *   w[n,k] = scales[g, n] · (code − zero[g, n]),  g = g_idx[k]
 * </pre>
 *
 * {@code checkpoint_format} gptq (v1) stores zero points less one, gptq_v2 as they are. Nothing in the tensors tells
 * which, except that zero points are 8 in a symmetric checkpoint.
 *
 * @param groupSize  columns per group that config.json names; -1 for whole rows
 * @param perLayer   whether layers may have other group sizes than that
 * @param zeroOffset what is added to a stored zero point
 * @param symmetric  whether config.json says that all zero points are 8
 */
record GptqLayout(int groupSize, boolean perLayer, int zeroOffset, boolean symmetric) implements SourceLayout {
    private static final String CODES = ".qweight";
    private static final String ZEROS = ".qzeros";
    private static final String SCALES = ".scales";
    private static final String GROUP_INDEX = ".g_idx";

    /**
     * Reads the entry of config.json.
     *
     * @throws UnsupportedModelException when it is not 4 bits in this layout
     */
    static GptqLayout of(JsonObject json) {
        Refusals.requireFourBits(json, json.requireInt("bits", 1, 64));
        String format = json.string("checkpoint_format").or(() -> json.string("format")).orElse("gptq")
                .toLowerCase(Locale.ROOT);
        if (json.booleanOr("is_marlin_format", false)) {
            format = "marlin";
        }
        int zeroOffset = switch (format) {
            case "gptq" -> 1;
            case "gptq_v2" -> 0;
            default -> throw Refusals.unsupported(json, "checkpoint_format is %s".formatted(format), "gptq, gptq_v2");
        };
        String packing = json.string("pack_dtype").orElse("int32");
        if (!packing.endsWith("int32")) {
            throw Refusals.unsupported(json, "pack_dtype is %s".formatted(packing), "int32");
        }
        if (json.has("adapter")) {
            throw Refusals.unsupported(json, "it has an adapter", "weights without one");
        }
        return new GptqLayout(groupSize(json, "group_size"), json.has("dynamic"), zeroOffset,
                json.booleanOr("sym", false));
    }

    /** -1, or 1 and more. */
    static int groupSize(JsonObject json, String key) {
        int groupSize = json.requireInt(key, -1, 1 << 20);
        if (groupSize == 0) {
            throw json.malformed(key, "is 0; required is a number of columns, or -1 for whole rows");
        }
        return groupSize;
    }

    @Override
    public String description() {
        return "GPTQ, %s, zero points %s".formatted(
                groupSize == -1 ? "a scale per row" : "group size " + groupSize,
                zeroOffset == 1 ? "stored less one (v1)" : "as stored (v2)");
    }

    @Override
    public boolean isPresent(LayerTensors tensors) {
        return tensors.has(CODES);
    }

    @Override
    public GroupedInt4 read(LayerTensors tensors, int n, int k) {
        Refusals.requireWholeWords(tensors, n, k);
        ByteBuffer codes = tensors.int32(CODES, k / Nibbles.PER_WORD, n);
        int groups = groups(tensors, k);
        float[] scales = tensors.transposedFloats(SCALES, groups, n);
        int[] zeros = zeros(tensors, n, groups);
        int[] groupOf = groupOf(tensors, k, groups);
        byte[] steps = new byte[Math.multiplyExact(n, k)];
        for (int word = 0; word < k / Nibbles.PER_WORD; word++) {
            for (int row = 0; row < n; row++) {
                for (int i = 0; i < Nibbles.PER_WORD; i++) {
                    int column = word * Nibbles.PER_WORD + i;
                    int code = Nibbles.get(codes, word * n + row, i);
                    steps[row * k + column] = (byte) (code - zeros[groupOf[column] * n + row]);
                }
            }
        }
        return new GroupedInt4(tensors.layerName(), n, k, steps, groups, groupOf, scales);
    }

    private int groups(LayerTensors tensors, int k) {
        TensorInfo scales = tensors.info(SCALES);
        int groups = scales.shape().isEmpty() ? 0 : scales.shape().get(0);
        int wanted = groupSize == -1 ? 1 : (k + groupSize - 1) / groupSize;
        if (groups < 1 || k % groups != 0 || !perLayer && groups != wanted) {
            throw tensors.malformed(SCALES, ("tensor '%s' %s: %d columns in groups of %s, as config.json has it, do not "
                    + "make %d groups of equal size; FireQ needs that, start from the original checkpoint")
                    .formatted(scales.name(), scales.shape(), k, groupSize == -1 ? "a row" : groupSize, groups));
        }
        return groups;
    }

    /** {@code [groups, n]}. */
    private int[] zeros(LayerTensors tensors, int n, int groups) {
        ByteBuffer words = tensors.int32(ZEROS, groups, n / Nibbles.PER_WORD);
        int[] zeros = new int[groups * n];
        for (int i = 0; i < zeros.length; i++) {
            int stored = Nibbles.get(words, i / Nibbles.PER_WORD, i % Nibbles.PER_WORD);
            zeros[i] = stored + zeroOffset;
            if (zeros[i] == 16) {
                throw unreadableZero(tensors, i / n, i % n);
            }
            if (symmetric && zeros[i] != 8) {
                throw tensors.malformed(ZEROS, ("'%s%s' holds the zero point %d for group %d of row %d, and config.json "
                        + "says that the weights are symmetric, which is 8; %s").formatted(tensors, ZEROS, zeros[i],
                                i / n, i % n, zeroOffset == 1 && zeros[i] == 9
                                        ? "if zero points are stored as they are, checkpoint_format is gptq_v2"
                                        : "fetch the checkpoint again"));
            }
        }
        return zeros;
    }

    private static ModelFormatException unreadableZero(LayerTensors tensors, int group, int row) {
        return tensors.malformed(ZEROS, ("'%s%s' holds 15 for group %d of row %d, and checkpoint_format gptq stores zero "
                + "points 1..15 less one; a zero point of 0 is lost in this format, use one in gptq_v2 or start from the "
                + "original checkpoint").formatted(tensors, ZEROS, group, row));
    }

    private static int[] groupOf(LayerTensors tensors, int k, int groups) {
        if (!tensors.has(GROUP_INDEX)) {
            return GroupedInt4.contiguousGroups(k, groups);
        }
        return GroupIndex.read(tensors, GROUP_INDEX, k, groups);
    }

    @Override
    public Set<String> suffixes() {
        return Set.of(CODES, ZEROS, SCALES, GROUP_INDEX);
    }
}
