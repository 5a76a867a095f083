package io.fireq.kernels.attention;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import java.util.List;

/**
 * Causal attention of one new token per sequence, or a few, straight from the paged INT4 cache; see
 * {@link AttentionKernel#forDecode} for the shapes.
 *
 * <p>A launch reads lengths on the device and allocates nothing, so it can be recorded into a graph and replayed as
 * sequences grow up to the {@code maxKvLen} it was recorded with. One thread, one stream at a time: launches share the
 * workspace.
 */
public final class Int4KvDecodeAttention implements AutoCloseable {
    /** Positions that lie together in a KV block. */
    static final int RUN = 16;

    private static final String NAME = "Int4KvDecodeAttention";
    private static final int WARPS = 4;
    private static final int COLUMNS = 8;
    private static final int STAGES = 3;
    private static final int CTAS_PER_SM = 4;
    /** Positions that a warp fetches at a time. */
    private static final int TILE = 32;
    private static final int PARAM_BYTES = 4;
    private static final int STATS_BYTES = 8;
    private static final int ALIGNMENT = 16;
    private static final int MAX_GRID_YZ = 65_535;

    private final CudaContext context;
    private final PagedKvLayout layout;
    private final int nHeads;
    private final int maxSeqs;
    private final int maxTokens;
    private final KernelFunction kernel;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT);
    private final DeviceBuffer splitStats;
    private final DeviceBuffer splitValues;
    private final DeviceBuffer arrivals;
    private final long maxSlots;

    /**
     * Allocates the workspace.
     *
     * @param layout    shape of the cache
     * @param nHeads    query heads
     * @param maxSeqs   sequences of a batch
     * @param maxTokens new tokens of a batch; {@code maxSeqs} where each has one
     * @param maxKvLen  positions of the longest sequence
     */
    public Int4KvDecodeAttention(CudaContext context, CudaStream stream, PagedKvLayout layout, int nHeads, int maxSeqs,
            int maxTokens, int maxKvLen) {
        if (AttentionKernel.forDecode(layout, nHeads) != AttentionKernel.INT4KV_DECODE) {
            throw new IllegalArgumentException(("%s: nHeads=%d, %s; required headDim 64 or 128 in one group and KV blocks "
                    + "of a multiple of %d tokens; use PlainPagedAttention").formatted(NAME, nHeads, layout, RUN));
        }
        this.context = context;
        this.layout = layout;
        this.nHeads = nHeads;
        this.maxSeqs = maxSeqs;
        this.maxTokens = maxTokens;
        this.kernel = context.kernel(spec(layout.headDim()));
        long most = 1;
        for (int nSeqs = 1; nSeqs <= maxSeqs; nSeqs++) {
            most = Math.max(most, (long) nSeqs * nHeads * plan(nSeqs, 1, maxKvLen).maxSplits());
        }
        this.maxSlots = most;
        this.splitStats = context.allocate("decode split sums", Math.multiplyExact(maxSlots, 8L));
        this.splitValues = context.allocate("decode split values",
                Math.multiplyExact(maxSlots, (long) layout.headDim() * Float.BYTES));
        long counters = (long) maxSeqs * layout.nKvHeads() * columnBlocks(maxTokens);
        this.arrivals = context.allocate("decode arrivals", Math.multiplyExact(counters, (long) Integer.BYTES));
        arrivals.fillAsync(stream, (byte) 0);
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(spec(64), spec(128));
    }

    private static KernelSpec spec(int headDim) {
        return new KernelSpec("attention/sm90_int4kv_decode.cuh", "sm90_int4kv_decode", KernelConfig.empty()
                .with("HEAD_DIM", headDim).with("WARPS", WARPS).with("STAGES", STAGES).with("CTAS_PER_SM", CTAS_PER_SM)
                .with("SMEM_BYTES", smemBytes(headDim)), true);
    }

    /** Dynamic shared memory; the kernel asserts that it lays out the same: rings, barriers, statistics, a flag. */
    private static int smemBytes(int headDim) {
        int tile = 2 * TILE * (headDim / 2 + PARAM_BYTES);
        int bytes = WARPS * STAGES * (tile + Long.BYTES) + WARPS * COLUMNS * STATS_BYTES + 1;
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /**
     * Queues the attention of {@code nTokens} tokens.
     *
     * @param query          {@code [nTokens, nHeads, headDim]} e4m3
     * @param queryScale     {@code [nTokens, nHeads]} f32
     * @param cache          K and V, which hold positions 0..positions[t] of each token's sequence
     * @param positions      {@code [nTokens]} i32, ascending within a sequence
     * @param cuSeqlens      {@code [nSeqs + 1]} i32, first token row of each sequence; a sequence may have none
     * @param blockTables    {@code [nSeqs, maxKvBlocks]} i32, KV blocks of each sequence in order
     * @param maxNewTokens   most new tokens of a sequence
     * @param maxKvLen       most positions of a sequence, now and at any replay; a guide for the grid, not a limit
     * @param out            {@code [nTokens, nHeads, headDim]} bf16
     */
    public void launch(CudaStream stream, DeviceBuffer query, DeviceBuffer queryScale, PagedKv cache,
            DeviceBuffer positions, DeviceBuffer cuSeqlens, DeviceBuffer blockTables, int nTokens, int nSeqs,
            int maxKvBlocks, int maxNewTokens, int maxKvLen, DeviceBuffer out) {
        PagedKvLayout actual = cache.layout();
        if (actual.headDim() != layout.headDim() || actual.nKvHeads() != layout.nKvHeads()
                || actual.kvBlockSize() % RUN != 0 || actual.groups() != 1) {
            throw new IllegalArgumentException("%s: cache %s; it was made for %s".formatted(NAME, actual, layout));
        }
        if (nSeqs > maxSeqs || nTokens > maxTokens || nSeqs > MAX_GRID_YZ) {
            throw new IllegalArgumentException("%s: %d sequences with %d tokens; it was made for %d with %d".formatted(NAME,
                    nSeqs, nTokens, maxSeqs, maxTokens));
        }
        int columnBlocks = columnBlocks(maxNewTokens);
        SplitKvPlan plan = plan(nSeqs, maxNewTokens, maxKvLen);
        int splits = Math.toIntExact(Math.max(1, Math.min(plan.maxSplits(), maxSlots / ((long) nTokens * nHeads))));
        long values = (long) nTokens * nHeads * layout.headDim();
        args.set(0, query.require(NAME, "query [nTokens, nHeads, headDim]", values, 1));
        args.set(1, queryScale.require(NAME, "queryScale [nTokens, nHeads]", (long) nTokens * nHeads, 4));
        args.set(2, cache.kCodes()).set(3, cache.kParams()).set(4, cache.vCodes()).set(5, cache.vParams());
        args.set(6, positions.require(NAME, "positions [nTokens]", nTokens, 4));
        args.set(7, cuSeqlens.require(NAME, "cuSeqlens [nSeqs + 1]", nSeqs + 1L, 4));
        args.set(8, blockTables.require(NAME, "blockTables [nSeqs, maxKvBlocks]", (long) nSeqs * maxKvBlocks, 4));
        args.set(9, out.require(NAME, "out [nTokens, nHeads, headDim]", values, 2));
        args.set(10, splitStats).set(11, splitValues).set(12, arrivals);
        args.set(13, nHeads).set(14, layout.nKvHeads()).set(15, actual.kvBlockSize()).set(16, maxKvBlocks);
        args.set(17, plan.minSplitTiles());
        kernel.launch(stream, LaunchShape.of(splits, WARPS * 32).grid(splits, layout.nKvHeads() * columnBlocks, nSeqs)
                .smem(smemBytes(layout.headDim())).overlapping(), args);
    }

    private SplitKvPlan plan(int nSeqs, int maxNewTokens, int maxKvLen) {
        return SplitKvPlan.of(Math.max(1, nSeqs) * layout.nKvHeads() * columnBlocks(maxNewTokens), maxKvLen,
                context.device().nSms() * CTAS_PER_SM);
    }

    private int columnBlocks(int maxNewTokens) {
        return (maxNewTokens * (nHeads / layout.nKvHeads()) + COLUMNS - 1) / COLUMNS;
    }

    @Override
    public void close() {
        arrivals.close();
        splitValues.close();
        splitStats.close();
    }
}
