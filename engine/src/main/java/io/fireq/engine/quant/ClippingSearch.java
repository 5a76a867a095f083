package io.fireq.engine.quant;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;

/**
 * Round-to-nearest in which each group takes the e4m3 scale, clipping included, that leaves the least squared error, and
 * each weight the code whose e4m3-rounded product is nearest.
 *
 * <p>A float32 row scale lifts the row's largest σ to {@value #LARGEST_SCALE}, so that 8σ stays within e4m3 and small
 * groups stay clear of its subnormals.
 */
final class ClippingSearch implements WeightQuantizer {
    private static final float LARGEST_SCALE = 56;
    /** Scales tried, relative to absmax / 7. */
    private static final float LOWEST = 0.55f;
    private static final float HIGHEST = 1.1f;

    @Override
    public Int4Matrix quantize(String name, float[] weights, int n, int k, int groupSize) {
        Int4Packer packer = new Int4Packer(n, k, groupSize);
        for (int row = 0; row < n; row++) {
            quantizeRow(weights, row, k, groupSize, packer);
        }
        return packer.build(name, Int4Matrix.integers());
    }

    private static void quantizeRow(float[] weights, int row, int k, int groupSize, Int4Packer packer) {
        float absmax = absmax(weights, row * k, k);
        float rowScale = absmax == 0 ? 1 : absmax / (7 * LARGEST_SCALE);
        packer.rowScale(row, rowScale);
        float[] scaled = new float[groupSize];
        Int4Grid grid = new Int4Grid();
        for (int group = 0; group < k / groupSize; group++) {
            int from = row * k + group * groupSize;
            for (int i = 0; i < groupSize; i++) {
                scaled[i] = weights[from + i] / rowScale;
            }
            float scale = bestScale(scaled, grid);
            grid.scale(scale);
            packer.groupScale(row, group, scale);
            for (int i = 0; i < groupSize; i++) {
                packer.code(row, group * groupSize + i, grid.nearestCode(scaled[i]));
            }
        }
    }

    private static float bestScale(float[] values, Int4Grid grid) {
        float nominal = absmax(values, 0, values.length) / 7;
        int lowest = Math.max(1, E4m3.encode(nominal * LOWEST));
        int highest = Math.max(lowest, E4m3.encode(nominal * HIGHEST));
        float best = 0;
        double bestError = Double.POSITIVE_INFINITY;
        for (int code = lowest; code <= highest; code++) { // positive e4m3 values ascend with their codes
            float scale = E4m3.decode((byte) code);
            grid.scale(scale);
            double error = 0;
            for (float value : values) {
                double difference = value - grid.value(grid.nearestCode(value));
                error += difference * difference;
            }
            if (error < bestError) {
                bestError = error;
                best = scale;
            }
        }
        return best;
    }

    private static float absmax(float[] values, int from, int count) {
        float max = 0;
        for (int i = from; i < from + count; i++) {
            max = Math.max(max, Math.abs(values[i]));
        }
        return max;
    }
}
