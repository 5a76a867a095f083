package io.fireq.engine.backend.cuda;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.linalg.DeviceMatrix;

/** A float32 matrix {@code [rows, columns]} on the device, row-major; of the {@link CudaMath} that made it. */
public final class CudaMatrix implements AutoCloseable {
    private final CudaMath math;
    private final DeviceMatrix view;

    CudaMatrix(CudaMath math, DeviceBuffer values, int rows, int columns) {
        this.math = math;
        this.view = DeviceMatrix.of(values, rows, columns);
    }

    public int rows() {
        return view.rows();
    }

    public int columns() {
        return view.columns();
    }

    DeviceMatrix view() {
        return view;
    }

    /** Frees its memory, once nothing queued uses it. */
    @Override
    public void close() {
        math.free(view.values());
    }
}
