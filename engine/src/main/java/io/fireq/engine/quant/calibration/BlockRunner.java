package io.fireq.engine.quant.calibration;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.model.Activations;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RotaryTable;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.List;
import java.util.stream.IntStream;

/**
 * One decoder layer on a backend, in pieces: between any two operations a calibration reads what flows, and it sets the
 * weights of a piece when it has them. A piece works on one window of tokens, from {@link #begin} on.
 *
 * <pre>{@code
 *   hidden ─ attentionInput ─ qkv ─ attend ─ attended ─ addAttention ─> hidden
 *   hidden ─ mlpInput ─ gateUp ─ gated ─ addMlp ─> hidden
 * }</pre>
 */
public final class BlockRunner implements AutoCloseable {
    private static final int KV_BLOCK_SIZE = 16;

    private final Backend backend;
    private final ModelConfig config;
    private final RotaryTable rotary;
    private final int hadamardBlock;
    private final Activations activations;
    private final Backend.KvCache kvCache;
    private Backend.Vector inputNorm;
    private Backend.Weight qkvWeight;
    private Backend.Attention attention;
    private Backend.Weight outputWeight;
    private Backend.Vector postNorm;
    private Backend.Weight gateUpWeight;
    private Backend.Weight downWeight;
    private int nTokens;

    /**
     * @param backend   what it runs on; closed with this
     * @param windowLen most tokens of a window
     */
    public BlockRunner(Backend backend, ModelConfig config, KvFormat kvFormat, int hadamardBlock, int windowLen) {
        this.backend = backend;
        this.config = config;
        this.hadamardBlock = hadamardBlock;
        rotary = RotaryTable.of(config.ropeInverseFrequencies(), windowLen);
        activations = Activations.of(config, windowLen, backend);
        kvCache = backend.kvCache(new KvCacheSpec(1, config.nKvHeads(), config.headDim(),
                (windowLen + KV_BLOCK_SIZE - 1) / KV_BLOCK_SIZE, KV_BLOCK_SIZE, kvFormat));
    }

    /** Sets the norm in front of the attention. */
    public void inputNorm(float[] weight) {
        inputNorm = backend.vector(weight);
    }

    /** Sets query, key and value, and what K is multiplied by after its rotation. */
    public void qkv(List<WeightMatrix> weights, float[] keySmooth) {
        free(qkvWeight);
        qkvWeight = backend.weight(weights, Epilogue.NONE);
        attention = attention(keySmooth);
    }

    /** As {@link #qkv(List, float[])}, unquantized. */
    public void floatQkv(List<float[]> weights, float[] keySmooth) {
        free(qkvWeight);
        qkvWeight = backend.floatWeight(weights, config.hiddenSize(), Epilogue.NONE);
        attention = attention(keySmooth);
    }

    public void floatOutput(float[] weight) {
        free(outputWeight);
        outputWeight = backend.floatWeight(List.of(weight), config.nHeads() * config.headDim(), Epilogue.RESIDUAL_ADD);
    }

    public void floatGateUp(List<float[]> weights) {
        free(gateUpWeight);
        gateUpWeight = backend.floatWeight(weights, config.hiddenSize(), Epilogue.SILU_MUL);
    }

    public void floatDown(float[] weight) {
        free(downWeight);
        downWeight = backend.floatWeight(List.of(weight), config.ffnSize(), Epilogue.RESIDUAL_ADD);
    }

    private Backend.Attention attention(float[] keySmooth) {
        return backend.attention(new AttentionSpec(0, config.nHeads(), config.nKvHeads(), config.headDim(), rotary.cos(),
                rotary.sin(), keySmooth, hadamardBlock));
    }

    public void output(WeightMatrix weight) {
        free(outputWeight);
        outputWeight = backend.weight(List.of(weight), Epilogue.RESIDUAL_ADD);
    }

    /** Sets the norm in front of the MLP. */
    public void postNorm(float[] weight) {
        postNorm = backend.vector(weight);
    }

    public void gateUp(List<WeightMatrix> weights) {
        free(gateUpWeight);
        gateUpWeight = backend.weight(weights, Epilogue.SILU_MUL);
    }

    public void down(WeightMatrix weight) {
        free(downWeight);
        downWeight = backend.weight(List.of(weight), Epilogue.RESIDUAL_ADD);
    }

    /** A layer's weights give way to the next one's: memory holds one layer, not the model. */
    private void free(Backend.Weight weight) {
        if (weight != null) {
            backend.free(weight);
        }
    }

    /**
     * Starts a window.
     *
     * @param input its residual stream {@code [nTokens, hiddenSize]}
     */
    public void begin(int windowTokens, float[] input) {
        nTokens = windowTokens;
        int[] positions = IntStream.range(0, nTokens).toArray();
        int[] blocks = IntStream.range(0, (nTokens + KV_BLOCK_SIZE - 1) / KV_BLOCK_SIZE).toArray();
        backend.begin(new Batch(new int[nTokens], positions, positions, new int[] {0, nTokens}, new int[] {nTokens},
                new int[][] {blocks}, new int[0]));
        backend.write(input, nTokens, activations.hidden());
    }

    /** Norm and quantization in front of the attention. */
    public void attentionInput() {
        backend.rmsNormQuantize(activations.hidden(), inputNorm, config.rmsNormEps(), activations.normed());
    }

    public void qkv() {
        backend.linear(activations.normed(), qkvWeight, Epilogue.NONE, activations.qkv());
    }

    /** Rotation, KV cache and attention, up to the quantized input of the output layer. */
    public void attend() {
        backend.ropeAppendKv(activations.qkv(), attention, kvCache, activations.query());
        backend.attention(activations.query(), attention, kvCache, activations.attended());
        backend.quantize(activations.attended(), activations.attendedQuantized());
    }

    /** The output layer, added to the residual stream. */
    public void addAttention() {
        backend.linear(activations.attendedQuantized(), outputWeight, Epilogue.RESIDUAL_ADD, activations.hidden());
    }

    /** Norm and quantization in front of the MLP. */
    public void mlpInput() {
        backend.rmsNormQuantize(activations.hidden(), postNorm, config.rmsNormEps(), activations.normed());
    }

    /** {@code silu(gate) · up}, up to the quantized input of the down layer. */
    public void gateUp() {
        backend.linear(activations.normed(), gateUpWeight, Epilogue.SILU_MUL, activations.gated());
        backend.quantize(activations.gated(), activations.gatedQuantized());
    }

    /** The down layer, added to the residual stream. */
    public void addMlp() {
        backend.linear(activations.gatedQuantized(), downWeight, Epilogue.RESIDUAL_ADD, activations.hidden());
    }

    // What flows; all {@code [nTokens, width]}.

    /** The input of attention or MLP, whichever was computed last. */
    public void readNormed(float[] target) {
        backend.read(activations.normed(), nTokens, target);
    }

    public void readQkv(float[] target) {
        backend.read(activations.qkv(), nTokens, target);
    }

    /** The attention's result before its quantization. */
    public void readAttended(float[] target) {
        backend.read(activations.attended(), nTokens, target);
    }

    /** Takes a result of {@link #readAttended} up again. */
    public void writeAttended(float[] source) {
        backend.write(source, nTokens, activations.attended());
        backend.quantize(activations.attended(), activations.attendedQuantized());
    }

    public void readAttendedQuantized(float[] target) {
        backend.read(activations.attendedQuantized(), nTokens, target);
    }

    /** {@code silu(gate) · up} before its quantization. */
    public void readGated(float[] target) {
        backend.read(activations.gated(), nTokens, target);
    }

    /** Takes a result of {@link #readGated} up again. */
    public void writeGated(float[] source) {
        backend.write(source, nTokens, activations.gated());
        backend.quantize(activations.gated(), activations.gatedQuantized());
    }

    public void readGatedQuantized(float[] target) {
        backend.read(activations.gatedQuantized(), nTokens, target);
    }

    public void readHidden(float[] target) {
        backend.read(activations.hidden(), nTokens, target);
    }

    @Override
    public void close() {
        backend.close();
    }
}
