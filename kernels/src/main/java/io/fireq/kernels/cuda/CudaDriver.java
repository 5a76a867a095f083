package io.fireq.kernels.cuda;

import io.fireq.kernels.DeviceException;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/** The one place that turns a CUresult into an exception. Loading this class loads the CUDA driver. */
final class CudaDriver {
    private CudaDriver() {}

    /** Throws unless the call succeeded. */
    static void check(int result, String call, CudaContext context) {
        if (result != cudart.CUDA_SUCCESS) {
            throw failure(result, call, context.device().describe());
        }
    }

    /** As {@link #check(int, String, CudaContext)}, before there is a context. */
    static void check(int result, String call) {
        if (result != cudart.CUDA_SUCCESS) {
            throw failure(result, call, "no device yet");
        }
    }

    static DeviceException failure(int result, String call, String context) {
        return new DeviceException(call, result, errorName(result), context);
    }

    /** The name of a CUresult. */
    static String errorName(int result) {
        try (PointerPointer<BytePointer> name = new PointerPointer<>(1)) {
            name.put(0, (Pointer) null);
            if (cudart.cuGetErrorName(result, name) != cudart.CUDA_SUCCESS) {
                return "CUDA_ERROR_" + result;
            }
            return name.get(BytePointer.class, 0).getString();
        }
    }
}
