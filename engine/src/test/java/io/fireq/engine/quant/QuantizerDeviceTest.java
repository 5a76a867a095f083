package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.api.EngineOptions.Device;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.backend.cuda.CudaBackendProvider;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class QuantizerDeviceTest {

    @Test
    void the_cpu_can_be_asked_for() {
        assertThat(QuantizerDevice.choose(Device.CPU)).isEqualTo(QuantizerDevice.CPU);
    }

    @Test
    void a_gpu_is_taken_where_there_is_one_and_else_refused_with_the_reason() {
        Optional<String> whyNot = CudaBackendProvider.whyNoGpu();
        if (whyNot.isEmpty()) {
            assertThat(QuantizerDevice.choose(Device.AUTO)).isEqualTo(QuantizerDevice.CUDA);
            assertThat(QuantizerDevice.choose(Device.CUDA)).isEqualTo(QuantizerDevice.CUDA);
        } else {
            assertThat(QuantizerDevice.choose(Device.AUTO)).isEqualTo(QuantizerDevice.CPU);
            assertThatThrownBy(() -> QuantizerDevice.choose(Device.CUDA)).isInstanceOf(FireqException.class)
                    .hasMessageContaining(whyNot.get());
        }
    }
}
