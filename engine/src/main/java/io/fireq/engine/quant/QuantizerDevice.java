package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.Device;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.backend.cpu.CpuMath;
import io.fireq.engine.backend.cuda.CudaBackend;
import io.fireq.engine.backend.cuda.CudaBackendProvider;
import io.fireq.engine.backend.cuda.CudaFloatBackend;
import io.fireq.engine.backend.cuda.CudaMath;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What a quantization computes with. What it opens is closed by its caller. */
enum QuantizerDevice {
    CPU {
        @Override
        MatrixMath openMath(QuantizerOptions options) {
            return CpuMatrixMath.create(options.threads(), options.kernels());
        }

        @Override
        Backend openReference(QuantizerOptions options) {
            return CpuBackend.create(Numerics.FLOAT32, options.threads(), options.kernels());
        }

        @Override
        Backend openQuantized(QuantizerOptions options) {
            return CpuBackend.create(Numerics.QUANTIZED, options.threads(), options.kernels());
        }
    },
    CUDA {
        @Override
        MatrixMath openMath(QuantizerOptions options) {
            return new CudaMatrixMath(CudaMath.open(), CpuMath.create(options.threads(), options.kernels()));
        }

        @Override
        Backend openReference(QuantizerOptions options) {
            return CudaFloatBackend.open();
        }

        @Override
        Backend openQuantized(QuantizerOptions options) {
            return CudaBackend.open(Numerics.QUANTIZED, false);
        }
    };

    private static final Logger LOG = LoggerFactory.getLogger(QuantizerDevice.class);

    abstract MatrixMath openMath(QuantizerOptions options);

    /** Runs the unquantized model. */
    abstract Backend openReference(QuantizerOptions options);

    /** Runs the model as it will be served. */
    abstract Backend openQuantized(QuantizerOptions options);

    /**
     * The GPU if there is one to use and the CPU is not asked for.
     *
     * @throws FireqException if the GPU is asked for and cannot be used, with the reason
     */
    static QuantizerDevice choose(Device wanted) {
        if (wanted == Device.CPU) {
            return CPU;
        }
        Optional<String> whyNot = CudaBackendProvider.whyNoGpu();
        if (whyNot.isEmpty()) {
            LOG.info("Quantizing on the GPU");
            return CUDA;
        }
        if (wanted == Device.CUDA) {
            throw new FireqException("Quantizing on cuda: it cannot be used: %s; set the device to auto to use what there is"
                    .formatted(whyNot.get()));
        }
        LOG.info("Quantizing on the CPU: {}", whyNot.get());
        return CPU;
    }
}
