package io.fireq.kernels.jit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelInfo;
import io.fireq.kernels.catalog.KernelSpec;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CompileLogTest {
    private static final String LOG = """
            fireq/gemm/plain_gemm.cuh(34): error: identifier "foo" is undefined
                  const int token = foo;
                                    ^
            ptxas info    : 4 bytes gmem
            ptxas info    : Compiling entry function '_Z1k' for 'sm_90a'
            ptxas info    : Function properties for _Z1k
            ptxas         .     16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
            ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized
            ptxas info    : Used 168 registers, used 1 barriers, 16672 bytes smem
            """;

    @Test
    void shows_findings_with_path_and_line_and_hides_resources() {
        assertThat(CompileLog.readable(LOG, List.of(Path.of("nowhere"), Path.of("src/main/cuda")))).isEqualTo("""
                src/main/cuda/fireq/gemm/plain_gemm.cuh:34: error: identifier "foo" is undefined
                      const int token = foo;
                                        ^
                ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized""");
    }

    @Test
    void reads_what_ptxas_says_about_the_kernel() {
        assertThat(CompileLog.resources("k", "_Z1k", "hash", LOG))
                .isEqualTo(new KernelInfo("k", "_Z1k", "hash", 168, 16, 8, 12, 16672));
    }

    @Test
    void does_not_guess_resources_that_the_log_lacks() {
        assertThatThrownBy(() -> CompileLog.resources("k", "_Z1k", "hash", "nothing"))
                .isInstanceOf(KernelCompileException.class).hasMessageContaining("NVRTC compiled k but its log");
    }

    @Test
    void reports_local_memory_of_hot_kernels_only() {
        KernelSpec hot = new KernelSpec("k.cuh", "k", KernelConfig.empty(), true);
        KernelSpec cold = new KernelSpec("k.cuh", "k", KernelConfig.empty(), false);
        KernelSpec lean = new KernelSpec("l.cuh", "l", KernelConfig.empty(), true);
        KernelInfo spilling = CompileLog.resources("k", "_Z1k", "hash", LOG);
        KernelInfo clean = new KernelInfo("l", "_Z1l", "hash", 32, 0, 0, 0, 0);
        assertThat(CompileReport.spillsInHotKernels(Map.of(hot, spilling, cold, spilling, lean, clean)))
                .singleElement().asString()
                .startsWith("Hot kernel k: 16 bytes of local memory per thread (8 stored and 12 loaded by spills)");
        assertThat(CompileReport.table(List.of(spilling))).contains("168     16             8           12     16672");
    }
}
