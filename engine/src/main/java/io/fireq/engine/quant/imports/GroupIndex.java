package io.fireq.engine.quant.imports;

import java.nio.ByteBuffer;

/** The tensor that names the group of each column. */
final class GroupIndex {
    private GroupIndex() {}

    /** {@code [k]} groups 0..groups-1. */
    static int[] read(LayerTensors tensors, String suffix, int k, int groups) {
        ByteBuffer stored = tensors.int32(suffix, k);
        int[] groupOf = new int[k];
        for (int column = 0; column < k; column++) {
            int group = stored.getInt(column * Integer.BYTES);
            if (group < 0 || group >= groups) {
                throw tensors.malformed(suffix, "'%s%s' puts column %d into group %d of %d; fetch the checkpoint again"
                        .formatted(tensors, suffix, column, group, groups));
            }
            groupOf[column] = group;
        }
        return groupOf;
    }
}
