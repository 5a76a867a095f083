package io.fireq.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.bench.ModelShapes;
import io.fireq.engine.model.ModelConfig;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class KvPoolSizeTest {
    private static final ModelConfig LLAMA3_8B = ModelShapes.named("llama3-8b");
    private static final KvFormat FORMAT = new KvFormat(KvFormat.Kind.ASYMMETRIC, 64);
    /** 2 · 32 layers · 8 heads · (64 bytes of codes + 2 groups of 4 bytes). */
    private static final long BYTES_PER_TOKEN = 36_864;

    private static long tokens(EngineOptions.Builder options, int maxModelLen, OptionalLong freeBytes, long weightBytes) {
        return KvPoolSize.tokens(options.build().resolved(freeBytes.isPresent()), maxModelLen, LLAMA3_8B, FORMAT, freeBytes, weightBytes);
    }

    private static EngineOptions.Builder options() {
        return EngineOptions.builder("model");
    }

    @Test
    void a_token_takes_codes_and_scales_of_k_and_v_in_all_layers() {
        assertThat(KvPoolSize.bytesPerToken(LLAMA3_8B, FORMAT)).isEqualTo(BYTES_PER_TOKEN);
    }

    @Test
    void an_explicit_size_wins() {
        assertThat(tokens(options().kvCacheTokens(777), 8192, OptionalLong.of(1), 5)).isEqualTo(777);
    }

    @Test
    void host_memory_holds_a_few_contexts() {
        assertThat(tokens(options(), 1000, OptionalLong.empty(), 5)).isEqualTo(4000);
        assertThat(tokens(options(), 20_000, OptionalLong.empty(), 5)).isEqualTo(32_768);
        assertThat(tokens(options(), 50_000, OptionalLong.empty(), 5)).isEqualTo(50_000);
    }

    @Test
    void device_memory_is_filled_with_what_the_weights_leave_of_the_share() {
        long weightBytes = 4_000_000_000L;
        long freeBytes = (weightBytes + 10_000 * BYTES_PER_TOKEN + 100) * 2;
        assertThat(tokens(options().gpuMemoryShare(0.5), 8192, OptionalLong.of(freeBytes), weightBytes))
                .isEqualTo(10_000);
    }

    @Test
    void no_more_than_the_running_sequences_can_use() {
        assertThat(tokens(options().maxRunning(3), 8192, OptionalLong.of(1L << 40), 0)).isEqualTo(3 * 8192);
        assertThat(tokens(options().maxRunning(1 << 20), 1 << 20, OptionalLong.of(1L << 60), 0))
                .isEqualTo(Integer.MAX_VALUE - 16);
    }

    @Test
    void says_what_one_context_needs_where_it_does_not_fit() {
        assertThatThrownBy(() -> tokens(options(), 8192, OptionalLong.of(5_000_000_000L), 4_500_000_000L))
                .isInstanceOf(FireqException.class)
                .hasMessageContaining("4,500,000,000").hasMessageContaining("max-model-len=8,192")
                .hasMessageContaining("301,989,888").hasMessageContaining("gpu-memory-share=0.85")
                .hasMessageContaining("5,000,000,000");
    }
}
