package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.backend.cpu.CpuMath;
import io.fireq.engine.backend.cuda.CudaMath;
import io.fireq.engine.backend.cuda.GpuTest;

@GpuTest
class CudaCalibratedRoundingTest extends CalibratedRoundingTest {
    @Override
    MatrixMath openMath() {
        return new CudaMatrixMath(CudaMath.open(), CpuMath.create(2, CpuKernelChoice.PLAIN));
    }
}
