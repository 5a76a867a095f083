package io.fireq.kernels.jit;

/** The CUDA compiler refused a kernel. The message holds its log, with file and line of each finding. */
public final class KernelCompileException extends RuntimeException {
    private final String log;

    KernelCompileException(String message, String log) {
        super(message + "\n" + log);
        this.log = log;
    }

    /** The compiler's log. */
    public String log() {
        return log;
    }
}
