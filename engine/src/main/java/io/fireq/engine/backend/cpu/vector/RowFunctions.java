package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;
import static io.fireq.engine.backend.cpu.vector.Lanes.FLOATS;
import static io.fireq.engine.backend.cpu.vector.Lanes.INTS;

import io.fireq.engine.tensor.E4m3;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Row quantization, softmax, SiLU and unpacking: what lies between matrix products. The exponential is written out
 * where it is used, see {@link Int4ShortRows} for why.
 */
final class RowFunctions {
    private static final int SIGN = 0x80000000;
    private static final int EXPONENT = 0x7f800000;
    /** The exponent field of 2⁻⁶, below which e4m3 keeps the step of its subnormals. */
    private static final int SMALLEST_NORMAL = 121 << 23;
    /** Adding 2^(e+20) to a number of exponent e leaves it three mantissa bits: its sum's last bit is worth 2^(e-3). */
    private static final int TO_THREE_BITS = 20 << 23;

    private static final float LOG2_E = 1.44269504f;
    /** ln 2 in two parts, the first with so few bits that its product with an exponent is exact. */
    private static final float LN2_HIGH = 0.693359375f;
    private static final float LN2_LOW = -2.12194440e-4f;
    /** Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits. */
    private static final float TO_INTEGER = 0x1.8p23f;
    private static final float EXP_MIN = -87f;
    private static final float EXP_MAX = 88f;

    private RowFunctions() {}

    static float quantize(float[] x, int xOffset, int count, float[] out, int outOffset) {
        int vectors = FLOATS.loopBound(count);
        FloatVector max = FloatVector.zero(FLOATS);
        for (int i = 0; i < vectors; i += COUNT) {
            max = FloatVector.fromArray(FLOATS, x, xOffset + i).abs().max(max);
        }
        float absMax = max.reduceLanes(VectorOperators.MAX);
        for (int i = vectors; i < count; i++) {
            absMax = Math.max(absMax, Math.abs(x[xOffset + i]));
        }
        float scale = absMax / E4m3.MAX;
        float invScale = 1 / scale;
        if (absMax == 0 || Float.isInfinite(invScale)) { // zeros, or so small that 1/scale is no float
            scale = 1;
            invScale = 1;
        }
        for (int i = 0; i < vectors; i += COUNT) {
            FloatVector v = FloatVector.fromArray(FLOATS, x, xOffset + i).mul(invScale);
            IntVector bits = v.reinterpretAsInts();
            FloatVector magic = bits.and(EXPONENT).max(SMALLEST_NORMAL).add(TO_THREE_BITS).reinterpretAsFloats();
            FloatVector rounded = v.abs().add(magic).sub(magic).min(E4m3.MAX);
            rounded.reinterpretAsInts().or(bits.and(SIGN)).reinterpretAsFloats().intoArray(out, outOffset + i);
        }
        for (int i = vectors; i < count; i++) {
            out[outOffset + i] = E4m3.round(x[xOffset + i] * invScale);
        }
        return scale;
    }

    static float softmax(float[] p, int offset, int count, float scale, float[] lanes) {
        int vectors = FLOATS.loopBound(count);
        FloatVector maxLanes = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
        for (int i = offset; i < offset + vectors; i += COUNT) {
            FloatVector scaled = FloatVector.fromArray(FLOATS, p, i).mul(scale);
            scaled.intoArray(p, i);
            maxLanes = scaled.max(maxLanes);
        }
        float max = maxLanes.reduceLanes(VectorOperators.MAX);
        for (int i = offset + vectors; i < offset + count; i++) {
            p[i] *= scale;
            max = Math.max(max, p[i]);
        }
        FloatVector sumLanes = FloatVector.zero(FLOATS);
        for (int i = offset; i < offset + vectors; i += COUNT) {
            FloatVector x = FloatVector.fromArray(FLOATS, p, i).sub(max).max(EXP_MIN);
            FloatVector shifted = x.fma(FloatVector.broadcast(FLOATS, LOG2_E), FloatVector.broadcast(FLOATS, TO_INTEGER));
            FloatVector n = shifted.sub(TO_INTEGER);
            FloatVector r = n.fma(FloatVector.broadcast(FLOATS, -LN2_HIGH), x);
            r = n.fma(FloatVector.broadcast(FLOATS, -LN2_LOW), r);
            FloatVector e = r.fma(FloatVector.broadcast(FLOATS, 1 / 5040f), FloatVector.broadcast(FLOATS, 1 / 720f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1 / 120f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1 / 24f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1 / 6f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 0.5f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1f));
            FloatVector power = shifted.reinterpretAsInts().add(127).lanewise(VectorOperators.LSHL, 23)
                    .reinterpretAsFloats();
            e = e.mul(power);
            e.intoArray(p, i);
            sumLanes = e.add(sumLanes);
        }
        sumLanes.intoArray(lanes, 0);
        float sum = Lanes.sum(lanes, 0);
        for (int i = offset + vectors; i < offset + count; i++) {
            p[i] = (float) Math.exp(p[i] - max);
            sum += p[i];
        }
        return sum;
    }

    static void siluMul(float[] gate, int gateOffset, float[] up, int upOffset, int count) {
        int vectors = FLOATS.loopBound(count);
        for (int i = 0; i < vectors; i += COUNT) {
            FloatVector g = FloatVector.fromArray(FLOATS, gate, gateOffset + i);
            FloatVector x = g.neg().max(EXP_MIN).min(EXP_MAX);
            FloatVector shifted = x.fma(FloatVector.broadcast(FLOATS, LOG2_E), FloatVector.broadcast(FLOATS, TO_INTEGER));
            FloatVector n = shifted.sub(TO_INTEGER);
            FloatVector r = n.fma(FloatVector.broadcast(FLOATS, -LN2_HIGH), x);
            r = n.fma(FloatVector.broadcast(FLOATS, -LN2_LOW), r);
            FloatVector e = r.fma(FloatVector.broadcast(FLOATS, 1 / 5040f), FloatVector.broadcast(FLOATS, 1 / 720f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1 / 120f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1 / 24f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1 / 6f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 0.5f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1f));
            e = e.fma(r, FloatVector.broadcast(FLOATS, 1f));
            FloatVector power = shifted.reinterpretAsInts().add(127).lanewise(VectorOperators.LSHL, 23)
                    .reinterpretAsFloats();
            g.div(e.mul(power).add(1f)).mul(FloatVector.fromArray(FLOATS, up, upOffset + i))
                    .intoArray(gate, gateOffset + i);
        }
        for (int i = vectors; i < count; i++) {
            float g = gate[gateOffset + i];
            gate[gateOffset + i] = g / (1 + (float) Math.exp(-g)) * up[upOffset + i];
        }
    }

    static void unpack(int[] words, int offset, int count, int firstNibble, int nibbles, float[] target,
            int targetOffset, int targetStride) {
        int vectors = INTS.loopBound(count);
        for (int i = 0; i < vectors; i += COUNT) {
            IntVector packed =
                    IntVector.fromArray(INTS, words, offset + i).lanewise(VectorOperators.LSHR, 4 * firstNibble);
            for (int j = 0; j < nibbles; j++) {
                FloatVector codes = (FloatVector) packed.and(15).convert(VectorOperators.I2F, 0);
                codes.intoArray(target, targetOffset + j * targetStride + i);
                packed = packed.lanewise(VectorOperators.LSHR, 4);
            }
        }
        for (int i = vectors; i < count; i++) {
            for (int j = 0; j < nibbles; j++) {
                target[targetOffset + j * targetStride + i] = words[offset + i] >>> 4 * (firstNibble + j) & 15;
            }
        }
    }
}
