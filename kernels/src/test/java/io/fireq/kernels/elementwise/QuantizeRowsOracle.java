package io.fireq.kernels.elementwise;

import io.fireq.kernels.testing.Formats;

/** Row quantization, by the definition: every rounding is to float32 or to e4m3, so the result is exact. */
final class QuantizeRowsOracle {
    private QuantizeRowsOracle() {}

    record Result(byte[] codes, float[] scales) {}

    static Result quantize(float[] x, int width) {
        int nRows = x.length / width;
        byte[] codes = new byte[x.length];
        float[] scales = new float[nRows];
        for (int t = 0; t < nRows; t++) {
            float absmax = 0;
            for (int i = 0; i < width; i++) {
                absmax = Math.max(absmax, Math.abs(x[t * width + i]));
            }
            scales[t] = absmax == 0 ? 1 : absmax / 448f;
            float invScale = 1 / scales[t];
            for (int i = 0; i < width; i++) {
                codes[t * width + i] = Formats.e4m3(x[t * width + i] * invScale);
            }
        }
        return new Result(codes, scales);
    }
}
