package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.gemm.Epilogue;
import io.fireq.kernels.gemm.Gemm;
import io.fireq.kernels.gemm.GemmWeight;
import io.fireq.kernels.gemm.PlainGemm;
import java.util.ArrayDeque;
import java.util.Deque;

/** Chooses the kernel of a linear layer. The plain one runs any shape, straight from checkpoint order. */
final class LinearLayers implements AutoCloseable {
    private final CudaStream stream;
    private final Gemm fast;
    private final PlainGemm plain;
    private final Deque<GemmWeight> prepared = new ArrayDeque<>();

    LinearLayers(CudaContext context, CudaStream stream) {
        this.stream = stream;
        fast = new Gemm(context);
        plain = new PlainGemm(context);
    }

    /**
     * Puts a quantized weight into the order of the fast product; a weight that product does not serve comes back as it
     * is.
     *
     * @param gated whether its rows are {@code [gate; up]}
     */
    CudaWeight prepare(CudaWeight weight, boolean gated) {
        GemmWeight gemm = fast.prepare(stream, weight.requireLinear(), gated);
        prepared.push(gemm);
        return gemm.plainReason().isPresent() ? weight : weight.with(gemm, !gemm.ownsItsData());
    }

    /** Frees what {@link #prepare} made; nothing queued may use it. */
    void free(GemmWeight weight) {
        prepared.remove(weight);
        weight.close();
    }

    /** Queues a layer with a bf16 result. */
    void launch(DeviceBuffer x, DeviceBuffer xScale, int m, CudaWeight weight, Backend.Epilogue epilogue,
            DeviceBuffer out) {
        if (weight.hasGemm(epilogue == Backend.Epilogue.SILU_MUL)) {
            fast.launch(stream, x, xScale, m, weight.gemm(), kernelEpilogue(epilogue), out);
        } else {
            plain.launch(stream, x, xScale, m, weight.requireLinear(), kernelEpilogue(epilogue), out);
        }
    }

    /** Queues a layer with its float32 result as it is. */
    void launchFloat(DeviceBuffer x, DeviceBuffer xScale, int m, CudaWeight weight, DeviceBuffer out) {
        if (weight.hasGemm(false)) {
            fast.launchFloat(stream, x, xScale, m, weight.gemm(), out);
        } else {
            plain.launchFloat(stream, x, xScale, m, weight.requireLinear(), out);
        }
    }

    @Override
    public void close() {
        while (!prepared.isEmpty()) {
            prepared.pop().close();
        }
        fast.close();
    }

    private static Epilogue kernelEpilogue(Backend.Epilogue epilogue) {
        return switch (epilogue) {
            case NONE -> Epilogue.STORE;
            case RESIDUAL_ADD -> Epilogue.RESIDUAL_ADD;
            case SILU_MUL -> Epilogue.SILU_MUL;
        };
    }
}
