package io.fireq.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.kernels.DeviceException;
import org.junit.jupiter.api.Test;

class LaunchShapeTest {

    @Test
    void reads_well_in_messages() {
        assertThat(LaunchShape.of(132, 384).cluster(2).smem(221_184))
                .hasToString("grid=132x1x1, threads=384, cluster=2, smem=221,184");
        assertThat(new DeviceException("cuLaunchKernelEx(silu_mul, %s)".formatted(LaunchShape.of(7, 128)), 1,
                "CUDA_ERROR_INVALID_VALUE", "device 0 'NVIDIA H200' sm_90"))
                .hasMessage("cuLaunchKernelEx(silu_mul, grid=7x1x1, threads=128, smem=0): CUDA_ERROR_INVALID_VALUE (1); "
                        + "device 0 'NVIDIA H200' sm_90");
    }

    @Test
    void refuses_shapes_that_no_device_has() {
        assertThatThrownBy(() -> LaunchShape.of(0, 128)).hasMessageContaining("grid 0x1x1");
        assertThatThrownBy(() -> LaunchShape.of(1, 1025)).hasMessageContaining("1025 threads");
        assertThatThrownBy(() -> LaunchShape.of(1, 128).grid(1, 65_536, 1)).hasMessageContaining("1x65536x1");
        assertThatThrownBy(() -> LaunchShape.of(133, 128).cluster(2)).hasMessageContaining("clusters of 2");
    }

    @Test
    void tells_faults_that_end_the_context_from_those_that_do_not() {
        assertThat(new DeviceException("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY", "device 0").isFatal()).isFalse();
        assertThat(new DeviceException("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY", "device 0").isOutOfMemory()).isTrue();
        assertThat(new DeviceException("cuStreamSynchronize", 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "device 0").isFatal())
                .isTrue();
    }
}
