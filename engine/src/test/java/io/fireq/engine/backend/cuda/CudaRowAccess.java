package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend.QuantizedRows;
import io.fireq.engine.backend.Backend.Rows;
import io.fireq.engine.backend.RowAccess;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.E4m3;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.Supplier;

/** Copies activations to and from the device, after what is queued or collected. */
final class CudaRowAccess implements RowAccess {
    private final Supplier<CudaBackend> backend;

    CudaRowAccess(Supplier<CudaBackend> backend) {
        this.backend = backend;
    }

    @Override
    public void write(Rows rows, float[] values) {
        ByteBuffer bytes = direct(2 * values.length);
        for (float value : values) {
            bytes.putShort(Bf16.encode(value));
        }
        upload(((CudaRows) rows).values(), bytes);
    }

    @Override
    public float[] read(Rows rows, int nRows) {
        ByteBuffer bytes = download(((CudaRows) rows).values(), 2 * nRows * rows.width());
        float[] values = new float[nRows * rows.width()];
        for (int i = 0; i < values.length; i++) {
            values[i] = Bf16.decode(bytes.getShort());
        }
        return values;
    }

    @Override
    public void write(QuantizedRows rows, float[] values, float[] scales) {
        ByteBuffer codes = direct(values.length);
        for (float value : values) {
            codes.put(E4m3.encode(value));
        }
        upload(((CudaQuantizedRows) rows).codes(), codes);
        ByteBuffer scaleBytes = direct(4 * scales.length);
        for (float scale : scales) {
            scaleBytes.putFloat(scale);
        }
        upload(((CudaQuantizedRows) rows).scales(), scaleBytes);
    }

    @Override
    public float[] readValues(QuantizedRows rows, int nRows) {
        ByteBuffer bytes = download(((CudaQuantizedRows) rows).codes(), nRows * rows.width());
        float[] values = new float[nRows * rows.width()];
        for (int i = 0; i < values.length; i++) {
            values[i] = E4m3.decode(bytes.get());
        }
        return values;
    }

    @Override
    public float[] readScales(QuantizedRows rows, int nRows) {
        float[] scales = new float[nRows * rows.groups()];
        download(((CudaQuantizedRows) rows).scales(), 4 * scales.length).asFloatBuffer().get(scales);
        return scales;
    }

    private void upload(DeviceBuffer target, ByteBuffer bytes) {
        backend.get().flush();
        backend.get().context().synchronize();
        target.upload(0, bytes.flip());
    }

    private ByteBuffer download(DeviceBuffer source, int byteSize) {
        backend.get().flush();
        ByteBuffer bytes = direct(byteSize);
        source.download(0, bytes);
        return bytes;
    }

    private static ByteBuffer direct(int byteSize) {
        return ByteBuffer.allocateDirect(byteSize).order(ByteOrder.LITTLE_ENDIAN);
    }
}
