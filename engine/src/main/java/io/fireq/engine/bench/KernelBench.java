package io.fireq.engine.bench;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Backend.Attention;
import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.engine.backend.Backend.KvCache;
import io.fireq.engine.backend.Backend.QuantizedRows;
import io.fireq.engine.backend.Backend.Rows;
import io.fireq.engine.backend.Backend.Weight;
import io.fireq.engine.backend.Hardware;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.Stopwatch;
import io.fireq.engine.backend.Timing;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RotaryTable;
import io.fireq.engine.sampling.Sampler;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntConsumer;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * Times the operations of a model's layers one by one, as the backend runs them in the model: through its own verbs, so
 * with its own choice of kernels. Before an operation is timed its result for the last tokens is compared with a reference
 * backend's. Weights and KV cache go round copies that together exceed the device's cache; activations do not, for in a
 * model the operation before has just written them.
 */
public final class KernelBench {
    private static final int KV_BLOCK_SIZE = 16;
    private static final int TABLE_ROWS = 1024;
    private static final int PROBE_ROWS = 64;
    private static final int CHECKED_TOKENS = 2;
    private static final int CACHE_MULTIPLE = 3;
    private static final int MAX_COPIES = 160;
    private static final int MAX_CHUNK = 16_384;
    private static final int REFERENCE_CHUNK = 1024;
    private static final int LCG = 1_103_515_245;
    /** A wrong tile of 64 of 4096 columns is an error of 0.12; roundings that fall the other way stay below. */
    private static final double MAX_ERROR = 0.05;
    /**
     * Attention weights are rounded to e4m3 at another phase, 0.035 of each; and they multiply codes from 0 to 15, about
     * three times as large as the values of mean 0 that they stand for.
     */
    private static final double MAX_ATTENTION_ERROR = 0.2;

    private final ModelConfig config;
    private final Backend backend;
    private final Backend reference;
    private final Stopwatch stopwatch;
    private final long cacheBytes;
    private final double millis;
    private final Predicate<String> wanted;
    private final Consumer<Measurement> lines;
    private final SyntheticWeights random = new SyntheticWeights(2);
    private final int qSize;
    private final int kvSize;

    /**
     * @param config    the model's shapes
     * @param backend   opened without CUDA graphs
     * @param reference what its results are compared with; null if it is the definition itself
     * @param millis    time to spend on each line, about
     * @param wanted    asked before each line, by its name, and before what several lines need; throwing ends the bench
     * @param lines     told each result
     */
    public KernelBench(ModelConfig config, Backend backend, Backend reference, double millis, Predicate<String> wanted,
            Consumer<Measurement> lines) {
        this.config = config;
        this.backend = backend;
        this.reference = reference;
        this.millis = millis;
        this.wanted = wanted;
        this.lines = lines;
        stopwatch = backend.stopwatch();
        cacheBytes = backend.hardware().map(Hardware::cacheBytes).orElse(0L);
        qSize = config.nHeads() * config.headDim();
        kvSize = config.nKvHeads() * config.headDim();
    }

    // Linear layers.

    /** The four linear layers of a decoder layer for each number of tokens. */
    public void gemm(int[] tokens) {
        linear("qkv,", qSize + 2 * kvSize, config.hiddenSize(), Epilogue.NONE, tokens);
        linear("o, residual add,", config.hiddenSize(), qSize, Epilogue.RESIDUAL_ADD, tokens);
        linear("gate_up, silu·mul,", 2 * config.ffnSize(), config.hiddenSize(), Epilogue.SILU_MUL, tokens);
        linear("down, residual add,", config.hiddenSize(), config.ffnSize(), Epilogue.RESIDUAL_ADD, tokens);
    }

    private void linear(String name, int n, int k, Epilogue epilogue, int[] tokens) {
        String layer = "%s %d × %d".formatted(name, n, k);
        if (!wanted.test(layer)) {
            return;
        }
        WeightMatrix matrix = random.linear(name, n, k);
        long weightBytes = (long) n * k / 2 + (long) n * k / 128;
        int nOut = epilogue == Epilogue.SILU_MUL ? n / 2 : n;
        LinearCase timed = new LinearCase(backend, matrix, copies(weightBytes), epilogue, nOut, max(tokens));
        LinearCase definition = reference == null ? null
                : new LinearCase(reference, matrix, 1, epilogue, nOut, CHECKED_TOKENS);
        for (int m : tokens) {
            String what = "%s, m=%d".formatted(layer, m);
            if (!wanted.test(what)) {
                continue;
            }
            timed.prepare(m, 0);
            timed.launch(0);
            if (definition != null) {
                int nChecked = Math.min(m, CHECKED_TOKENS);
                definition.prepare(nChecked, m - nChecked);
                definition.launch(0);
                compare(what, timed.out, definition.out, nChecked, MAX_ERROR);
            }
            Timing timing = stopwatch.operations(timed::launch, millis);
            lines.accept(Measurement.kernel(Part.GEMM, "%dx%dx%d".formatted(m, n, k), what, timing, 2.0 * m * n * k,
                    weightBytes + (double) m * k + 2.0 * m * nOut * (epilogue == Epilogue.RESIDUAL_ADD ? 2 : 1)));
        }
    }

    /** One linear layer on one backend. */
    private final class LinearCase {
        private final Backend on;
        private final List<Weight> weights = new ArrayList<>();
        private final Epilogue epilogue;
        private final Weight inputs;
        private final Weight residuals;
        private final Rows x;
        private final QuantizedRows quantized;
        private final Rows out;

        LinearCase(Backend on, WeightMatrix matrix, int copies, Epilogue epilogue, int nOut, int maxTokens) {
            this.on = on;
            this.epilogue = epilogue;
            for (int i = 0; i < copies; i++) {
                weights.add(on.weight(List.of(matrix), epilogue));
            }
            inputs = on.weight(List.of(table(matrix.k())));
            residuals = on.weight(List.of(table(nOut)));
            x = on.rows(maxTokens, matrix.k());
            quantized = on.quantizedRows(maxTokens, matrix.k(), 1);
            out = on.rows(maxTokens, nOut);
        }

        /** The operands of tokens {@code first .. first+m-1}, of one sequence. */
        void prepare(int m, int first) {
            on.begin(sequences(1, first, m, false));
            on.embed(inputs, x);
            on.quantize(x, quantized);
            on.embed(residuals, out);
        }

        void launch(int i) {
            on.linear(quantized, weights.get(i % weights.size()), epilogue, out);
        }
    }

    // Attention.

    /** Attention of whole prompts, causal. */
    public void prefillAttention(List<ForwardBench.Workload> workloads) {
        for (ForwardBench.Workload workload : workloads) {
            int nSeqs = workload.nSeqs();
            int length = workload.promptLen();
            String what = "prefill %d × %d".formatted(nSeqs, length);
            if (!wanted.test(what)) {
                continue;
            }
            AttentionCase timed = new AttentionCase(backend, nSeqs, length, 1, nSeqs * length);
            timed.prepare(0, nSeqs, 0, length);
            timed.attend(0);
            check(what, timed, nSeqs - 1, length);
            Timing timing = stopwatch.operations(timed::attend, millis);
            double pairs = nSeqs * (length * (length + 1.0) / 2);
            lines.accept(Measurement.kernel(Part.ATTENTION, "%dx%d".formatted(nSeqs, length), what, timing,
                    4.0 * qSize * pairs, 0));
        }
    }

    /** Attention of one new token per sequence. */
    public void decodeAttention(List<ForwardBench.Workload> workloads) {
        for (ForwardBench.Workload workload : workloads) {
            int nSeqs = workload.nSeqs();
            int length = workload.promptLen();
            String what = "decode %d at %d".formatted(nSeqs, length);
            if (!wanted.test(what)) {
                continue;
            }
            double bytes = 2.0 * nSeqs * length * config.nKvHeads() * (config.headDim() / 2 + 4);
            AttentionCase timed = new AttentionCase(backend, nSeqs, length, copies((long) bytes),
                    Math.min(nSeqs * length, MAX_CHUNK));
            timed.fill(0, nSeqs);
            timed.prepare(0, nSeqs, length - 1, 1);
            timed.attend(0);
            check(what, timed, nSeqs - 1, length);
            Timing timing = stopwatch.operations(timed::attend, millis);
            lines.accept(Measurement.kernel(Part.ATTENTION, "decode %dx%d".formatted(nSeqs, length), what, timing,
                    4.0 * qSize * nSeqs * length, bytes));
        }
    }

    /** Compares the last tokens of one sequence. */
    private void check(String what, AttentionCase timed, int sequence, int length) {
        if (reference != null) {
            AttentionCase definition = new AttentionCase(reference, 1, length, 1, Math.min(length, REFERENCE_CHUNK));
            definition.fill(sequence, 1);
            int last = Math.min(timed.tokensPerSeq, CHECKED_TOKENS);
            definition.prepare(sequence, 1, length - last, last);
            definition.attend(0);
            compare(what, timed.out, definition.out, last, MAX_ATTENTION_ERROR);
        }
    }

    /** Attention of some sequences on one backend, in a cache with a layer for each copy. */
    private final class AttentionCase {
        private final Backend on;
        private final int length;
        private final int maxTokens;
        private final Weight inputs;
        private final List<Attention> layers = new ArrayList<>();
        private final KvCache cache;
        private final Rows qkv;
        private final QuantizedRows query;
        private final Rows out;
        private int tokensPerSeq;

        AttentionCase(Backend on, int nSeqs, int length, int copies, int maxTokens) {
            this.on = on;
            this.length = length;
            this.maxTokens = Math.max(maxTokens, nSeqs);
            inputs = on.weight(List.of(table(qSize + 2 * kvSize)));
            // A backend may size its workspaces for the longest sequence that there can be.
            RotaryTable rotary =
                    RotaryTable.of(config.ropeInverseFrequencies(), Math.max(length, config.maxPositions()));
            for (int i = 0; i < copies; i++) {
                layers.add(on.attention(new AttentionSpec(i, config.nHeads(), config.nKvHeads(), config.headDim(),
                        rotary.cos(), rotary.sin(), null, 0)));
            }
            cache = on.kvCache(new KvCacheSpec(copies, config.nKvHeads(), config.headDim(), nSeqs * blocks(length),
                    KV_BLOCK_SIZE, new KvFormat(KvFormat.Kind.ASYMMETRIC, config.headDim())));
            qkv = on.rows(this.maxTokens, qSize + 2 * kvSize);
            query = on.quantizedRows(this.maxTokens, qSize, config.nHeads());
            out = on.rows(this.maxTokens, qSize);
        }

        /** Puts K and V of whole sequences into every layer. */
        void fill(int firstSeq, int nSeqs) {
            int chunk = Math.max(1, maxTokens / nSeqs);
            for (int from = 0; from < length; from += chunk) {
                prepare(firstSeq, nSeqs, from, Math.min(chunk, length - from));
                for (Attention layer : layers) {
                    on.ropeAppendKv(qkv, layer, cache, query);
                }
            }
        }

        /** Begins a step of some tokens of each sequence, with their queries. */
        void prepare(int firstSeq, int nSeqs, int from, int nTokens) {
            tokensPerSeq = nTokens;
            on.begin(batch(firstSeq, nSeqs, length, from, nTokens, false));
            on.embed(inputs, qkv);
            on.ropeAppendKv(qkv, layers.get(0), cache, query);
        }

        void attend(int i) {
            on.attention(query, layers.get(i % layers.size()), cache, out);
        }
    }

    // Between them.

    /** Embedding, norm, quantization, and rotation with append. */
    public void rows(int[] tokens) {
        RowsCase timed = new RowsCase(backend, max(tokens));
        RowsCase definition = reference == null ? null : new RowsCase(reference, CHECKED_TOKENS);
        int hidden = config.hiddenSize();
        int ffn = config.ffnSize();
        for (int m : tokens) {
            if (!wanted.test("operations on %d rows".formatted(m))) {
                continue;
            }
            int nChecked = Math.min(m, CHECKED_TOKENS);
            timed.begin(m, 0);
            if (definition != null) {
                definition.begin(nChecked, m - nChecked);
            }
            row(timed, definition, m, "embedding %d, m=%d".formatted(hidden, m), 4.0 * m * hidden, RowsCase::embed,
                    rows -> rows.x);
            row(timed, definition, m, "rmsnorm, quantize %d, m=%d".formatted(hidden, m), 3.0 * m * hidden,
                    RowsCase::normalize, rows -> rows.product(rows.normed, rows.hiddenProbe));
            row(timed, definition, m, "quantize %d, m=%d".formatted(ffn, m), 3.0 * m * ffn, RowsCase::quantize,
                    rows -> rows.product(rows.gatedQuantized, rows.ffnProbe));
        }
        AttentionCase attention = new AttentionCase(backend, 1, max(tokens), 1, max(tokens));
        int width = qSize + 2 * kvSize;
        for (int m : tokens) {
            String what = "rope, append kv %d, m=%d".formatted(width, m);
            if (wanted.test(what)) {
                attention.prepare(0, 1, 0, m);
                attention.attend(0); // sees what was rotated and appended
                check(what, attention, 0, m);
                time(Part.ROWS, what, m * (2.0 * width + qSize + kvSize), i -> backend.ropeAppendKv(attention.qkv,
                        attention.layers.get(0), attention.cache, attention.query));
            }
        }
    }

    private void row(RowsCase timed, RowsCase definition, int m, String what, double bytes, Consumer<RowsCase> operation,
            Function<RowsCase, Rows> result) {
        operation.accept(timed);
        if (definition != null) {
            operation.accept(definition);
            compare(what, result.apply(timed), result.apply(definition), Math.min(m, CHECKED_TOKENS), MAX_ERROR);
        }
        time(Part.ROWS, what, bytes, i -> operation.accept(timed));
    }

    /** Operations on rows on one backend. */
    private final class RowsCase {
        private final Backend on;
        private final Weight table;
        private final Weight ffnTable;
        private final Backend.Vector norm;
        private final Weight hiddenProbe;
        private final Weight ffnProbe;
        private final Rows x;
        private final Rows gated;
        private final Rows products;
        private final QuantizedRows normed;
        private final QuantizedRows gatedQuantized;

        RowsCase(Backend on, int capacity) {
            this.on = on;
            int hidden = config.hiddenSize();
            int ffn = config.ffnSize();
            table = on.weight(List.of(table(hidden)));
            ffnTable = on.weight(List.of(table(ffn)));
            norm = on.vector(ones(hidden));
            hiddenProbe = on.weight(List.of(new SyntheticWeights(4).linear("probe", PROBE_ROWS, hidden)));
            ffnProbe = on.weight(List.of(new SyntheticWeights(5).linear("probe", PROBE_ROWS, ffn)));
            x = on.rows(capacity, hidden);
            gated = on.rows(capacity, ffn);
            products = on.rows(capacity, PROBE_ROWS);
            normed = on.quantizedRows(capacity, hidden, 1);
            gatedQuantized = on.quantizedRows(capacity, ffn, 1);
        }

        void begin(int m, int first) {
            on.begin(sequences(1, first, m, false));
            on.embed(table, x);
            on.embed(ffnTable, gated);
        }

        void embed() {
            on.embed(table, x);
        }

        void normalize() {
            on.rmsNormQuantize(x, norm, config.rmsNormEps(), normed);
        }

        void quantize() {
            on.quantize(gated, gatedQuantized);
        }

        /** Quantized rows as a linear layer sees them. */
        Rows product(QuantizedRows rows, Weight weight) {
            on.linear(rows, weight, Epilogue.NONE, products);
            return products;
        }
    }

    /** The output head for some sequences, without a draw, with a greedy one and with one by temperature and top-p. */
    public void head(int[] sequences) {
        if (!wanted.test("output head")) {
            return;
        }
        int vocabSize = config.vocabSize();
        WeightMatrix matrix = random.linear("lm_head", vocabSize, config.hiddenSize());
        HeadCase timed = new HeadCase(backend, matrix, max(sequences));
        HeadCase definition = reference == null ? null : new HeadCase(reference, matrix, CHECKED_TOKENS);
        SamplingParams drawn = new SamplingParams(0.8f, 0, 0.95f, 0, 1, 0, 0, OptionalLong.of(1));
        for (int m : sequences) {
            int nChecked = Math.min(m, CHECKED_TOKENS);
            for (Draw draw : Draw.values()) {
                String what = "output head%s, m=%d".formatted(draw.words, m);
                if (!wanted.test(what)) {
                    continue;
                }
                Sampler[] samplers = IntStream.range(0, draw == Draw.NONE ? 0 : m).mapToObj(i -> draw == Draw.GREEDY
                        ? Sampler.greedy()
                        : new Sampler(drawn, i, new int[0], vocabSize)).toArray(Sampler[]::new);
                timed.begin(0, m, samplers);
                Backend.Logits logits = timed.logits();
                if (draw != Draw.NONE) {
                    checkTokens(what, logits, samplers);
                } else if (definition != null) {
                    definition.begin(m - nChecked, nChecked, samplers);
                    compare(what, copy(logits, m - nChecked, nChecked, vocabSize),
                            copy(definition.logits(), 0, nChecked, vocabSize), MAX_ERROR);
                }
                boolean drawsOnHost = backend.hardware().isEmpty() && draw != Draw.NONE;
                time(Part.ROWS, what, (double) vocabSize * config.hiddenSize() + 4.0 * m * vocabSize, i -> {
                    Backend.Logits all = timed.logits();
                    if (drawsOnHost) { // it does so when asked
                        all.sample();
                    }
                });
            }
        }
    }

    private enum Draw {
        NONE(""), GREEDY(", greedy"), TOP_P(", temperature, top-p");

        private final String words;

        Draw(String words) {
            this.words = words;
        }
    }

    /** The output head on one backend. */
    private final class HeadCase {
        private final Backend on;
        private final Weight head;
        private final Weight table;
        private final Backend.Vector norm;
        private final Rows x;

        HeadCase(Backend on, WeightMatrix matrix, int maxSeqs) {
            this.on = on;
            head = on.weight(List.of(matrix));
            table = on.weight(List.of(table(config.hiddenSize())));
            norm = on.vector(ones(config.hiddenSize()));
            x = on.rows(maxSeqs, config.hiddenSize());
        }

        void begin(int firstSeq, int nSeqs, Sampler[] samplers) {
            Batch step = batch(firstSeq, nSeqs, 1, 0, 1, true);
            on.begin(new Batch(step.tokenIds(), step.positions(), step.slotMapping(), step.cuSeqlens(), step.kvLens(),
                    step.blockTables(), step.logitRows(), samplers));
            on.embed(table, x);
        }

        Backend.Logits logits() {
            return on.logits(x, norm, config.rmsNormEps(), head);
        }
    }

    /** The tokens must be those that the host draws from the same logits. */
    private void checkTokens(String what, Backend.Logits logits, Sampler[] samplers) {
        int[] tokens = logits.sample();
        float[] row = new float[config.vocabSize()];
        for (int i = Math.max(0, tokens.length - CHECKED_TOKENS); i < tokens.length; i++) {
            logits.copyRow(i, row);
            int token = samplers[i].sample(row);
            if (tokens[i] != token) {
                throw new FireqException("Bench: %s is wrong: sequence %d gets token %d, from the same logits the host draws %d"
                        .formatted(what, i, tokens[i], token));
            }
        }
    }

    private void time(Part part, String what, double bytes, IntConsumer launch) {
        lines.accept(Measurement.kernel(part, what, what, stopwatch.operations(launch, millis), 0, bytes));
    }

    // Operands.

    private int copies(long byteSize) {
        return (int) Math.max(1, Math.min(MAX_COPIES, (CACHE_MULTIPLE * cacheBytes + byteSize - 1) / byteSize));
    }

    /** Random rows that {@code embed} reads. */
    private WeightMatrix table(int width) {
        return new SyntheticWeights(width).linear("model.embed_tokens", TABLE_ROWS, width);
    }

    private static Batch sequences(int nSeqs, int from, int nTokens, boolean allLogits) {
        return batch(0, nSeqs, from + nTokens, from, nTokens, allLogits);
    }

    /**
     * Tokens {@code from .. from+nTokens-1} of some sequences, which have KV blocks for {@code length} tokens each, from
     * block 0 on. Logits are those of the last tokens of the last sequence, or of the last token of each.
     */
    private static Batch batch(int firstSeq, int nSeqs, int length, int from, int nTokens, boolean allLogits) {
        int blocks = blocks(length);
        int[] tokenIds = new int[nSeqs * nTokens];
        int[] positions = new int[nSeqs * nTokens];
        int[] slots = new int[nSeqs * nTokens];
        int[][] blockTables = new int[nSeqs][];
        for (int s = 0; s < nSeqs; s++) {
            int firstBlock = s * blocks;
            blockTables[s] = IntStream.range(firstBlock, firstBlock + blocks).toArray();
            for (int i = 0; i < nTokens; i++) {
                int position = from + i;
                tokenIds[s * nTokens + i] = tokenId(firstSeq + s, position);
                positions[s * nTokens + i] = position;
                slots[s * nTokens + i] = firstBlock * KV_BLOCK_SIZE + position;
            }
        }
        int[] kvLens = new int[nSeqs];
        Arrays.fill(kvLens, from + nTokens);
        int nLast = Math.min(nTokens, CHECKED_TOKENS);
        int[] logitRows = allLogits
                ? IntStream.range(0, nSeqs).map(s -> (s + 1) * nTokens - 1).toArray()
                : IntStream.range(nSeqs * nTokens - nLast, nSeqs * nTokens).toArray();
        return new Batch(tokenIds, positions, slots, IntStream.rangeClosed(0, nSeqs).map(s -> s * nTokens).toArray(),
                kvLens, blockTables, logitRows);
    }

    /** A function of sequence and position, so that tokens come again whatever the steps are. */
    private static int tokenId(int sequence, int position) {
        return ((sequence * 8191 + position) * LCG >>> 16) % TABLE_ROWS;
    }

    private static int blocks(int length) {
        return (length + KV_BLOCK_SIZE - 1) / KV_BLOCK_SIZE;
    }

    private static int max(int[] values) {
        return Arrays.stream(values).max().orElseThrow();
    }

    private static float[] ones(int size) {
        float[] ones = new float[size];
        Arrays.fill(ones, 1);
        return ones;
    }

    // Comparison.

    /**
     * Rows on a device are seen through an output head of a few random rows, into which every value goes.
     *
     * @throws FireqException if the last rows of the step differ
     */
    private void compare(String what, Rows actual, Rows definition, int nRows, double bound) {
        compare(what, probe(backend, actual, nRows), probe(reference, definition, nRows), bound);
    }

    private static void compare(String what, float[] actual, float[] definition, double bound) {
        double error = 0;
        double power = 0;
        for (int i = 0; i < definition.length; i++) {
            error += Math.pow((double) actual[i] - definition[i], 2);
            power += Math.pow(definition[i], 2);
        }
        double relative = Math.sqrt(error / power);
        if (!(relative <= bound)) {
            throw new FireqException(("Bench: %s is wrong: its result differs from the reference by %.3g of its size, at most "
                    + "%s is due to rounding; it is not timed").formatted(what, relative, bound));
        }
    }

    private static float[] probe(Backend on, Rows rows, int nRows) {
        Weight head = on.weight(List.of(new SyntheticWeights(3).linear("lm_head", PROBE_ROWS, rows.width())));
        return copy(on.logits(rows, on.vector(ones(rows.width())), 1e-5f, head), 0, nRows, PROBE_ROWS);
    }

    private static float[] copy(Backend.Logits logits, int first, int nRows, int width) {
        float[] values = new float[nRows * width];
        float[] row = new float[width];
        for (int t = 0; t < nRows; t++) {
            logits.copyRow(first + t, row);
            System.arraycopy(row, 0, values, t * width, width);
        }
        return values;
    }
}
