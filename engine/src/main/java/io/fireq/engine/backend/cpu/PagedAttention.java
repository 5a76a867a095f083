package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.batch.Batch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Causal attention of a ragged batch over the paged cache, steps 1 to 3 of {@code docs/numerics.md}.
 *
 * <p>A tile of work is one KV head and some neighbouring tokens of one sequence. Its m query rows are those tokens times
 * the query heads that share the KV head, so codes are unpacked once for all of them:
 *
 * <pre>{@code
 * K chunk [headDim, 64]  →  p[m, kvLen] = scores  →  exp, row sums  →  a[m, kvLen] = quantize(p · vScale)
 * V chunk [64, headDim]  →  o[m, headDim] += a · codes
 * }</pre>
 *
 * Chunks start at multiples of 64 positions and every sum runs over positions in ascending order, so a row's result
 * depends neither on its tile nor on where its KV blocks lie.
 */
final class PagedAttention {
    private static final int KEY_CHUNK = 64;
    private static final int MAX_TILE_TOKENS = 16;
    /** Bounds p of a tile to 1 MiB, the L2 cache. */
    private static final int MAX_TILE_SCORES = 1 << 18;

    private final CpuKernels kernels;
    private final CpuWorkers workers;
    private final Rounding rounding;
    private final WorkerScratch[] scratch;

    /** Token rows tokenBegin..tokenEnd-1 of one sequence, for one KV head. */
    private record Tile(int sequence, int kvHead, int tokenBegin, int tokenEnd) {}

    PagedAttention(CpuKernels kernels, CpuWorkers workers, Rounding rounding, WorkerScratch[] scratch) {
        this.kernels = kernels;
        this.workers = workers;
        this.rounding = rounding;
        this.scratch = scratch;
    }

    void run(Batch batch, CpuQuantizedRows query, AttentionSpec spec, CpuKvCache cache, CpuRows out) {
        List<Tile> tiles = tiles(batch, spec);
        workers.parallelFor(tiles.size(), 1, (worker, begin, end) -> {
            for (Tile tile : tiles.subList(begin, end)) {
                attend(tile, batch, query, spec, cache, out, scratch[worker]);
            }
        });
    }

    private static List<Tile> tiles(Batch batch, AttentionSpec spec) {
        List<Tile> tiles = new ArrayList<>();
        for (int s = 0; s < batch.nSeqs(); s++) {
            int rowsPerToken = spec.nHeads() / spec.nKvHeads();
            int tileTokens = Math.max(1,
                    Math.min(MAX_TILE_TOKENS, MAX_TILE_SCORES / rowsPerToken / Math.max(1, batch.kvLens()[s])));
            for (int begin = batch.cuSeqlens()[s]; begin < batch.cuSeqlens()[s + 1]; begin += tileTokens) {
                int end = Math.min(begin + tileTokens, batch.cuSeqlens()[s + 1]);
                for (int head = 0; head < spec.nKvHeads(); head++) {
                    tiles.add(new Tile(s, head, begin, end));
                }
            }
        }
        return tiles;
    }

    private void attend(Tile tile, Batch batch, CpuQuantizedRows query, AttentionSpec spec, CpuKvCache cache,
            CpuRows out, WorkerScratch workerScratch) {
        AttentionScratch s = workerScratch.attention;
        KvStore kStore = cache.k()[spec.layer()];
        KvStore vStore = cache.v()[spec.layer()];
        int[] blockTable = batch.blockTables()[tile.sequence];
        int kvBlockSize = cache.spec().kvBlockSize();
        int rowsPerToken = spec.nHeads() / spec.nKvHeads();
        int m = (tile.tokenEnd - tile.tokenBegin) * rowsPerToken;
        int kvLen = batch.positions()[tile.tokenEnd - 1] + 1;
        int groups = kStore.groups();
        int headDim = spec.headDim();
        int groupSize = headDim / groups;
        s.reserve(m, kvLen, headDim, groups, KEY_CHUNK);

        loadQueries(tile, query, spec, groups, m, s);
        readScales(kStore, blockTable, kvBlockSize, tile.kvHead, kvLen, s);
        Arrays.fill(s.p, 0, m * kvLen, 0f);
        for (int chunk = 0; chunk < kvLen; chunk += KEY_CHUNK) {
            int n = Math.min(KEY_CHUNK, kvLen - chunk);
            readCodes(kStore, blockTable, kvBlockSize, tile.kvHead, chunk, n, s.codes);
            for (int group = 0; group < groups; group++) {
                // All of the chunk, whatever lies behind its n tokens: a product's place decides how it is summed.
                Arrays.fill(s.dots, 0, m * KEY_CHUNK, 0f);
                kernels.addWeightedRows(s.q, group * groupSize, headDim, m, s.codes, group * groupSize * KEY_CHUNK,
                        KEY_CHUNK, groupSize, KEY_CHUNK, s.dots, 0, KEY_CHUNK, workerScratch.kernels);
                addScores(s, group, m, kvLen, chunk, n);
            }
        }

        readScales(vStore, blockTable, kvBlockSize, tile.kvHead, kvLen, s);
        float[] rowSums = s.qScales;
        float[] zeroSums = s.qSums;
        for (int row = 0; row < m; row++) {
            int visible = batch.positions()[tile.tokenBegin + row / rowsPerToken] + 1;
            rowSums[row] = kernels.softmaxRow(s.p, row * kvLen, visible, s.qScales[row], workerScratch.kernels);
            for (int group = 0; group < groups; group++) {
                weigh(s, group, row, m, visible, kvLen);
                kernels.dots(s.a, (group * m + row) * kvLen, kvLen, 1, s.zeros, group * kvLen, kvLen, 1, visible, zeroSums,
                        group * m + row, 1, workerScratch.kernels);
            }
        }

        Arrays.fill(s.o, 0, m * headDim, 0f);
        for (int chunk = 0; chunk < kvLen; chunk += KEY_CHUNK) {
            int n = Math.min(KEY_CHUNK, kvLen - chunk);
            readCodes(vStore, blockTable, kvBlockSize, tile.kvHead, chunk, n, s.codes);
            for (int group = 0; group < groups; group++) {
                kernels.addWeightedRows(s.a, group * m * kvLen + chunk, kvLen, m, s.codes, group * groupSize, headDim,
                        n, groupSize, s.o, group * groupSize, headDim, workerScratch.kernels);
            }
        }

        for (int row = 0; row < m; row++) {
            int token = tile.tokenBegin + row / rowsPerToken;
            int head = tile.kvHead * rowsPerToken + row % rowsPerToken;
            int outOffset = token * out.width() + head * headDim;
            for (int c = 0; c < headDim; c++) {
                int group = c / groupSize;
                float sum = s.o[row * headDim + c] - zeroSums[group * m + row];
                out.values()[outOffset + c] = rounding.store(s.aScales[group * m + row] * sum / rowSums[row]);
            }
        }
    }

    private static void loadQueries(Tile tile, CpuQuantizedRows query, AttentionSpec spec, int groups, int m,
            AttentionScratch s) {
        int rowsPerToken = spec.nHeads() / spec.nKvHeads();
        int headDim = spec.headDim();
        int groupSize = headDim / groups;
        float rootHeadDim = (float) Math.sqrt(headDim);
        for (int row = 0; row < m; row++) {
            int token = tile.tokenBegin + row / rowsPerToken;
            int head = tile.kvHead * rowsPerToken + row % rowsPerToken;
            System.arraycopy(query.values(), token * query.width() + head * headDim, s.q, row * headDim, headDim);
            s.qScales[row] = query.scales()[token * query.groups() + head] / rootHeadDim;
            for (int group = 0; group < groups; group++) {
                float sum = 0;
                for (int c = group * groupSize; c < (group + 1) * groupSize; c++) {
                    sum += s.q[row * headDim + c];
                }
                s.qSums[group * m + row] = sum;
            }
        }
    }

    private static void readScales(KvStore store, int[] blockTable, int kvBlockSize, int kvHead, int kvLen,
            AttentionScratch s) {
        for (int group = 0; group < store.groups(); group++) {
            for (int t = 0; t < kvLen; t += kvBlockSize) {
                store.readScales(blockTable[t / kvBlockSize], kvHead, group, Math.min(kvBlockSize, kvLen - t), s.scales,
                        s.zeros, group * kvLen + t);
            }
        }
    }

    /** Codes of the positions begin..begin+n-1, whatever KV blocks they lie in. */
    private void readCodes(KvStore store, int[] blockTable, int kvBlockSize, int kvHead, int begin, int n,
            float[] target) {
        for (int done = 0; done < n;) {
            int position = begin + done;
            int inBlock = position % kvBlockSize;
            int count = Math.min(kvBlockSize - inBlock, n - done);
            store.read(kernels, blockTable[position / kvBlockSize], kvHead, inBlock, count, target, done, KEY_CHUNK);
            done += count;
        }
    }

    private static void addScores(AttentionScratch s, int group, int m, int kvLen, int chunk, int n) {
        float[] p = s.p;
        float[] dots = s.dots;
        float[] scales = s.scales;
        float[] zeros = s.zeros;
        int scalesAt = group * kvLen + chunk;
        for (int row = 0; row < m; row++) {
            float qSum = s.qSums[group * m + row];
            int pAt = row * kvLen + chunk;
            int dotsAt = row * KEY_CHUNK;
            for (int t = 0; t < n; t++) {
                p[pAt + t] += scales[scalesAt + t] * (dots[dotsAt + t] - zeros[scalesAt + t] * qSum);
            }
        }
    }

    /** Quantizes one row p · scale of V; later tokens are hidden from it. */
    private void weigh(AttentionScratch s, int group, int row, int m, int visible, int kvLen) {
        float[] a = s.a;
        float[] p = s.p;
        float[] scales = s.scales;
        int aAt = (group * m + row) * kvLen;
        for (int t = 0; t < visible; t++) {
            a[aAt + t] = p[row * kvLen + t] * scales[group * kvLen + t];
        }
        Arrays.fill(a, aAt + visible, aAt + kvLen, 0f);
        s.aScales[group * m + row] = rounding.quantizeRow(a, aAt, visible, a, aAt);
    }
}
