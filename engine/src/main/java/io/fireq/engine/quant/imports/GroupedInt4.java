package io.fireq.engine.quant.imports;

/**
 * Integer weights with scales, the common form of all sources: {@code w[n,k] = scales[n, groupOf[k]] · steps[n,k]}, the
 * product in float32. Steps are codes less their zero point.
 *
 * @param name    the layer
 * @param n       rows
 * @param k       columns
 * @param steps   {@code [n, k]}, -15..15
 * @param groups  groups of columns
 * @param groupOf {@code [k]} the group of each column
 * @param scales  {@code [n, groups]}, finite
 */
record GroupedInt4(String name, int n, int k, byte[] steps, int groups, int[] groupOf, float[] scales)
        implements SourceWeights {

    /** Groups of neighbouring columns, equally large. */
    static int[] contiguousGroups(int k, int groups) {
        int[] groupOf = new int[k];
        for (int column = 0; column < k; column++) {
            groupOf[column] = column / (k / groups);
        }
        return groupOf;
    }

    boolean hasContiguousGroups() {
        if (k % groups != 0) {
            return false;
        }
        for (int column = 0; column < k; column++) {
            if (groupOf[column] != column / (k / groups)) {
                return false;
            }
        }
        return true;
    }

    @Override
    public float get(int row, int column) {
        return scales[row * groups + groupOf[column]] * steps[row * k + column];
    }
}
