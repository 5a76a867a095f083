package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import io.fireq.kernels.cuda.CudaDevice;
import io.fireq.kernels.cuda.CudaProbe;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class CudaBackendProviderTest {
    private static final EngineOptions OPTIONS = EngineOptions.of("model");
    private static final CudaDevice H100 =
            new CudaDevice(0, "NVIDIA H100", 9, 0, 132, 232_448, 50 << 20, 80L << 30, 12_080, 1_980_000,
                    2_619_000, 5120);

    @Test
    void passes_the_probes_reason_on() {
        assertThat(new CudaBackendProvider(() -> new CudaProbe(Optional.empty(), "no NVIDIA driver")).whyNot(OPTIONS))
                .contains("no NVIDIA driver");
        assertThat(new CudaBackendProvider(() -> new CudaProbe(Optional.of(H100), "device 0")).whyNot(OPTIONS))
                .isEmpty();
    }

    @Test
    void leaves_float32_numerics_to_the_cpu_without_asking_the_device() {
        CudaBackendProvider provider = new CudaBackendProvider(() -> {
            throw new AssertionError("probed");
        });
        assertThat(provider.whyNot(EngineOptions.builder("model").numerics(Numerics.FLOAT32).build()).orElseThrow())
                .contains("FLOAT32").contains("CPU only");
    }
}
