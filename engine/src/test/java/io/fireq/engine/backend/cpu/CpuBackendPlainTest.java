package io.fireq.engine.backend.cpu;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendContractTest;
import io.fireq.engine.backend.RowAccess;

class CpuBackendPlainTest extends BackendContractTest {
    @Override
    protected Backend open(Numerics numerics) {
        return CpuBackend.create(numerics, 3, CpuKernelChoice.PLAIN);
    }

    @Override
    protected RowAccess access() {
        return new CpuRowAccess();
    }
}
