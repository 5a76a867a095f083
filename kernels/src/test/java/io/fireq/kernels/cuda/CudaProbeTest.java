package io.fireq.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CudaProbeTest {
    private static final CudaDevice H200 = new CudaDevice(0, "NVIDIA H200", 9, 0, 132, 232_448, 50 << 20, 150L << 30, 13_000,
            1_980_000, 3_201_000, 6144);

    @TempDir
    private Path temp;

    @Test
    void takes_a_hopper_device_with_enough_memory() {
        CudaProbe probe = CudaProbe.judge(H200, 10_000_000_000L, 9_000_000_000L);
        assertThat(probe.device()).contains(H200);
        assertThat(probe.reason()).isEqualTo("device 0 'NVIDIA H200' sm_90");
    }

    @Test
    void knows_what_a_device_can_do_at_most() {
        assertThat(H200.peakBytesPerSecond()).isEqualTo(4.916736e12); // the vendor says 4.8 TB/s
        assertThat(H200.peakFp8FlopsPerSecond()).isEqualTo(2.14106112e15); // 1979 TFLOP/s at 1830 MHz
    }

    @Test
    void says_which_compute_capability_the_device_has() {
        CudaDevice a100 = new CudaDevice(1, "NVIDIA A100", 8, 0, 108, 166_912, 40 << 20, 80L << 30, 12_040,
                1_410_000, 1_593_000, 5120);
        CudaDevice b200 = new CudaDevice(2, "NVIDIA B200", 10, 0, 148, 232_448, 126 << 20, 180L << 30, 13_000,
                1_965_000, 3_996_000, 7680);
        assertThat(CudaProbe.judge(a100, 1, 0).device()).isEmpty();
        assertThat(CudaProbe.judge(a100, 1, 0).reason()).isEqualTo("device 1 'NVIDIA A100' sm_80 has compute capability "
                + "8.0; the kernels are built for 9.0 (H100, H200)");
        assertThat(CudaProbe.judge(b200, 1, 0).reason()).contains("compute capability 10.0");
    }

    @Test
    void says_how_much_memory_is_free_and_required() {
        assertThat(CudaProbe.judge(H200, 1_000, 2_000).reason())
                .contains("1,000 of 161,061,273,600 bytes free, required 2,000");
    }

    @Test
    void says_which_cuda_version_an_old_driver_knows() {
        assertThat(CudaProbe.judgeDriver(12_000)).isEmpty();
        assertThat(CudaProbe.judgeDriver(11_080).orElseThrow().reason())
                .isEqualTo("the NVIDIA driver knows CUDA up to 11.8, required 12.0; install R525 or newer");
    }

    @Test
    void finds_the_driver_where_the_dynamic_linker_does() throws IOException {
        Path none = temp.resolve("none");
        assertThat(LibCuda.find(Map.of(), none, List.of())).isEmpty();
        Path library = Files.createFile(temp.resolve("libcuda.so.1"));
        assertThat(LibCuda.find(Map.of("LD_LIBRARY_PATH", "/nowhere:" + temp), none, List.of()))
                .contains(library.toString());
        assertThat(LibCuda.find(Map.of(), none, List.of(temp.toString()))).contains(library.toString());
        Path cache = Files.writeString(temp.resolve("ld.so.cache"), "libcuda.so.1\0" + library + "\0libz.so\0");
        assertThat(LibCuda.find(Map.of(), cache, List.of())).contains(library.toString());
        Files.delete(library);
        assertThat(LibCuda.find(Map.of(), cache, List.of())).isEmpty();
    }

    @Test
    void a_host_without_a_driver_loads_no_cuda_class() throws Exception {
        assumeTrue(LibCuda.find().isEmpty(), "this host has an NVIDIA driver");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xlog:class+load", "-classpath",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                ProbeProgram.class.getName()).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor()).isZero();
        assertThat(output).contains("no NVIDIA driver (libcuda.so.1").contains("io.fireq.kernels.cuda.CudaProbe")
                .doesNotContain("org.bytedeco.cuda.global").doesNotContain("org.bytedeco.javacpp.Loader");
    }

    /** Prints the probe's reason. */
    static final class ProbeProgram {
        private ProbeProgram() {}

        public static void main(String[] args) {
            System.out.println(CudaProbe.probe().reason());
        }
    }
}
