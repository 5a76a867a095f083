package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.CU_STREAM_NON_BLOCKING;
import static org.bytedeco.cuda.global.cudart.cuStreamCreate;
import static org.bytedeco.cuda.global.cudart.cuStreamDestroy;
import static org.bytedeco.cuda.global.cudart.cuStreamSynchronize;
import static org.bytedeco.cuda.global.cudart.cuStreamWaitEvent;

import org.bytedeco.cuda.cudart.CUstream_st;

/** A queue of device work that runs in order. */
public final class CudaStream implements AutoCloseable {
    private final CudaContext context;
    private final CUstream_st handle = new CUstream_st();

    CudaStream(CudaContext context) {
        this.context = context;
        CudaDriver.check(cuStreamCreate(handle, CU_STREAM_NON_BLOCKING), "cuStreamCreate", context);
    }

    /** Waits until the queue is empty; a kernel's fault surfaces here. */
    public void synchronize() {
        CudaDriver.check(cuStreamSynchronize(handle), "cuStreamSynchronize", context);
    }

    /** Work queued from now on starts after the event. */
    public void waitFor(CudaEvent event) {
        CudaDriver.check(cuStreamWaitEvent(handle, event.handle(), 0), "cuStreamWaitEvent", context);
    }

    CUstream_st handle() {
        return handle;
    }

    CudaContext context() {
        return context;
    }

    @Override
    public void close() {
        CudaDriver.check(cuStreamDestroy(handle), "cuStreamDestroy", context);
        handle.close();
    }
}
