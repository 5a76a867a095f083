package io.fireq.engine.backend;

import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Supplier;

/**
 * The operations a Llama is made of, on one device. The model calls them in order; each works on all token rows of the
 * batch given to {@link #begin}. Handles ({@link Weight}, {@link Rows}, …) belong to the backend that made them and
 * live until it is closed.
 *
 * <p>Numerics are defined in {@code docs/numerics.md} and the same everywhere: residual stream and op outputs are
 * bfloat16, linear inputs are e4m3 with one scale per token, sums are float32. A backend may differ from another only
 * in the order of float32 sums.
 *
 * <p>Threads: one thread at a time, the engine loop. Operations may be asynchronous; {@link Logits} waits for them.
 */
public interface Backend extends AutoCloseable {

    /** What this backend runs on, for logs and the API. */
    String description();

    /**
     * Memory of its own that this backend may still allocate, in bytes; empty where it uses the host's. The KV cache is
     * sized from it.
     */
    default OptionalLong freeBytes() {
        return OptionalLong.empty();
    }

    /** What it runs on can do at most; empty where that is not known. */
    default Optional<Hardware> hardware() {
        return Optional.empty();
    }

    /** Times its operations, for benchmarks. */
    default Stopwatch stopwatch() {
        return new WallClock();
    }

    // Load time.

    /**
     * Uploads the weight of one linear layer.
     *
     * @param rowBlocks matrices of equal k whose rows are stacked: {@code [q; k; v]} or {@code [gate; up]}
     */
    Weight weight(List<WeightMatrix> rowBlocks);

    /**
     * As {@link #weight(List)}, for a layer that is only ever used with this epilogue: a backend may store the weight in
     * an order that suits it.
     */
    default Weight weight(List<WeightMatrix> rowBlocks, Epilogue epilogue) {
        return weight(rowBlocks);
    }

    /**
     * As {@link #weight(List, Epilogue)}, for an unquantized weight that is on the heap.
     *
     * @param rowBlocks each {@code [n, k]} row-major; may be changed on return
     */
    default Weight floatWeight(List<float[]> rowBlocks, int k, Epilogue epilogue) {
        return weight(rowBlocks.stream().<WeightMatrix>map(values -> new FloatMatrix(
                HostTensor.ofFloats("float32 weight", List.of(values.length / k, k), values))).toList(), epilogue);
    }

    /** Gives back what a weight takes before the backend is closed; nobody may use it any more. */
    default void free(Weight weight) {}

    /** Uploads a vector, such as the weight of a norm. */
    Vector vector(float[] values);

    /** Uploads what the attention of one layer needs besides its linear layers. */
    Attention attention(AttentionSpec spec);

    /** Allocates the KV cache of all layers. */
    KvCache kvCache(KvCacheSpec spec);

    /** Allocates activations {@code [capacity, width]} in bfloat16. */
    Rows rows(int capacity, int width);

    /**
     * Allocates activations {@code [capacity, width]} in e4m3 with {@code groups} float32 scales per row, each for
     * {@code width / groups} neighbouring values.
     */
    QuantizedRows quantizedRows(int capacity, int width, int groups);

    // Step time.

    /** Starts a step: the operations that follow work on this batch. */
    void begin(Batch batch);

    /**
     * Runs a step: begins it and lets {@code program} queue its operations.
     *
     * @param program ends with {@link #logits}, whose result it returns. It queues the same operations with the same
     *                operands whatever the batch: a backend that has seen it work on a batch of this shape may repeat what
     *                it did without calling it
     * @return the program's logits
     */
    default Logits step(Batch batch, Supplier<Logits> program) {
        begin(batch);
        return program.get();
    }

    /** {@code out[t,:] = table[tokenIds[t],:]}. */
    void embed(Weight table, Rows out);

    /** {@code out[t,:] = quantize(x[t,:] · weight / sqrt(mean(x[t,:]²) + epsilon))}, one scale per row. */
    void rmsNormQuantize(Rows x, Vector weight, float epsilon, QuantizedRows out);

    /** {@code out[t,:] = quantize(x[t,:])}, one scale per row. */
    void quantize(Rows x, QuantizedRows out);

    /**
     * {@code y[t,n] = xScale[t] · rowScale[n] · Σ_k x[t,k] · w[n,k]}, then the epilogue in float32, then bfloat16.
     *
     * @param out {@code [t, n]}; {@code [t, n/2]} with {@link Epilogue#SILU_MUL}
     */
    void linear(QuantizedRows x, Weight w, Epilogue epilogue, Rows out);

    /**
     * Rotates Q and K of {@code qkv[t,:] = [q heads | k heads | v heads]} to the tokens' positions, applies the K
     * smoothing, quantizes Q into {@code query} (one scale per head) and appends K and V to the cache.
     */
    void ropeAppendKv(Rows qkv, Attention attention, KvCache cache, QuantizedRows query);

    /** Causal attention of each token over its sequence's cache, {@code out[t,:] = [head 0 | head 1 | …]}. */
    void attention(QuantizedRows query, Attention attention, KvCache cache, Rows out);

    /** Final norm, quantization and output head of the batch's {@code logitRows}. */
    Logits logits(Rows hidden, Vector normWeight, float epsilon, Weight head);

    // Between operations: activations in host memory, for calibration. Serving needs none of this.

    /**
     * Copies the first rows of {@code rows} to the host, once all operations so far are done.
     *
     * @param target {@code [nRows, width]}
     * @throws UnsupportedOperationException if this backend keeps its activations to itself
     */
    default void read(Rows rows, int nRows, float[] target) {
        throw new UnsupportedOperationException(description() + " does not hand out activations");
    }

    /** As {@link #read(Rows, int, float[])}: the real values, {@code scale · stored}. */
    default void read(QuantizedRows rows, int nRows, float[] target) {
        throw new UnsupportedOperationException(description() + " does not hand out activations");
    }

    /**
     * Sets the first rows of {@code rows}, rounded as they are stored.
     *
     * @param source {@code [nRows, width]}
     * @throws UnsupportedOperationException as {@link #read(Rows, int, float[])}
     */
    default void write(float[] source, int nRows, Rows rows) {
        throw new UnsupportedOperationException(description() + " does not take activations");
    }

    @Override
    void close();

    /** What happens to a linear layer's float32 result before it is stored. */
    enum Epilogue {
        /** Store it. */
        NONE,
        /** Add it to what {@code out} holds. */
        RESIDUAL_ADD,
        /** The rows are {@code [gate; up]}: store {@code silu(gate) · up}. */
        SILU_MUL
    }

    /** A linear layer's weight, or an embedding table, on the device. */
    interface Weight {
        int n();

        int k();
    }

    /** A float vector on the device. */
    interface Vector {
        int size();
    }

    /** Constants of one layer's attention on the device. */
    interface Attention {
        AttentionSpec spec();
    }

    /** The KV cache of all layers on the device. */
    interface KvCache {
        KvCacheSpec spec();
    }

    /** bfloat16 activations, one row per token. */
    interface Rows {
        int capacity();

        int width();
    }

    /** e4m3 activations, one row per token. */
    interface QuantizedRows {
        int capacity();

        int width();

        int groups();
    }

    /** Logits of the batch's {@code logitRows}; valid until the next step begins. */
    interface Logits {
        /** Copies logits row {@code index} (of {@code logitRows}) into {@code target}, {@code [vocabSize]} float32. */
        void copyRow(int index, float[] target);

        /**
         * The token of each row as the batch's samplers draw it, {@code [nLogits]}: what {@code Sampler.sample} returns for
         * the row, -1 for nonsense included. A row's token does not depend on the others.
         *
         * @throws IllegalStateException if the batch has no samplers
         */
        int[] sample();
    }
}
