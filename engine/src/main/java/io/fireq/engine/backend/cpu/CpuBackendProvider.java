package io.fireq.engine.backend.cpu;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendProvider;
import java.util.Optional;

/** The backend that is always there. */
public final class CpuBackendProvider implements BackendProvider {

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public Optional<String> whyNot(EngineOptions options) {
        return Optional.empty();
    }

    @Override
    public Backend create(EngineOptions options) {
        return CpuBackend.create(options.numerics(), options.threads(), options.cpuKernels());
    }
}
