package io.fireq.engine.backend;

import io.fireq.engine.backend.Backend.QuantizedRows;
import io.fireq.engine.backend.Backend.Rows;

/** How a test reads and writes the activations of the backend it tests; all from row 0 on. */
public interface RowAccess {
    /** {@code values} are bfloat16 numbers in quantized mode. */
    void write(Rows rows, float[] values);

    float[] read(Rows rows, int nRows);

    /** {@code values} are e4m3 numbers in quantized mode. */
    void write(QuantizedRows rows, float[] values, float[] scales);

    /** The stored numbers, without their scales. */
    float[] readValues(QuantizedRows rows, int nRows);

    float[] readScales(QuantizedRows rows, int nRows);
}
