package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendProvider;
import io.fireq.kernels.cuda.CudaProbe;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Whether an NVIDIA GPU can be used here. Asking loads no CUDA class on a host without an NVIDIA driver.
 */
public final class CudaBackendProvider implements BackendProvider {
    /** What the context, the kernels and the smallest model take; a model that needs more says so when it is loaded. */
    private static final long MIN_FREE_BYTES = 1L << 30;

    private final Supplier<CudaProbe> probe;

    public CudaBackendProvider() {
        this(() -> CudaProbe.probe(0, MIN_FREE_BYTES));
    }

    CudaBackendProvider(Supplier<CudaProbe> probe) {
        this.probe = probe;
    }

    /** Why there is no GPU to compute on, in a clause; empty if there is one. */
    public static Optional<String> whyNoGpu() {
        return whyNot(CudaProbe.probe(0, MIN_FREE_BYTES));
    }

    private static Optional<String> whyNot(CudaProbe answer) {
        return answer.device().isPresent() ? Optional.empty() : Optional.of(answer.reason());
    }

    @Override
    public String name() {
        return "cuda";
    }

    @Override
    public Optional<String> whyNot(EngineOptions options) {
        if (options.numerics() == Numerics.FLOAT32) {
            return Optional.of("FLOAT32 numerics run on the CPU only; the GPU runs QUANTIZED numerics");
        }
        return whyNot(probe.get());
    }

    @Override
    public Backend create(EngineOptions options) {
        return CudaBackend.open(options.numerics(), options.cudaGraphs());
    }
}
