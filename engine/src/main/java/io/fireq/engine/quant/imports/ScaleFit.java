package io.fireq.engine.quant.imports;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Keeps the codes of a source and finds row scales and e4m3 group scales for them.
 *
 * <p>The source multiplies a step by a scale of 11 or more significant bits. FireQ's group scale σ has four, and so has
 * the product of code and σ. Of a row scale, only its phase against the group scales matters: σ of the largest group is
 * tried at the e4m3 values from 30 to 56 and at {@value #PHASES} places between 28 and 56 (8σ stays within e4m3), and for
 * each the two σ around {@code scale / rowScale}. The row scale of least squared error over the row's weights wins. Where
 * all scales of a row are one scale times powers of two, a row of one group included, that error is 0.
 *
 * <p>A group whose steps are -7..8 is stored with a negative σ and negated codes.
 */
final class ScaleFit {
    private static final int PHASES = 32;
    private static final float LARGEST_SCALE = 56;
    private static final int LARGEST_SCALE_CODE = E4m3.encode(LARGEST_SCALE);
    /** 32 first: it is exact where anything is, and ties go to the first. */
    private static final float[] LARGEST_SCALES = largestScales();
    /** {@code [127, 9]}: e4m3(magnitude · σ) by the code of a positive σ. */
    private static final float[] PRODUCTS = products();
    private static final int MAGNITUDES = 9;

    private final GroupedInt4 source;
    private final int groupSize;
    private final byte[] packed;
    private final byte[] scaleCodes;
    private final float[] rowScale;

    private ScaleFit(GroupedInt4 source) {
        this.source = source;
        groupSize = source.k() / source.groups();
        packed = new byte[Math.multiplyExact(source.n(), (source.k() + 1) / 2)];
        scaleCodes = new byte[source.n() * source.groups()];
        rowScale = new float[source.n()];
    }

    /** Why the codes of a source cannot be kept, in a clause; empty where they can. */
    static Optional<String> misfit(GroupedInt4 source) {
        if (!source.hasContiguousGroups()) {
            return Optional.of("its columns are grouped by activation order (g_idx), and FireQ's groups are neighbours");
        }
        int groupSize = source.k() / source.groups();
        if (groupSize % 2 != 0 && source.groups() > 1) {
            return Optional.of("its groups have %d columns, and FireQ's are even".formatted(groupSize));
        }
        int misfits = 0;
        int lowest = 0;
        int highest = 0;
        for (int group = 0; group < source.n() * source.groups(); group++) {
            Range range = range(source, group);
            if (!range.fits() && !range.fitsNegated()) {
                misfits++;
                lowest = Math.min(lowest, range.lowest);
                highest = Math.max(highest, range.highest);
            }
        }
        return misfits == 0
                ? Optional.empty()
                : Optional.of(("zero points put the weights of %,d of its %,d groups as far as %d to %d steps from zero, "
                        + "and FireQ's codes are -8 to 7").formatted(misfits, source.n() * source.groups(), lowest,
                                highest));
    }

    /** The source's codes with fitted scales; only for one without {@link #misfit}. */
    static Int4Matrix fit(GroupedInt4 source) {
        ScaleFit fit = new ScaleFit(source);
        IntStream.range(0, source.n()).parallel().forEach(fit::fitRow);
        return new Int4Matrix(source.name(), source.n(), source.k(), fit.groupSize, ByteBuffer.wrap(fit.packed),
                ByteBuffer.wrap(fit.scaleCodes), fit.rowScale, Int4Matrix.integers());
    }

    private void fitRow(int row) {
        int groups = source.groups();
        float largest = 0;
        int[] counts = new int[groups * MAGNITUDES];
        for (int group = 0; group < groups; group++) {
            if (count(row, group, counts)) {
                largest = Math.max(largest, Math.abs(source.scales()[row * groups + group]));
            }
        }
        byte[] best = new byte[groups];
        rowScale[row] = largest == 0 ? 1 : bestRowScale(row, largest, counts, best);
        for (int group = 0; group < groups; group++) {
            boolean negated = !range(source, row * groups + group).fits();
            boolean negative = negated != source.scales()[row * groups + group] < 0;
            scaleCodes[row * groups + group] = (byte) (Math.max(1, best[group]) | (negative ? 0x80 : 0));
            pack(row, group, negated);
        }
    }

    /** Counts the magnitudes of a group's steps; false where all its weights are zero. */
    private boolean count(int row, int group, int[] counts) {
        if (source.scales()[row * source.groups() + group] == 0) {
            return false;
        }
        int from = row * source.k() + group * groupSize;
        for (int i = from; i < from + groupSize; i++) {
            counts[group * MAGNITUDES + Math.abs(source.steps()[i])]++;
        }
        return counts[group * MAGNITUDES] < groupSize;
    }

    private float bestRowScale(int row, float largest, int[] counts, byte[] best) {
        byte[] candidate = new byte[best.length];
        float bestScale = 0;
        double bestError = Double.POSITIVE_INFINITY;
        for (float largestScale : LARGEST_SCALES) {
            float scale = largest / largestScale;
            double error = 0;
            for (int group = 0; group < best.length && error < bestError; group++) {
                error += fitGroup(Math.abs(source.scales()[row * best.length + group]), scale, counts, group, candidate);
            }
            if (error < bestError) {
                bestError = error;
                bestScale = scale;
                System.arraycopy(candidate, 0, best, 0, best.length);
            }
        }
        return bestScale;
    }

    /** Chooses the code of σ for one group; returns the squared error of its weights. */
    private static double fitGroup(float scale, float rowScale, int[] counts, int group, byte[] scaleCodes) {
        float wanted = Math.min(LARGEST_SCALE, scale / rowScale);
        int nearest = Math.max(1, E4m3.encode(wanted));
        int other = E4m3.decode((byte) nearest) < wanted ? nearest + 1 : nearest - 1;
        double nearestError = error(scale, rowScale, nearest, counts, group);
        if (other < 1 || other > LARGEST_SCALE_CODE) {
            scaleCodes[group] = (byte) nearest;
            return nearestError;
        }
        double otherError = error(scale, rowScale, other, counts, group);
        scaleCodes[group] = (byte) (otherError < nearestError ? other : nearest);
        return Math.min(otherError, nearestError);
    }

    private static double error(float scale, float rowScale, int scaleCode, int[] counts, int group) {
        double sum = 0;
        for (int magnitude = 1; magnitude < MAGNITUDES; magnitude++) {
            double error = (double) scale * magnitude
                    - (double) rowScale * PRODUCTS[scaleCode * MAGNITUDES + magnitude];
            sum += counts[group * MAGNITUDES + magnitude] * error * error;
        }
        return sum;
    }

    private void pack(int row, int group, boolean negated) {
        boolean zero = source.scales()[row * source.groups() + group] == 0;
        for (int column = group * groupSize; column < (group + 1) * groupSize; column++) {
            int step = zero ? 0 : source.steps()[row * source.k() + column];
            int code = negated ? -step : step;
            packed[row * ((source.k() + 1) / 2) + column / 2] |= (byte) ((code & 15) << (column & 1) * 4);
        }
    }

    private static Range range(GroupedInt4 source, int group) {
        if (source.scales()[group] == 0) {
            return new Range(0, 0); // whatever its steps are
        }
        int groupSize = source.k() / source.groups();
        int lowest = 0;
        int highest = 0;
        for (int i = group * groupSize; i < (group + 1) * groupSize; i++) {
            lowest = Math.min(lowest, source.steps()[i]);
            highest = Math.max(highest, source.steps()[i]);
        }
        return new Range(lowest, highest);
    }

    /** Smallest and largest step of a group, 0 included. */
    private record Range(int lowest, int highest) {
        boolean fits() {
            return lowest >= -8 && highest <= 7;
        }

        boolean fitsNegated() {
            return lowest >= -7 && highest <= 8;
        }
    }

    private static float[] largestScales() {
        float[] scales = new float[8 + PHASES];
        float[] exact = {32, 30, 36, 40, 44, 48, 52, 56};
        System.arraycopy(exact, 0, scales, 0, exact.length);
        for (int i = 0; i < PHASES; i++) {
            scales[exact.length + i] = (float) (LARGEST_SCALE * Math.pow(2, -(i + 0.5) / PHASES));
        }
        return scales;
    }

    private static float[] products() {
        float[] products = new float[127 * 9];
        for (int code = 0; code < 127; code++) {
            for (int magnitude = 0; magnitude < 9; magnitude++) {
                products[code * 9 + magnitude] = E4m3.round(magnitude * E4m3.decode((byte) code));
            }
        }
        return products;
    }
}
