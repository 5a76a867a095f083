package io.fireq.kernels;

/**
 * A CUDA driver call failed. The message names the call with its arguments, the result and the device:
 * {@code cuLaunchKernel(silu_mul, grid=7x1x1, block=256): CUDA_ERROR_INVALID_VALUE (1); device 0 'NVIDIA H200' sm_90}.
 */
public final class DeviceException extends RuntimeException {
    private static final int OUT_OF_MEMORY = 2;
    private static final int INVALID_VALUE = 1;

    private final String call;
    private final int code;
    private final String name;
    private final String context;

    /**
     * @param call    the driver call with the arguments that matter
     * @param code    the CUresult
     * @param name    the CUresult's name
     * @param context the device, and what else helps
     */
    public DeviceException(String call, int code, String name, String context) {
        super("%s: %s (%d); %s".formatted(call, name, code, context));
        this.call = call;
        this.code = code;
        this.name = name;
        this.context = context;
    }

    /** The driver call with the arguments that matter. */
    public String call() {
        return call;
    }

    /** The CUresult. */
    public int code() {
        return code;
    }

    /** The CUresult's name, such as CUDA_ERROR_ILLEGAL_ADDRESS. */
    public String name() {
        return name;
    }

    /** The device, and what else helps. */
    public String context() {
        return context;
    }

    /** True where the call asked for more memory than is free; the context is still usable. */
    public boolean isOutOfMemory() {
        return code == OUT_OF_MEMORY;
    }

    /** False where only this call failed; true where the context can no longer be relied on. */
    public boolean isFatal() {
        return code != OUT_OF_MEMORY && code != INVALID_VALUE;
    }
}
