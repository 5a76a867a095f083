package io.fireq.kernels.attention;

import io.fireq.kernels.cuda.CudaGraph;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class Int4KvDecodeAttentionGpuTest {

    @ParameterizedTest
    @CsvSource({
        // heads, kv heads, head dim, block size, kv lengths, new tokens of each sequence
        "3,  3, 128, 16, 1,                       1",
        "5,  5, 64,  16, 1,                       1",
        "6,  3, 128, 16, 15 16 17 31 32 33 1,     1 1 1 1 1 1 1",
        "12, 3, 64,  32, 63 64 65 127 128 129 2,  1 1 1 1 1 1 1",
        "32, 4, 128, 48, 300 17 129 40,           1 0 1 1",
        "22, 2, 64,  16, 200 31,                  1 1",
        "8,  2, 128, 16, 90 200 33,               3 1 2",
        "16, 2, 64,  16, 40 41,                   5 4",
        "32, 8, 128, 64, 5000,                    1",
        "16, 4, 64,  64, 5000 4999 7,             1 1 1",
    })
    void agrees_with_the_oracle_and_the_plain_kernel(int nHeads, int nKvHeads, int headDim, int kvBlockSize,
            String kvLens, String newTokens) {
        AttentionFixture batch = new AttentionFixture("int4kv_decode", nHeads, nKvHeads, headDim, kvBlockSize, kvLens,
                newTokens);
        try (Gpu gpu = Gpu.open(); Int4KvDecodeAttention decode = open(gpu, batch)) {
            AttentionFixture.OnDevice device = batch.upload(gpu);
            DeviceBuffer out = gpu.empty("out", 2L * batch.values());
            // The second launch finds the counters as the first left them.
            for (int run = 0; run < 2; run++) {
                out.fillAsync(gpu.stream(), (byte) 0xff);
                launch(gpu, decode, batch, device, batch.maxKvLen(), out);
            }
            gpu.finish();
            AttentionChecks.agree("int4kv_decode", batch, AttentionFixture.doubles(gpu, out), batch.plain(gpu, device));
        }
    }

    @ParameterizedTest
    @CsvSource({"128", "64"})
    void a_hundred_runs_give_the_same_bits(int headDim) {
        AttentionFixture batch = new AttentionFixture("int4kv_decode repeated", 16, 4, headDim, 16, "3000 1 700 64 129",
                "1 1 1 1 1");
        try (Gpu gpu = Gpu.open(); Int4KvDecodeAttention decode = open(gpu, batch)) {
            AttentionFixture.OnDevice device = batch.upload(gpu);
            DeviceBuffer out = gpu.empty("out", 2L * batch.values());
            byte[] first = null;
            for (int run = 0; run < 100; run++) {
                out.fillAsync(gpu.stream(), (byte) run);
                launch(gpu, decode, batch, device, batch.maxKvLen(), out);
                gpu.context().synchronize();
                byte[] bytes = gpu.bytes(out);
                first = first == null ? bytes : first;
                Comparer.identical("run " + run + ", " + batch, batch.dims(), bytes, first);
            }
            gpu.finish();
        }
    }

    @Test
    void a_recorded_graph_follows_growing_sequences() {
        int[] newTokens = {1, 1, 1};
        AttentionFixture batch = new AttentionFixture("int4kv_decode graph", 32, 8, 128, 16, new int[] {900, 70, 513},
                newTokens);
        try (Gpu gpu = Gpu.open(); Int4KvDecodeAttention decode = open(gpu, batch)) {
            AttentionFixture.OnDevice device = batch.upload(gpu);
            DeviceBuffer out = gpu.empty("out", 2L * batch.values());
            // Recorded while the sequences are short.
            device.positions().upload(0, words(3, 0, 40));
            launch(gpu, decode, batch, device, batch.maxKvLen(), out);
            try (CudaGraph graph = CudaGraph.capture(gpu.stream(),
                    () -> launch(gpu, decode, batch, device, batch.maxKvLen(), out))) {
                graph.launch(gpu.stream());
                gpu.context().synchronize();
                device.positions().upload(0, words(batch.positions));
                out.fillAsync(gpu.stream(), (byte) 0xff);
                graph.launch(gpu.stream());
                gpu.finish();
            }
            AttentionChecks.agree("int4kv_decode graph", batch, AttentionFixture.doubles(gpu, out),
                    batch.plain(gpu, device));
        }
    }

    private static ByteBuffer words(int... values) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        Arrays.stream(values).forEach(bytes::putInt);
        return bytes.flip();
    }

    private static Int4KvDecodeAttention open(Gpu gpu, AttentionFixture batch) {
        return new Int4KvDecodeAttention(gpu.context(), gpu.stream(), batch.layout, batch.nHeads, batch.nSeqs(),
                batch.nTokens(), batch.maxKvLen());
    }

    private static void launch(Gpu gpu, Int4KvDecodeAttention decode, AttentionFixture batch,
            AttentionFixture.OnDevice device, int maxKvLen, DeviceBuffer out) {
        decode.launch(gpu.stream(), device.query(), device.queryScale(), device.cache(), device.positions(),
                device.cuSeqlens(), device.blockTables(), batch.nTokens(), batch.nSeqs(), batch.maxKvBlocks,
                batch.maxNewTokens(), maxKvLen, out);
    }
}
