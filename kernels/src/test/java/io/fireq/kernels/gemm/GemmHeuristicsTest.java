package io.fireq.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GemmHeuristicsTest {
    private static final int N_SMS = 132;
    private static final int[] TOKENS = {1, 17, 64, 65, 128, 255, 300, 1024, 4096, 16384};

    private static GemmProblem problem(int m, int rows, int k, boolean stageable) {
        return new GemmProblem(m, rows, k / 128, 4, true, Epilogue.STORE, false, stageable);
    }

    /** What was fastest of all in performance note 0004. */
    @ParameterizedTest
    @CsvSource({
        "128,  4096,  14336, 128, true",
        "384,  4096,  14336, 128, true",
        "192,  6144,  4096,  128, false",
        "512,  6144,  4096,  256, false",
        "256,  28672, 4096,  256, false",
        "512,  28672, 4096,  256, false",
    })
    void the_measured_best_is_chosen(int m, int rows, int k, int tileM, boolean splitK) {
        GemmConfig config = GemmHeuristics.choose(problem(m, rows, k, true), N_SMS).config();
        assertThat(config.tileM()).isEqualTo(tileM);
        assertThat(config.splitK()).isEqualTo(splitK);
    }

    @ParameterizedTest
    @CsvSource({"1024", "4096", "16384"})
    void many_tokens_get_the_widest_tile(int m) {
        assertThat(GemmHeuristics.choose(problem(m, 28672, 4096, true), N_SMS).config().tileM()).isEqualTo(256);
    }

    @Test
    void a_launch_never_has_more_workers_than_work() {
        for (int m : TOKENS) {
            for (GemmPlan plan : GemmHeuristics.candidates(problem(m, 256, 128, true), N_SMS)) {
                GemmConfig config = plan.config();
                int tiles = (m + config.tileM() - 1) / config.tileM() * GemmHeuristics.tilesN(config, 256);
                assertThat(plan.ctas()).isBetween(1, tiles * config.cluster());
                assertThat(plan.ctas() % config.cluster()).isZero();
            }
        }
    }

    @Test
    void an_output_that_tma_cannot_write_is_stored_directly() {
        for (int m : TOKENS) {
            assertThat(GemmHeuristics.choose(problem(m, 512, 512, false), N_SMS).config().staged()).isFalse();
        }
    }

    @Test
    void every_problem_has_a_kernel_that_was_built() {
        List<String> built = Int4Fp8Gemm.specs().stream().map(spec -> spec.id()).toList();
        assertThat(built).doesNotHaveDuplicates();
        for (int bits : new int[] {4, 8}) {
            for (Epilogue epilogue : Epilogue.values()) {
                for (boolean outF32 : new boolean[] {false, true}) {
                    if (bits == 8 && epilogue == Epilogue.SILU_MUL || outF32 && epilogue != Epilogue.STORE) {
                        continue;
                    }
                    GemmProblem problem = new GemmProblem(77, 1024, 8, bits, false, epilogue, outF32, !outF32);
                    assertThat(GemmHeuristics.candidates(problem, N_SMS)).isNotEmpty().allSatisfy(plan ->
                            assertThat(built).contains(plan.config().spec().id()));
                }
            }
        }
    }

    @Test
    void no_kernel_asks_for_more_shared_memory_than_a_cta_has_and_all_can_prefetch() {
        for (GemmHeuristics.Tile tile : GemmHeuristics.TILES) {
            for (int bits : new int[] {4, 8}) {
                GemmConfig config = tile.config().with(bits, bits == 4, Epilogue.STORE, false);
                assertThat(config.smemBytes()).isLessThanOrEqualTo(232_448);
                assertThat(config.stages()).isBetween(3, 16);
            }
        }
    }
}
