package io.fireq.kernels.linalg;

import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * A float32 matrix on the device, or a part of one: row-major, rows {@code stride} elements apart. It does not own its
 * memory.
 *
 * @param values  from its first element on
 * @param rows    1 or more
 * @param columns 1 or more
 * @param stride  elements from one row to the next, at least {@code columns}
 */
public record DeviceMatrix(DeviceBuffer values, int rows, int columns, int stride) {

    public DeviceMatrix {
        if (rows < 1 || columns < 1 || stride < columns) {
            throw new IllegalArgumentException(
                    "DeviceMatrix '%s': [%d, %d] with rows %d apart; all must be 1 or more, and the stride no less than the columns"
                            .formatted(values.label(), rows, columns, stride));
        }
        values.require("DeviceMatrix", "values [rows, stride]", (rows - 1L) * stride + columns, Float.BYTES);
    }

    /** All of a buffer's first {@code rows · columns} floats. */
    public static DeviceMatrix of(DeviceBuffer values, int rows, int columns) {
        return new DeviceMatrix(values, rows, columns, columns);
    }

    /** A part of this matrix. */
    public DeviceMatrix block(int row, int column, int nRows, int nColumns) {
        if (row < 0 || column < 0 || row + nRows > rows || column + nColumns > columns) {
            throw new IndexOutOfBoundsException("DeviceMatrix '%s' [%d, %d]: no block [%d, %d] at (%d, %d)"
                    .formatted(values.label(), rows, columns, nRows, nColumns, row, column));
        }
        long size = (nRows - 1L) * stride + nColumns;
        return new DeviceMatrix(values.slice(((long) row * stride + column) * Float.BYTES, size * Float.BYTES,
                values.label()), nRows, nColumns, stride);
    }

    /** Whether rows follow each other without a gap. */
    boolean isContiguous() {
        return stride == columns || rows == 1;
    }
}
