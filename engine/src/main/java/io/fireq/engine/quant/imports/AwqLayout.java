package io.fireq.engine.quant.imports;

import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.JsonObject;
import io.fireq.engine.weights.TensorInfo;
import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.Set;

/**
 * AWQ in AutoAWQ's version {@code gemm}. Words are 32 bits and hold eight neighbouring rows, not in their order: the
 * nibbles, lowest first, are rows 0 2 4 6 1 3 5 7.
 *
 * <pre>
 *   X.qweight  I32  [k, n/8]        codes 0..15
 *   X.qzeros   I32  [groups, n/8]   zero points 0..15
 *   X.scales   F16  [groups, n]
 *   w[n,k] = scales[g, n] · (code − zero[g, n]),  g = k / groupSize
 * </pre>
 *
 * @param groupSize columns per group; -1 for whole rows
 */
record AwqLayout(int groupSize) implements SourceLayout {
    private static final String CODES = ".qweight";
    private static final String ZEROS = ".qzeros";
    private static final String SCALES = ".scales";
    /** The nibble of each of the eight rows. */
    private static final int[] NIBBLE_OF_ROW = {0, 4, 1, 5, 2, 6, 3, 7};

    /**
     * Reads the entry of config.json.
     *
     * @throws UnsupportedModelException when it is not 4 bits in this layout
     */
    static AwqLayout of(JsonObject json) {
        Refusals.requireFourBits(json, json.requireInt(json.has("bits") ? "bits" : "w_bit", 1, 64));
        String version = json.string("version").orElse("gemm").toLowerCase(Locale.ROOT);
        if (!version.equals("gemm")) {
            throw Refusals.unsupported(json, "the version is %s".formatted(version), "gemm");
        }
        return new AwqLayout(GptqLayout.groupSize(json, json.has("group_size") ? "group_size" : "q_group_size"));
    }

    @Override
    public String description() {
        return "AWQ gemm, " + (groupSize == -1 ? "a scale per row" : "group size " + groupSize);
    }

    @Override
    public boolean isPresent(LayerTensors tensors) {
        return tensors.has(CODES);
    }

    @Override
    public GroupedInt4 read(LayerTensors tensors, int n, int k) {
        Refusals.requireWholeWords(tensors, n, k);
        int rowWords = n / Nibbles.PER_WORD;
        int groups = groups(tensors, k);
        ByteBuffer codes = tensors.int32(CODES, k, rowWords);
        ByteBuffer zeros = tensors.int32(ZEROS, groups, rowWords);
        float[] scales = tensors.transposedFloats(SCALES, groups, n);
        int[] groupOf = GroupedInt4.contiguousGroups(k, groups);
        byte[] steps = new byte[Math.multiplyExact(n, k)];
        for (int column = 0; column < k; column++) {
            for (int row = 0; row < n; row++) {
                int word = row / Nibbles.PER_WORD;
                int nibble = NIBBLE_OF_ROW[row % Nibbles.PER_WORD];
                int code = Nibbles.get(codes, column * rowWords + word, nibble);
                steps[row * k + column] = (byte) (code - Nibbles.get(zeros, groupOf[column] * rowWords + word, nibble));
            }
        }
        return new GroupedInt4(tensors.layerName(), n, k, steps, groups, groupOf, scales);
    }

    private int groups(LayerTensors tensors, int k) {
        if (groupSize == -1) {
            return 1;
        }
        if (k % groupSize != 0) {
            TensorInfo scales = tensors.info(SCALES);
            throw tensors.malformed(SCALES, ("tensor '%s' %s: %d columns are no multiple of the group size %d that "
                    + "config.json names; FireQ needs groups of equal size, start from the original checkpoint")
                    .formatted(scales.name(), scales.shape(), k, groupSize));
        }
        return k / groupSize;
    }

    @Override
    public Set<String> suffixes() {
        return Set.of(CODES, ZEROS, SCALES);
    }
}
