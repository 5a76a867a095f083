package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A calibration replaces the weights of every layer: what is freed must be free. */
@GpuTest
class CudaWeightMemoryTest {

    @ParameterizedTest
    @EnumSource(Epilogue.class)
    void a_freed_weight_leaves_nothing_behind(Epilogue epilogue) {
        try (CudaBackend backend = CudaBackend.open(Numerics.QUANTIZED, false)) {
            for (int k : new int[] {256, 172}) { // for the fast product, and for the plain one
                backend.free(backend.weight(List.of(matrix(256, k)), epilogue)); // what only the first one needs is there
                List<String> before = backend.context().liveBuffers();
                Backend.Weight weight = backend.weight(List.of(matrix(256, k)), epilogue);
                assertThat(backend.context().liveBuffers()).hasSizeGreaterThan(before.size());
                backend.free(weight);
                assertThat(backend.context().liveBuffers()).isEqualTo(before);
            }
        }
    }

    private static WeightMatrix matrix(int n, int k) {
        int groupSize = k % 128 == 0 ? 128 : k;
        return new Int4Matrix("w", n, k, groupSize, ByteBuffer.allocate(n * k / 2), ByteBuffer.allocate(n * (k / groupSize)),
                new float[n], Int4Matrix.integers());
    }
}
