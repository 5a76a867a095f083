package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendContractTest;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.RowAccess;
import io.fireq.engine.backend.TestMatrices;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The contract, and what only this backend does. */
@GpuTest
class CudaBackendTest extends BackendContractTest {
    private CudaBackend opened;

    @Override
    protected Backend open(Numerics numerics) {
        opened = CudaBackend.open(numerics, graphs());
        return opened;
    }

    /** Hopper's FP8 tensor core keeps about 14 bits of a sum of 128 products. */
    @Override
    protected double sumError() {
        return 1e-3;
    }

    /** There are kernels for few tokens and for many. */
    @Override
    protected boolean sumsHaveOneOrder() {
        return false;
    }

    /** Two roundings to e4m3, of a 1/32 rms each, differ by about this. */
    @Override
    protected double weightPhaseError() {
        return 0.05;
    }

    boolean graphs() {
        return false;
    }

    @Override
    protected RowAccess access() {
        return new CudaRowAccess(() -> opened);
    }

    @Override
    protected boolean hasFloat32() {
        return false;
    }

    @Test
    void refuses_what_only_the_cpu_computes() {
        assertThatThrownBy(() -> CudaBackend.open(Numerics.FLOAT32, false)).isInstanceOf(FireqException.class)
                .hasMessageContaining("FLOAT32").hasMessageContaining("set the device to cpu");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> opened.kvCache(
                        new KvCacheSpec(1, 1, 8, 1, 4, new KvFormat(KvFormat.Kind.FLOAT32, 8))))
                .withMessageContaining("FLOAT32").withMessageContaining("CPU only");
    }

    @Test
    void says_how_much_memory_is_missing_and_goes_on() {
        KvCacheSpec huge = new KvCacheSpec(1000, 64, 128, 1 << 15, 256, new KvFormat(KvFormat.Kind.ASYMMETRIC, 128));
        assertThatThrownBy(() -> opened.kvCache(huge)).isInstanceOf(FireqException.class)
                .hasMessageContaining("bytes free").hasMessageContaining("KV cache of 8,388,608 tokens")
                .hasMessageContaining("lower kv-cache-tokens");
        assertThat(opened.rows(3, 5).width()).isEqualTo(5);
    }

    @Test
    void frees_what_it_allocated() {
        int before = opened.context().liveBuffers().size();
        opened.weight(List.of(TestMatrices.e4m3(11, 13, 1), TestMatrices.int4(5, 13, 13,
                TestMatrices.UNEVEN_VALUES, 2)));
        opened.vector(new float[7]);
        opened.kvCache(new KvCacheSpec(2, 1, 8, 3, 4, new KvFormat(KvFormat.Kind.ASYMMETRIC, 8)));
        assertThat(opened.allocations()).hasSize(4).anyMatch(label -> label.startsWith("'KV cache of 12 tokens"));
        assertThat(opened.context().liveBuffers()).hasSize(before + 4);
        opened.close();
        assertThat(opened.context().liveBuffers()).isEmpty();
        opened.close();
    }
}
