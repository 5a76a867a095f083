package io.fireq.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.Numerics;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class CpuKernelSelectionTest {

    @Test
    void takes_the_vector_kernels_where_the_module_is_and_says_so() {
        CpuKernelSelection selection = CpuKernelSelection.choose(CpuKernelChoice.AUTO, Optional.empty());
        assertThat(selection.chosen().name()).matches("Vector API \\d+ bits");
        assertThat(selection.reason()).contains("jdk.incubator.vector");
    }

    @Test
    void takes_the_plain_kernels_where_the_vector_api_is_no_use_and_says_why() {
        CpuKernelSelection selection = CpuKernelSelection.choose(CpuKernelChoice.AUTO, Optional.of("there is no such module"));
        assertThat(selection.chosen().name()).isEqualTo("plain Java");
        assertThat(selection.reason()).isEqualTo("there is no such module");
    }

    @Test
    void asking_for_vectors_where_they_are_no_use_is_an_error_that_says_why() {
        assertThatExceptionOfType(FireqException.class)
                .isThrownBy(() -> CpuKernelSelection.choose(CpuKernelChoice.VECTOR,
                        Optional.of("there is no such module")))
                .withMessageContaining("VECTOR: there is no such module");
    }

    @Test
    void plain_is_plain_wherever() {
        assertThat(CpuKernelSelection.choose(CpuKernelChoice.PLAIN, Optional.empty()).chosen().name()).isEqualTo("plain Java");
    }

    @Test
    void the_backend_describes_itself() {
        try (CpuBackend backend = CpuBackend.create(Numerics.QUANTIZED, 2, CpuKernelChoice.PLAIN)) {
            assertThat(backend.description()).isEqualTo("CPU, 2 threads, plain Java");
        }
        try (CpuBackend backend = CpuBackend.create(Numerics.QUANTIZED, 1, CpuKernelChoice.VECTOR)) {
            assertThat(backend.description()).startsWith("CPU, 1 thread, Vector API ");
        }
    }
}
