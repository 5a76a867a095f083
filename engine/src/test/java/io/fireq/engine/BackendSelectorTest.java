package io.fireq.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineOptions.Device;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendProvider;
import io.fireq.engine.backend.cpu.CpuBackendProvider;
import io.fireq.kernels.cuda.CudaProbe;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class BackendSelectorTest {

    /** Stands in for a GPU: makes a CPU backend under another name. */
    private record Fake(String name, Optional<String> reason) implements BackendProvider {
        @Override
        public Optional<String> whyNot(EngineOptions options) {
            return reason;
        }

        @Override
        public Backend create(EngineOptions options) {
            return new CpuBackendProvider().create(options);
        }
    }

    private static BackendSelection select(Device device, Optional<String> whyNotCuda) {
        BackendSelector selector =
                new BackendSelector(List.of(new Fake("cuda", whyNotCuda), new CpuBackendProvider()));
        BackendSelector.Selected selected =
                selector.select(EngineOptions.builder("model").device(device).threads(1).build());
        selected.backend().close();
        return selected.selection();
    }

    @Test
    void auto_takes_the_gpu_where_it_can_be_used() {
        BackendSelection selection = select(Device.AUTO, Optional.empty());
        assertThat(selection.chosen()).isEqualTo("cuda");
        assertThat(selection.reason()).isEqualTo("it is the fastest here");
        assertThat(selection.rejected()).isEmpty();
    }

    @Test
    void auto_takes_the_cpu_and_says_why_not_the_gpu() {
        BackendSelection selection = select(Device.AUTO, Optional.of("no NVIDIA driver"));
        assertThat(selection.chosen()).isEqualTo("cpu");
        assertThat(selection.reason()).isEqualTo("cuda cannot be used: no NVIDIA driver");
        assertThat(selection.rejected())
                .containsExactly(new BackendSelection.Rejected("cuda", "no NVIDIA driver"));
    }

    @Test
    void a_wanted_device_is_used_or_its_absence_an_error() {
        assertThat(select(Device.CPU, Optional.empty()).chosen()).isEqualTo("cpu");
        assertThat(select(Device.CPU, Optional.empty()).rejected())
                .containsExactly(new BackendSelection.Rejected("cuda", "device is set to cpu"));
        assertThatThrownBy(() -> select(Device.CUDA, Optional.of("no NVIDIA driver")))
                .isInstanceOf(FireqException.class)
                .hasMessage("Device cuda cannot be used: no NVIDIA driver; set the device to auto to run on what there is");
    }

    @Test
    void selecting_on_a_host_without_a_gpu_loads_no_cuda_class() throws Exception {
        CudaProbe probe = CudaProbe.probe();
        assumeTrue(probe.device().isEmpty() && probe.reason().contains("no NVIDIA driver"),
                "this host has an NVIDIA driver");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xlog:class+load", "-classpath",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                SelectingProgram.class.getName()).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor()).as(output).isZero();
        assertThat(output).contains("chosen cpu: cuda cannot be used: no NVIDIA driver (libcuda.so.1")
                .contains("io.fireq.engine.backend.cuda.CudaBackendProvider")
                .doesNotContain("org.bytedeco")
                .doesNotContain("io.fireq.engine.backend.cuda.CudaBackend ")
                .doesNotContain("io.fireq.kernels.cuda.CudaContext")
                .doesNotContain("io.fireq.kernels.gemm");
    }

    /** Selects a backend as the engine does, and says which. */
    static final class SelectingProgram {
        private SelectingProgram() {}

        public static void main(String[] args) {
            BackendSelector.Selected selected = FireqEngines.selectBackend(EngineOptions.of("model"));
            selected.backend().close();
            System.out.println("chosen " + selected.selection().chosen() + ": " + selected.selection().reason());
        }
    }
}
