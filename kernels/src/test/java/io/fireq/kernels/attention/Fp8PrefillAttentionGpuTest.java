package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;

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
class Fp8PrefillAttentionGpuTest {

    @ParameterizedTest
    @CsvSource({
        // heads, kv heads, head dim, block size, kv lengths, new tokens of each sequence
        "3,  3, 128, 16, 1,             1",
        "5,  5, 64,  16, 1,             1",
        "6,  3, 128, 16, 63 64 65,      63 64 65",
        "6,  3, 64,  16, 63 64 65,      63 64 65",
        "4,  4, 128, 32, 127 128 129 1, 127 1 129 1",
        "4,  4, 64,  32, 191 192 193 2, 191 1 193 2",
        "16, 2, 128, 16, 200 333,       100 33",
        "32, 8, 128, 16, 300 17 129 40, 1 17 33 0",
        "12, 4, 64,  16, 191 70,        191 7",
        "14, 2, 128, 5,  150 1,         150 1",
        "8,  2, 128, 64, 1500,          40",
        "8,  2, 64,  64, 1500,          40",
    })
    void agrees_with_the_oracle_and_the_plain_kernel(int nHeads, int nKvHeads, int headDim, int kvBlockSize,
            String kvLens, String newTokens) {
        AttentionFixture batch = new AttentionFixture("fp8_prefill", nHeads, nKvHeads, headDim, kvBlockSize, kvLens,
                newTokens);
        for (QueryTile tile : QueryTile.values()) {
            try (Gpu gpu = Gpu.open(); Fp8PrefillAttention prefill = new Fp8PrefillAttention(gpu.context(), batch.layout,
                    nHeads, batch.nTokens(), batch.nSeqs(), Arrays.stream(batch.kvLens).sum(), tile)) {
                AttentionFixture.OnDevice device = batch.upload(gpu);
                DeviceBuffer out = gpu.empty("out", 2L * batch.values());
                launch(gpu, prefill, batch, device, out);
                gpu.finish();
                AttentionChecks.agree("fp8_prefill " + tile, batch, AttentionFixture.doubles(gpu, out),
                        batch.plain(gpu, device));
            }
        }
    }

    @Test
    void a_small_workspace_serves_a_batch_in_several_launches() {
        AttentionFixture batch = new AttentionFixture("fp8_prefill small workspace", 8, 2, 128, 16, "130 70 200 64 1",
                "30 70 5 64 1");
        try (Gpu gpu = Gpu.open();
                Fp8PrefillAttention large = new Fp8PrefillAttention(gpu.context(), batch.layout, 8, 170, 5, 465);
                Fp8PrefillAttention small = new Fp8PrefillAttention(gpu.context(), batch.layout, 8, 170, 5, 1)) {
            AttentionFixture.OnDevice device = batch.upload(gpu);
            DeviceBuffer expected = gpu.empty("expected", 2L * batch.values());
            DeviceBuffer out = gpu.empty("out", 2L * batch.values());
            launch(gpu, large, batch, device, expected);
            launch(gpu, small, batch, device, out);
            gpu.finish();
            Comparer.identical("small workspace, " + batch, batch.dims(), gpu.bytes(out), gpu.bytes(expected));
        }
    }

    @ParameterizedTest
    @CsvSource({"128, TURNS", "128, THREE_STAGES", "64, THREE_WARPGROUPS", "64, THREE_STAGES"})
    void a_hundred_runs_give_the_same_bits(int headDim, QueryTile tile) {
        AttentionFixture batch = new AttentionFixture("fp8_prefill repeated", 16, 4, headDim, 16, "700 1 333 64 1000 129",
                "700 1 300 64 10 129");
        try (Gpu gpu = Gpu.open(); Fp8PrefillAttention prefill = new Fp8PrefillAttention(gpu.context(), batch.layout, 16,
                batch.nTokens(), batch.nSeqs(), 2300, tile)) {
            AttentionFixture.OnDevice device = batch.upload(gpu);
            DeviceBuffer out = gpu.empty("out", 2L * batch.values());
            byte[] first = null;
            for (int run = 0; run < 100; run++) {
                out.fillAsync(gpu.stream(), (byte) run);
                launch(gpu, prefill, batch, device, out);
                gpu.context().synchronize();
                byte[] bytes = gpu.bytes(out);
                first = first == null ? bytes : first;
                Comparer.identical("run " + run + ", " + batch, batch.dims(), bytes, first);
            }
            gpu.finish();
        }
    }

    @ParameterizedTest
    @CsvSource({"128, 16, TURNS", "128, 16, THREE_STAGES", "64, 16, TURNS", "64, 16, THREE_STAGES", "128, 7, TURNS"})
    void expands_the_cache_to_the_oracles_bytes(int headDim, int kvBlockSize, QueryTile queries) {
        AttentionFixture batch = new AttentionFixture("expand_kv", 6, 3, headDim, kvBlockSize, "150 64", "150 1");
        try (Gpu gpu = Gpu.open();
                Fp8PrefillAttention prefill = new Fp8PrefillAttention(gpu.context(), batch.layout, 6, 151, 2, 214, queries)) {
            AttentionFixture.OnDevice device = batch.upload(gpu);
            launch(gpu, prefill, batch, device, gpu.empty("out", 2L * batch.values()));
            gpu.finish();
            KvTileLayout tile = new KvTileLayout(headDim, queries.kvTile());
            ByteBuffer records = ByteBuffer.wrap(gpu.bytes(prefill.records())).order(ByteOrder.LITTLE_ENDIAN);
            int record = 0;
            for (int sequence = 0; sequence < 2; sequence++) {
                for (int first = 0; first < batch.kvLens[sequence]; first += tile.tokens()) {
                    int count = Math.min(tile.tokens(), batch.kvLens[sequence] - first);
                    for (int head = 0; head < 3; head++) {
                        KvTileOracle.check("record %d, %s".formatted(record, batch), tile,
                                batch.rows(sequence, first + count, head), first, count,
                                records.slice(record++ * tile.strideBytes(), tile.strideBytes())
                                        .order(ByteOrder.LITTLE_ENDIAN));
                    }
                }
            }
        }
    }

    @Test
    void a_batch_without_tokens_does_nothing() {
        AttentionFixture batch = new AttentionFixture("fp8_prefill empty", 4, 2, 64, 16, "30 5", "1 0");
        try (Gpu gpu = Gpu.open();
                Fp8PrefillAttention prefill = new Fp8PrefillAttention(gpu.context(), batch.layout, 4, 1, 2, 35)) {
            AttentionFixture.OnDevice device = batch.upload(gpu);
            DeviceBuffer out = gpu.empty("out", 2L * batch.values());
            byte[] before = gpu.bytes(out);
            prefill.prepare(gpu.stream(), new int[] {0, 0, 0}, batch.kvLens);
            prefill.launch(gpu.stream(), device.query(), device.queryScale(), device.cache(), device.blockTables(),
                    batch.maxKvBlocks, out);
            gpu.finish();
            assertThat(gpu.bytes(out)).isEqualTo(before);
        }
    }

    private static void launch(Gpu gpu, Fp8PrefillAttention prefill, AttentionFixture batch,
            AttentionFixture.OnDevice device, DeviceBuffer out) {
        prefill.prepare(gpu.stream(), batch.cuSeqlens, batch.kvLens);
        prefill.launch(gpu.stream(), device.query(), device.queryScale(), device.cache(), device.blockTables(),
                batch.maxKvBlocks, out);
    }
}
