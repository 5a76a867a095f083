package io.fireq.engine.backend.cpu;

import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;

/**
 * INT4 weights, their codes left where they are (a memory map), with the values behind every possible group scale: a
 * group scale is a byte, so 4096 numbers are all that a matrix can multiply with.
 *
 * @param matrix     the codes and scales; no scale is NaN
 * @param values     {@code [256, 16]}: {@code e4m3(value · σ)} by the e4m3 code of σ and the code of the value
 * @param bf16Values the same in bfloat16, which holds every e4m3 number, and behind them {@link #PADDING} unused codes:
 *                   vectors longer than a table can be loaded from where it begins
 * @param e4m3Values the same as e4m3 codes
 */
public record Int4Weight(Int4Matrix matrix, float[] values, short[] bf16Values, byte[] e4m3Values) {
    /** Unused codes behind {@link #bf16Values} and {@link #e4m3Values}. */
    public static final int PADDING = 256;

    static Int4Weight of(Int4Matrix matrix) {
        float[] values = new float[256 * Int4Matrix.CODES];
        for (int scaleCode = 0; scaleCode < 256; scaleCode++) {
            float scale = E4m3.decode((byte) scaleCode);
            for (int code = 0; code < Int4Matrix.CODES; code++) {
                values[scaleCode * Int4Matrix.CODES + code] = E4m3.round(matrix.values()[code] * scale);
            }
        }
        short[] bf16Values = new short[values.length + PADDING];
        byte[] e4m3Values = new byte[values.length + PADDING];
        for (int i = 0; i < values.length; i++) {
            bf16Values[i] = Bf16.encode(values[i]);
            e4m3Values[i] = E4m3.encode(values[i]);
        }
        return new Int4Weight(matrix, values, bf16Values, e4m3Values);
    }
}
