package io.fireq.kernels.cuda;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;
import static io.fireq.kernels.cuda.KernelArgs.Type.TENSOR_MAP;
import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.build.SelfTestKernels;
import io.fireq.kernels.cuda.TensorMap.Element;
import io.fireq.kernels.cuda.TensorMap.Layout;
import io.fireq.kernels.cuda.TensorMap.Swizzle;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Operand layouts of the tensor core and of TMA, with small integers so that every sum is exact. */
@GpuTest
class InstructionWrappersGpuTest {
    private static final int TILE_M = 64;
    private static final int TILE_K = 128;

    @ParameterizedTest
    @CsvSource({
        "8, false, false", "16, false, false", "32, false, false", "64, false, false", "128, false, false",
        "256, false, false", "8, true, false", "16, true, false", "32, true, false", "64, true, false",
        "128, true, false", "256, true, false", "8, false, true", "16, false, true", "32, false, true",
        "64, false, true", "128, false, true", "256, false, true", "8, true, true", "16, true, true", "32, true, true",
        "64, true, true", "128, true, true", "256, true, true",
    })
    void wgmma_multiplies_what_tma_delivers(int tileN, boolean registersA, boolean halfSums) {
        Seeded random = Seeded.fresh("wgmma_tile");
        byte[] a = smallIntegers(random, TILE_M * TILE_K);
        byte[] b = smallIntegers(random, tileN * TILE_K);
        float[] expected = new float[TILE_M * tileN];
        for (int m = 0; m < TILE_M; m++) {
            for (int n = 0; n < tileN; n++) {
                for (int k = 0; k < TILE_K; k++) {
                    expected[m * tileN + n] += Formats.fromE4m3(a[m * TILE_K + k]) * Formats.fromE4m3(b[n * TILE_K + k]);
                }
            }
        }
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer deviceA = gpu.upload("a", a);
            DeviceBuffer out = gpu.empty("out", 4L * expected.length);
            KernelArgs args = new KernelArgs(TENSOR_MAP, TENSOR_MAP, ADDRESS, ADDRESS)
                    .set(0, map(gpu, deviceA, TILE_M)).set(1, map(gpu, gpu.upload("b", b), tileN))
                    .set(2, deviceA).set(3, out);
            gpu.context().kernel(SelfTestKernels.wgmma(tileN, registersA, halfSums))
                    .launch(gpu.stream(), LaunchShape.of(1, 128), args);
            gpu.finish();
            assertThat(gpu.floats(out)).as(random.toString()).isEqualTo(expected);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void int4_table_gives_the_rounded_products_of_every_code_and_scale(boolean signMagnitude) {
        int count = 126 * 16;
        float[] magnitudes = {1, 2, 3, 4, 5, 6.5f, 8, 11};
        int[] words = new int[count];
        float[] scales = new float[count];
        byte[] expected = new byte[8 * count];
        for (int i = 0; i < count; i++) {
            scales[i] = Formats.fromE4m3((byte) (1 + i / 16));
            for (int j = 0; j < 8; j++) {
                int nibble = (i + 5 * j) % 16;
                int code = nibble << 28 >> 28;
                int index = (signMagnitude ? nibble : code > 0 ? 8 - code : code) & 7;
                int signBit = j < 4 ? 8 * j + 7 : 8 * (j - 4) + 3;
                words[i] |= index << 4 * j | nibble >> 3 << signBit;
                double magnitude = signMagnitude ? magnitudes[index] : code == 0 ? 0 : magnitudes[Math.abs(code) - 1];
                boolean negative = nibble >= 8 || !signMagnitude && nibble == 0;
                expected[8 * i + j] = Formats.e4m3((negative ? -1 : 1) * (magnitude * scales[i]));
            }
        }
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", expected.length);
            KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT)
                    .set(0, gpu.upload("words", words)).set(1, gpu.upload("scales", scales))
                    .set(2, gpu.upload("magnitudes", magnitudes)).set(3, out).set(4, count);
            gpu.context().kernel(SelfTestKernels.int4Decode(signMagnitude))
                    .launch(gpu.stream(), LaunchShape.of((count + 127) / 128, 128), args);
            gpu.finish();
            Comparer.identical("int4", new int[] {count, 8}, gpu.bytes(out), expected);
        }
    }

    @Test
    void a_cluster_shares_its_loads() {
        int rounds = 5;
        Seeded random = Seeded.fresh("cluster_multicast");
        byte[] data = random.bytes(rounds * 64 * 64);
        ByteBuffer expected = ByteBuffer.allocate(2 * data.length).order(ByteOrder.LITTLE_ENDIAN);
        for (int round = 0; round < rounds; round++) {
            expected.put(data, round * 4096, 4096).put(data, round * 4096, 4096);
        }
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", 2L * data.length);
            Layout layout = Layout.matrix(Element.U8, rounds * 64L, 64, 32, 64, Swizzle.NONE);
            KernelArgs args = new KernelArgs(TENSOR_MAP, ADDRESS, INT)
                    .set(0, TensorMap.encode(gpu.context(), gpu.upload("data", data), layout)).set(1, out).set(2, rounds);
            gpu.context().kernel(SelfTestKernels.clusterMulticast())
                    .launch(gpu.stream(), LaunchShape.of(2, 128).cluster(2), args);
            gpu.finish();
            Comparer.identical("tiles, " + random, new int[] {rounds, 2, 64, 64}, gpu.bytes(out), expected.array());
        }
    }

    private static TensorMap map(Gpu gpu, DeviceBuffer buffer, int rows) {
        return TensorMap.encode(gpu.context(), buffer, Layout.matrix(Element.U8, rows, TILE_K, rows, TILE_K, Swizzle.B128));
    }

    private static byte[] smallIntegers(Seeded random, int count) {
        byte[] codes = new byte[count];
        for (int i = 0; i < count; i++) {
            codes[i] = Formats.e4m3(random.below(5) - 2);
        }
        return codes;
    }
}
