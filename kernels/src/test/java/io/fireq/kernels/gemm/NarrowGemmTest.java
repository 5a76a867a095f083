package io.fireq.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.catalog.KernelSpec;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NarrowGemmTest {
    private static final int N_SMS = 132;
    private static final int MAX_SMEM_BYTES = 227 << 10;
    private static final int REGISTERS_PER_SM = 65_536;
    private static final int[] TOKENS = {1, 8, 9, 16, 17, 32, 33, 64};
    private static final int[] CHANNELS = {16, 100, 1024, 4096, 6144, 12_288, 14_336, 28_672, 128_256};

    /** What was fastest in performance note 0004. */
    @ParameterizedTest
    @CsvSource({
        "1,  6144,    STORE,        8,  1, 1",
        "1,  4096,    RESIDUAL_ADD, 8,  1, 2",
        "1,  14336,   SILU_MUL,     8,  4, 1",
        "16, 14336,   SILU_MUL,     16, 4, 1",
        "17, 12288,   STORE,        32, 2, 1",
        "64, 14336,   SILU_MUL,     64, 4, 1",
        "64, 4096,    RESIDUAL_ADD, 64, 1, 2",
    })
    void layers_of_models_get_the_measured_best(int m, int n, Epilogue epilogue, int tileM, int groups, int cluster) {
        assertThat(NarrowGemm.config(m, n, true, epilogue, false, N_SMS))
                .isEqualTo(new NarrowConfig(tileM, groups, cluster, true, epilogue, false));
    }

    @Test
    void every_problem_has_a_kernel_that_was_built_and_fits_an_sm() {
        Set<KernelSpec> built = new HashSet<>(NarrowGemm.specs());
        for (int m : TOKENS) {
            for (int n : CHANNELS) {
                for (int nSms : new int[] {1, 2, 7, N_SMS}) {
                    for (Epilogue epilogue : Epilogue.values()) {
                        for (boolean outF32 : new boolean[] {false, true}) {
                            if (outF32 && epilogue != Epilogue.STORE) {
                                continue;
                            }
                            NarrowConfig config = NarrowGemm.config(m, n, true, epilogue, outF32, nSms);
                            assertThat(built).contains(config.spec());
                            assertThat(config.tileM()).isGreaterThanOrEqualTo(m);
                            assertThat(config.smemBytes()).isLessThanOrEqualTo(MAX_SMEM_BYTES);
                            assertThat(config.threads()).isLessThanOrEqualTo(REGISTERS_PER_SM / 96);
                        }
                    }
                }
            }
        }
    }

    /** The kernel with one group goes once through its strips. */
    @Test
    void one_group_holds_all_strips_of_a_cluster() {
        for (int m : TOKENS) {
            for (int n : CHANNELS) {
                for (int nSms : new int[] {1, 2, 7, N_SMS}) {
                    NarrowConfig config = NarrowGemm.config(m, n, false, Epilogue.STORE, false, nSms);
                    int strips = NarrowGemm.strips(n, Epilogue.STORE);
                    int clusters = Math.min(strips, nSms / config.cluster());
                    if (config.groups() == 1) {
                        assertThat((strips + clusters - 1) / clusters).isLessThanOrEqualTo(NarrowConfig.STRIPS);
                    }
                }
            }
        }
    }
}
