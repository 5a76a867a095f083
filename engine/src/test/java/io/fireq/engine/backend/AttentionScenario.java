package io.fireq.engine.backend;

import io.fireq.engine.backend.Backend.Attention;
import io.fireq.engine.backend.Backend.KvCache;
import io.fireq.engine.backend.Backend.QuantizedRows;
import io.fireq.engine.backend.Backend.Rows;
import io.fireq.engine.backend.NumericsOracle.KvVector;
import io.fireq.engine.backend.NumericsOracle.Quantized;
import io.fireq.engine.batch.Batch;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Sequences of random Q, K and V that pass through ropeAppendKv and attention in steps of any make-up.
 *
 * @param seqLens tokens of each sequence in the end
 */
record AttentionScenario(AttentionSpec spec, KvFormat format, int kvBlockSize, int[] seqLens, long seed) {

    /** Results by [sequence][position]: the quantized queries and the attention output. */
    record Results(float[][][] queries, float[][][] queryScales, float[][][] outputs) {}

    static AttentionSpec spec(int layer, int nHeads, int nKvHeads, int headDim, int maxPositions, boolean smooth,
            long seed) {
        Random random = new Random(seed);
        int half = headDim / 2;
        float[] cos = new float[maxPositions * half];
        float[] sin = new float[maxPositions * half];
        for (int position = 0; position < maxPositions; position++) {
            for (int i = 0; i < half; i++) {
                double angle = position * Math.pow(10000, -2.0 * i / headDim);
                cos[position * half + i] = (float) Math.cos(angle);
                sin[position * half + i] = (float) Math.sin(angle);
            }
        }
        float[] kSmooth = new float[nKvHeads * headDim];
        for (int i = 0; i < kSmooth.length; i++) {
            kSmooth[i] = 0.5f + random.nextFloat();
        }
        return new AttentionSpec(layer, nHeads, nKvHeads, headDim, cos, sin, smooth ? kSmooth : null, 0);
    }

    static AttentionSpec withHadamard(AttentionSpec spec, int block) {
        return new AttentionSpec(spec.layer(), spec.nHeads(), spec.nKvHeads(), spec.headDim(), spec.cos(), spec.sin(),
                spec.kSmooth(), block);
    }

    int qkvWidth() {
        return (spec.nHeads() + 2 * spec.nKvHeads()) * spec.headDim();
    }

    private float[] qkv(int seq, int position) {
        float[] values = TestMatrices.bf16Values(qkvWidth(), seed * 1_000_003 + seq * 10_007L + position);
        int vBegin = (spec.nHeads() + spec.nKvHeads()) * spec.headDim();
        for (int i = vBegin; i < values.length; i++) {
            values[i] += 0.25f * (i % 4); // V is not centred: zeros must be got right
            values[i] = (float) NumericsOracle.bf16(values[i]);
        }
        return values;
    }

    /** All tokens in one step. */
    Results runWhole(Backend backend, RowAccess access) {
        return run(backend, access, List.of(seqLens), 0);
    }

    /**
     * @param steps     token rows of each sequence in each step, 0 where it takes no part
     * @param blockSeed 0 for KV blocks in order, else the seed of their shuffle
     */
    Results run(Backend backend, RowAccess access, List<int[]> steps, long blockSeed) {
        int nBlocks = IntStream.of(seqLens).map(this::blocks).sum() + 1;
        int capacity = IntStream.of(seqLens).sum();
        int[][] blockTables = blockTables(nBlocks, blockSeed);
        int queryWidth = spec.nHeads() * spec.headDim();
        Attention attention = backend.attention(spec);
        KvCache cache = backend.kvCache(new KvCacheSpec(spec.layer() + 1, spec.nKvHeads(), spec.headDim(), nBlocks,
                kvBlockSize, format));
        Rows qkv = backend.rows(capacity, qkvWidth());
        QuantizedRows query = backend.quantizedRows(capacity, queryWidth, spec.nHeads());
        Rows out = backend.rows(capacity, queryWidth);
        Results results = new Results(empty(), empty(), empty());
        int[] kvLens = new int[seqLens.length];
        for (int[] step : steps) {
            Batch batch = batch(step, kvLens, blockTables);
            List<int[]> rows = new ArrayList<>();
            for (int s = 0; s < step.length; s++) {
                for (int i = 0; i < step[s]; i++) {
                    rows.add(new int[] {s, kvLens[s] - step[s] + i});
                }
            }
            float[] qkvValues = new float[rows.size() * qkvWidth()];
            for (int t = 0; t < rows.size(); t++) {
                System.arraycopy(qkv(rows.get(t)[0], rows.get(t)[1]), 0, qkvValues, t * qkvWidth(), qkvWidth());
            }
            access.write(qkv, qkvValues);
            backend.begin(batch);
            backend.ropeAppendKv(qkv, attention, cache, query);
            backend.attention(query, attention, cache, out);
            float[] queryValues = access.readValues(query, rows.size());
            float[] queryScales = access.readScales(query, rows.size());
            float[] outValues = access.read(out, rows.size());
            for (int t = 0; t < rows.size(); t++) {
                int s = rows.get(t)[0];
                int position = rows.get(t)[1];
                results.queries[s][position] = row(queryValues, t, queryWidth);
                results.queryScales[s][position] = row(queryScales, t, spec.nHeads());
                results.outputs[s][position] = row(outValues, t, queryWidth);
            }
        }
        return results;
    }

    private static float[] row(float[] values, int row, int width) {
        return java.util.Arrays.copyOfRange(values, row * width, (row + 1) * width);
    }

    private float[][][] empty() {
        return IntStream.of(seqLens).mapToObj(float[][]::new).toArray(float[][][]::new);
    }

    private int blocks(int seqLen) {
        return (seqLen + kvBlockSize - 1) / kvBlockSize;
    }

    private int[][] blockTables(int nBlocks, long blockSeed) {
        List<Integer> blocks = new ArrayList<>(IntStream.range(0, nBlocks).boxed().toList());
        if (blockSeed != 0) {
            Collections.shuffle(blocks, new Random(blockSeed));
        }
        int[][] tables = new int[seqLens.length][];
        int used = 0;
        for (int s = 0; s < seqLens.length; s++) {
            tables[s] = blocks.subList(used, used += blocks(seqLens[s])).stream().mapToInt(b -> b).toArray();
        }
        return tables;
    }

    /** Advances {@code kvLens} by the step. */
    private Batch batch(int[] step, int[] kvLens, int[][] blockTables) {
        int nTokens = IntStream.of(step).sum();
        int[] taking = IntStream.range(0, step.length).filter(s -> step[s] > 0).toArray();
        int[] positions = new int[nTokens];
        int[] slots = new int[nTokens];
        int[] cuSeqlens = new int[taking.length + 1];
        int[] batchKvLens = new int[taking.length];
        int[][] batchTables = new int[taking.length][];
        int t = 0;
        for (int i = 0; i < taking.length; i++) {
            int s = taking[i];
            for (int row = 0; row < step[s]; row++, t++) {
                positions[t] = kvLens[s]++;
                slots[t] = blockTables[s][positions[t] / kvBlockSize] * kvBlockSize + positions[t] % kvBlockSize;
            }
            cuSeqlens[i + 1] = t;
            batchKvLens[i] = kvLens[s];
            batchTables[i] = blockTables[s];
        }
        return new Batch(new int[nTokens], positions, slots, cuSeqlens, batchKvLens, batchTables, new int[0]);
    }

    /** What the oracle makes of it, from the same queries that the backend quantized where {@code measured} has them. */
    double[][][] expectedOutputs(NumericsOracle oracle, Results measured) {
        double[][][] outputs = new double[seqLens.length][][];
        int headDim = spec.headDim();
        for (int s = 0; s < seqLens.length; s++) {
            outputs[s] = new double[seqLens[s]][spec.nHeads() * headDim];
            List<List<KvVector>> keys = new ArrayList<>();
            List<List<KvVector>> values = new ArrayList<>();
            for (int h = 0; h < spec.nKvHeads(); h++) {
                keys.add(new ArrayList<>());
                values.add(new ArrayList<>());
            }
            for (int position = 0; position < seqLens[s]; position++) {
                double[][] heads = heads(s, position);
                for (int h = 0; h < spec.nKvHeads(); h++) {
                    keys.get(h).add(NumericsOracle.kv(smoothedKey(heads[spec.nHeads() + h], h, position), format));
                    values.get(h).add(NumericsOracle.kv(heads[spec.nHeads() + spec.nKvHeads() + h], format));
                }
                for (int h = 0; h < spec.nHeads(); h++) {
                    int kvHead = h / (spec.nHeads() / spec.nKvHeads());
                    double[] q = new double[headDim];
                    for (int c = 0; c < headDim; c++) {
                        q[c] = measured.queries[s][position][h * headDim + c];
                    }
                    double[] out = oracle.attention(new Quantized(q, measured.queryScales[s][position][h]),
                            keys.get(kvHead), values.get(kvHead));
                    System.arraycopy(out, 0, outputs[s][position], h * headDim, headDim);
                }
            }
        }
        return outputs;
    }

    /** The quantized query of one head as the oracle has it. */
    Quantized expectedQuery(NumericsOracle oracle, int seq, int position, int head) {
        double[] q = NumericsOracle.rope(heads(seq, position)[head], spec, position);
        int kvHead = head / (spec.nHeads() / spec.nKvHeads());
        for (int c = 0; c < q.length && spec.kSmooth() != null; c++) {
            q[c] /= spec.kSmooth()[kvHead * q.length + c];
        }
        return oracle.quantize(NumericsOracle.hadamard(q, spec.hadamardBlock()));
    }

    private double[] smoothedKey(double[] key, int head, int position) {
        double[] rotated = NumericsOracle.rope(key, spec, position);
        for (int c = 0; c < rotated.length && spec.kSmooth() != null; c++) {
            rotated[c] *= spec.kSmooth()[head * rotated.length + c];
        }
        return NumericsOracle.hadamard(rotated, spec.hadamardBlock());
    }

    private double[][] heads(int seq, int position) {
        float[] qkv = qkv(seq, position);
        double[][] heads = new double[qkv.length / spec.headDim()][spec.headDim()];
        for (int i = 0; i < qkv.length; i++) {
            heads[i / spec.headDim()][i % spec.headDim()] = qkv[i];
        }
        return heads;
    }
}
