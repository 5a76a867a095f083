package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.CU_EVENT_DEFAULT;
import static org.bytedeco.cuda.global.cudart.cuEventCreate;
import static org.bytedeco.cuda.global.cudart.cuEventDestroy;
import static org.bytedeco.cuda.global.cudart.cuEventElapsedTime;
import static org.bytedeco.cuda.global.cudart.cuEventRecord;
import static org.bytedeco.cuda.global.cudart.cuEventSynchronize;

import org.bytedeco.cuda.cudart.CUevent_st;

/** A point in a stream, with the time it was reached. */
public final class CudaEvent implements AutoCloseable {
    private final CudaContext context;
    private final CUevent_st handle = new CUevent_st();

    CudaEvent(CudaContext context) {
        this.context = context;
        CudaDriver.check(cuEventCreate(handle, CU_EVENT_DEFAULT), "cuEventCreate", context);
    }

    /** Marks the end of the stream's queue. */
    public void record(CudaStream stream) {
        CudaDriver.check(cuEventRecord(handle, stream.handle()), "cuEventRecord", context);
    }

    /** Waits until the recorded point is reached. */
    public void synchronize() {
        CudaDriver.check(cuEventSynchronize(handle), "cuEventSynchronize", context);
    }

    /** Device time from {@code start} to this event, both reached; resolution about half a microsecond. */
    public float millisSince(CudaEvent start) {
        float[] millis = new float[1];
        CudaDriver.check(cuEventElapsedTime(millis, start.handle, handle), "cuEventElapsedTime", context);
        return millis[0];
    }

    CUevent_st handle() {
        return handle;
    }

    @Override
    public void close() {
        CudaDriver.check(cuEventDestroy(handle), "cuEventDestroy", context);
        handle.close();
    }
}
