package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend.QuantizedRows;
import io.fireq.engine.backend.Backend.Rows;
import io.fireq.engine.backend.RowAccess;
import java.util.Arrays;

/** Reads and writes the arrays behind the CPU backend's activations. */
final class CpuRowAccess implements RowAccess {
    @Override
    public void write(Rows rows, float[] values) {
        System.arraycopy(values, 0, ((CpuRows) rows).values(), 0, values.length);
    }

    @Override
    public float[] read(Rows rows, int nRows) {
        return Arrays.copyOf(((CpuRows) rows).values(), nRows * rows.width());
    }

    @Override
    public void write(QuantizedRows rows, float[] values, float[] scales) {
        System.arraycopy(values, 0, ((CpuQuantizedRows) rows).values(), 0, values.length);
        System.arraycopy(scales, 0, ((CpuQuantizedRows) rows).scales(), 0, scales.length);
    }

    @Override
    public float[] readValues(QuantizedRows rows, int nRows) {
        return Arrays.copyOf(((CpuQuantizedRows) rows).values(), nRows * rows.width());
    }

    @Override
    public float[] readScales(QuantizedRows rows, int nRows) {
        return Arrays.copyOf(((CpuQuantizedRows) rows).scales(), nRows * rows.groups());
    }
}
