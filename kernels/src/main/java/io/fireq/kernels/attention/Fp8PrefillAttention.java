package io.fireq.kernels.attention;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;
import static io.fireq.kernels.cuda.KernelArgs.Type.TENSOR_MAP;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaEvent;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import io.fireq.kernels.cuda.PinnedBuffer;
import io.fireq.kernels.cuda.TensorMap;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * Causal attention of prompt chunks over the paged INT4 cache with FP8 tensor cores: any lengths, cached prefixes,
 * grouped heads; see {@link AttentionKernel#forPrefill} for the shapes.
 *
 * <p>Once per step {@link #prepare} plans the batch and uploads the plan; then every layer calls {@link #launch}, which
 * expands the sequences' K and V into the workspace and attends to them there. One thread, one stream.
 */
public final class Fp8PrefillAttention implements AutoCloseable {
    private static final String NAME = "Fp8PrefillAttention";
    private static final int QUERY_STAGES = 2;
    private static final int EXPAND_THREADS = 256;
    private static final int CONTROL_BYTES = 512;
    private static final int COUNTER_BYTES = 16;

    private final CudaContext context;
    private final int headDim;
    private final int nHeads;
    private final int headsPerKv;
    private final int nKvHeads;
    private final int maxTokens;
    private final int maxSeqs;
    private final int maxKvPositions;
    private final QueryTile onlyTile;
    private final Map<QueryTile, KernelFunction> expand = new EnumMap<>(QueryTile.class);
    private final Map<QueryTile, KernelFunction> attend = new EnumMap<>(QueryTile.class);
    private final KernelArgs expandArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, INT, INT, INT);
    private final KernelArgs attendArgs = new KernelArgs(TENSOR_MAP, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT,
            INT, INT, INT);
    private final DeviceBuffer records;
    private final DeviceBuffer planWords;
    private final DeviceBuffer counter;
    private final PinnedBuffer stagedPlan;
    private final CudaEvent planUploaded;
    private List<PrefillPlan> plans = List.of();
    private QueryTile queryTile = QueryTile.THREE_STAGES;
    private int nTokens;
    private DeviceBuffer mappedQuery;
    private int mappedTokens;
    private QueryTile mappedTile;
    private TensorMap queryMap;

    /**
     * Allocates the workspace.
     *
     * @param layout         shape of the cache
     * @param nHeads         query heads
     * @param maxTokens      new tokens of a batch
     * @param maxSeqs        sequences of a batch
     * @param maxKvPositions positions that are expanded at a time, at least those of the longest sequence; a batch
     *                       that has more takes several launches
     */
    public Fp8PrefillAttention(CudaContext context, PagedKvLayout layout, int nHeads, int maxTokens, int maxSeqs,
            int maxKvPositions) {
        this(context, layout, nHeads, maxTokens, maxSeqs, maxKvPositions, null);
    }

    /** @param onlyTile what every batch is computed with; null for the fastest for each */
    Fp8PrefillAttention(CudaContext context, PagedKvLayout layout, int nHeads, int maxTokens, int maxSeqs,
            int maxKvPositions, QueryTile onlyTile) {
        if (AttentionKernel.forPrefill(layout, nHeads) != AttentionKernel.FP8_PREFILL) {
            throw new IllegalArgumentException(("%s: nHeads=%d, %s; required headDim 64 or 128 in one group and at most "
                    + "%d query heads per KV head; use PlainPagedAttention").formatted(NAME, nHeads, layout, QueryTile.MAX_HEADS_PER_KV));
        }
        this.context = context;
        this.headDim = layout.headDim();
        this.nHeads = nHeads;
        this.nKvHeads = layout.nKvHeads();
        this.headsPerKv = nHeads / nKvHeads;
        this.maxTokens = maxTokens;
        this.maxSeqs = maxSeqs;
        this.maxKvPositions = maxKvPositions;
        this.onlyTile = onlyTile;
        long recordBytes = 0;
        long tilesOfPlan = 0;
        for (QueryTile queries : QueryTile.values()) {
            expand.put(queries, context.kernel(expandSpec(headDim, queries.kvTile())));
            attend.put(queries, context.kernel(attendSpec(headDim, queries)));
            recordBytes = Math.max(recordBytes, Math.multiplyExact((long) maxTiles(queries) * nKvHeads,
                    (long) recordLayout(queries).strideBytes()));
            tilesOfPlan = Math.max(tilesOfPlan, maxTiles(queries));
        }
        this.records = context.allocate("expanded KV", recordBytes);
        int minTokens = QueryTile.leastRows() / headsPerKv;
        long maxItems = (maxTokens + minTokens - 1) / minTokens + (long) maxSeqs;
        // Tiles beyond one workspace belong to further launches of the same step, at most one workspace per sequence.
        long maxWords = maxItems * PrefillPlan.ITEM_WORDS + tilesOfPlan * maxSeqs * PrefillPlan.TILE_WORDS;
        int planBytes = Math.toIntExact(Math.multiplyExact(maxWords, (long) Integer.BYTES));
        this.planWords = context.allocate("prefill plan", planBytes);
        this.stagedPlan = context.allocatePinned("prefill plan", planBytes);
        this.counter = context.allocate("prefill counter", COUNTER_BYTES);
        this.planUploaded = context.newEvent();
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (int headDim : new int[] {64, 128}) {
            for (QueryTile queries : QueryTile.values()) {
                specs.add(expandSpec(headDim, queries.kvTile()));
                specs.add(attendSpec(headDim, queries));
            }
        }
        return specs.stream().distinct().toList();
    }

    private static KernelSpec expandSpec(int headDim, int kvTile) {
        return new KernelSpec("attention/expand_kv.cuh", "expand_kv",
                KernelConfig.empty().with("THREADS", EXPAND_THREADS).with("HEAD_DIM", headDim).with("KV_TILE", kvTile),
                true);
    }

    private static KernelSpec attendSpec(int headDim, QueryTile queries) {
        KernelConfig config = KernelConfig.empty().with("HEAD_DIM", headDim).with("KV_TILE", queries.kvTile())
                .with("CONSUMERS", queries.warpgroups()).with("KV_STAGES", queries.kvStages())
                .with("QUERY_STAGES", QUERY_STAGES).with("PRODUCER_REGISTERS", queries.producerRegisters())
                .with("CONSUMER_REGISTERS", queries.consumerRegisters()).with("THREE_STAGES", queries.threeStages());
        return new KernelSpec("attention/sm90_fp8_prefill.cuh", "sm90_fp8_prefill", config, true);
    }

    private KvTileLayout recordLayout(QueryTile queries) {
        return new KvTileLayout(headDim, queries.kvTile());
    }

    /** KV tiles that the workspace holds. */
    private int maxTiles(QueryTile queries) {
        return Math.addExact(queries.tiles(maxKvPositions), maxSeqs);
    }

    private int tokensPerItem() {
        return queryTile.rows() / headsPerKv;
    }

    /**
     * Plans the batch of the following launches and queues the upload of the plan.
     *
     * @param cuSeqlens {@code [nSeqs + 1]} first token row of each sequence; its last entry is the number of tokens
     * @param kvLens    {@code [nSeqs]} positions of each sequence, its new tokens included
     */
    public void prepare(CudaStream stream, int[] cuSeqlens, int[] kvLens) {
        nTokens = cuSeqlens[kvLens.length];
        if (nTokens > maxTokens) {
            throw new IllegalArgumentException("%s: the batch has %,d tokens, made for %,d; split the batch"
                    .formatted(NAME, nTokens, maxTokens));
        }
        queryTile = onlyTile != null ? onlyTile : QueryTile.of(headDim, nTokens, nHeads, context.device().nSms());
        plans = PrefillPlan.of(cuSeqlens, kvLens, tokensPerItem(), queryTile.kvTile(),
                maxTiles(queryTile));
        planUploaded.synchronize();
        var staged = stagedPlan.bytes().clear().asIntBuffer();
        for (PrefillPlan plan : plans) {
            staged.put(plan.words());
        }
        planWords.uploadAsync(stream, 0, stagedPlan, staged.position() * Integer.BYTES);
        planUploaded.record(stream);
    }

    /**
     * Queues the attention of the prepared batch for one layer.
     *
     * @param query       {@code [nTokens, nHeads, headDim]} e4m3, 16-byte aligned
     * @param queryScale  {@code [nTokens, nHeads]} f32
     * @param cache       K and V of the layer, new tokens included
     * @param blockTables {@code [nSeqs, maxKvBlocks]} i32, KV blocks of each sequence in order
     * @param out         {@code [nTokens, nHeads, headDim]} bf16, 16-byte aligned
     */
    public void launch(CudaStream stream, DeviceBuffer query, DeviceBuffer queryScale, PagedKv cache,
            DeviceBuffer blockTables, int maxKvBlocks, DeviceBuffer out) {
        if (nTokens == 0) {
            return;
        }
        PagedKvLayout layout = cache.layout();
        if (layout.headDim() != headDim || layout.nKvHeads() != nKvHeads || layout.groups() != 1) {
            throw new IllegalArgumentException("%s: %s; it was made for nHeads=%d, headDim=%d, one group and %d KV heads"
                    .formatted(NAME, layout, nHeads, headDim, nHeads / headsPerKv));
        }
        long values = (long) nTokens * nHeads * headDim;
        query.require(NAME, "query [nTokens, nHeads, headDim]", values, 1);
        out.require(NAME, "out [nTokens, nHeads, headDim]", values, 2);
        requireAligned(out, "out");
        requireAligned(cache.kCodes(), "kCodes");
        requireAligned(cache.vCodes(), "vCodes");
        expandArgs.set(0, cache.kCodes()).set(1, cache.kParams()).set(2, cache.vCodes()).set(3, cache.vParams());
        expandArgs.set(4, blockTables).set(6, records).set(7, counter);
        expandArgs.set(8, layout.nKvHeads()).set(9, layout.kvBlockSize()).set(10, maxKvBlocks);
        int queryBytes = headDim * headsPerKv * tokensPerItem();
        attendArgs.set(0, map(query));
        attendArgs.set(1, queryScale.require(NAME, "queryScale [nTokens, nHeads]", (long) nTokens * nHeads, 4));
        attendArgs.set(2, records).set(4, counter).set(5, out);
        attendArgs.set(7, nHeads).set(8, layout.nKvHeads()).set(9, queryBytes);

        LaunchShape expandShape = LaunchShape.of(1, EXPAND_THREADS).overlapping();
        LaunchShape attendShape = LaunchShape.of(context.device().nSms(), queryTile.threads()).smem(smemBytes()).overlapping();
        long offset = 0;
        for (PrefillPlan plan : plans) {
            long itemBytes = (long) plan.nItems() * PrefillPlan.ITEM_WORDS * Integer.BYTES;
            long tileBytes = (long) plan.nTiles() * PrefillPlan.TILE_WORDS * Integer.BYTES;
            expandArgs.set(5, planWords.slice(offset + itemBytes, tileBytes, "tiles"));
            expand.get(queryTile).launch(stream, expandShape.grid(plan.nTiles(), layout.nKvHeads(), 1), expandArgs);
            attendArgs.set(3, planWords.slice(offset, itemBytes, "items"));
            attendArgs.set(6, plan.nItems());
            attend.get(queryTile).launch(stream, attendShape, attendArgs);
            offset += itemBytes + tileBytes;
        }
    }

    /** The first record that {@link #launch} left in the workspace is at its start; for tests. */
    DeviceBuffer records() {
        return records;
    }

    private int smemBytes() {
        return queryTile.kvStages() * recordLayout(queryTile).strideBytes() + QUERY_STAGES * queryTile.rows() * headDim + CONTROL_BYTES;
    }

    private TensorMap map(DeviceBuffer query) {
        if (query != mappedQuery || nTokens != mappedTokens || queryTile != mappedTile) {
            queryMap = TensorMap.encode(context, query, new TensorMap.Layout(TensorMap.Element.U8,
                    new long[] {headDim, nHeads, nTokens}, new long[] {headDim, (long) headDim * nHeads},
                    new int[] {headDim, headsPerKv, tokensPerItem()},
                    headDim == 128 ? TensorMap.Swizzle.B128 : TensorMap.Swizzle.B64));
            mappedQuery = query;
            mappedTokens = nTokens;
            mappedTile = queryTile;
        }
        return queryMap;
    }

    private static void requireAligned(DeviceBuffer buffer, String operand) {
        if (!buffer.isAligned(16)) {
            throw new IllegalArgumentException("%s: %s %s is not aligned to 16 bytes; allocate it so".formatted(NAME,
                    operand, buffer));
        }
    }

    @Override
    public void close() {
        planUploaded.close();
        stagedPlan.close();
        counter.close();
        planWords.close();
        records.close();
    }
}
