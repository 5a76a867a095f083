package io.fireq.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GemmHeuristicsTest {
    private static final int N_SMS = 132;
    private static final int[] TOKENS = {1, 2, 7, 8, 9, 16, 17, 33, 64, 65, 128, 255, 300, 1024, 4096, 16384};

    private static GemmProblem problem(int m, int rows, int k, boolean stageable) {
        return new GemmProblem(m, rows, k / 128, 4, true, Epilogue.STORE, false, stageable);
    }

    @ParameterizedTest
    @CsvSource({"1, 8", "8, 8", "9, 16", "16, 16", "17, 32", "33, 64", "64, 64"})
    void few_tokens_get_the_narrowest_tile_that_holds_them(int m, int tileM) {
        GemmPlan plan = GemmHeuristics.choose(problem(m, 28672, 4096, true), N_SMS);
        assertThat(plan.config().tileM()).isEqualTo(tileM);
        assertThat(plan.config().splitK()).isTrue();
        assertThat(plan.ctas()).isEqualTo(N_SMS);
    }

    @ParameterizedTest
    @CsvSource({"1024", "4096", "16384"})
    void many_tokens_get_the_widest_tile(int m) {
        assertThat(GemmHeuristics.choose(problem(m, 28672, 4096, true), N_SMS).config().tileM()).isEqualTo(256);
    }

    @Test
    void a_launch_never_has_more_workers_than_work() {
        for (int m : TOKENS) {
            for (GemmConfig config : GemmHeuristics.candidates(problem(m, 256, 128, true))) {
                GemmPlan plan = GemmHeuristics.plan(config, problem(m, 256, 128, true), N_SMS);
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
                    assertThat(GemmHeuristics.candidates(problem)).isNotEmpty().allSatisfy(config ->
                            assertThat(built).contains(config.spec().id()));
                }
            }
        }
    }

    @Test
    void no_kernel_asks_for_more_shared_memory_than_a_cta_has_and_all_can_prefetch() {
        for (GemmConfig tile : GemmHeuristics.TILES) {
            for (int bits : new int[] {4, 8}) {
                GemmConfig config = tile.with(bits, bits == 4, Epilogue.STORE, false);
                assertThat(config.smemBytes()).isLessThanOrEqualTo(232_448);
                assertThat(config.stages()).isBetween(3, 16);
            }
        }
    }
}
