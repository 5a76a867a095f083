package io.fireq.engine.quant.calibration;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RotaryTable;
import io.fireq.engine.quant.smoothing.Hadamard;
import io.fireq.engine.tensor.Chunks;

/**
 * Watches a decoder layer while windows pass through it: magnitudes of all channels, and samples of rotated Q and K, one
 * token in {@value #SAMPLE_STEP}.
 */
public final class BlockObserver {
    private static final int SAMPLE_STEP = 8;
    private static final int TOKENS = 16;

    private final ModelConfig config;
    private final RotaryTable rotary;
    private final float[] keySmooth;
    private final int hadamardBlock;
    private final Observation observation;
    private final QueryKeySamples samples;
    private final float[] qkv;
    private final float[] normed;
    private final float[] attended;
    private final float[] gated;
    private boolean takesSamples = true;

    /** What is told of each window, beside the magnitudes. */
    public interface InputListener {
        /** @param input {@code [nTokens, width]} of the place */
        void input(Place place, float[] input, int nTokens);
    }

    /**
     * @param keySmooth     {@code [nKvHeads · headDim]} that K is multiplied by after the rotation
     * @param hadamardBlock as the cache's
     * @param windowLen     most tokens of a window
     */
    public BlockObserver(ModelConfig config, float[] keySmooth, int hadamardBlock, int windowLen) {
        this.config = config;
        this.keySmooth = keySmooth;
        this.hadamardBlock = hadamardBlock;
        rotary = RotaryTable.of(config.ropeInverseFrequencies(), windowLen);
        observation = new Observation(config);
        samples = new QueryKeySamples(config);
        qkv = new float[windowLen * (Place.QUERY.width(config) + 2 * Place.KEY.width(config))];
        normed = new float[windowLen * config.hiddenSize()];
        attended = new float[windowLen * Place.ATTENTION_OUTPUT.width(config)];
        gated = new float[windowLen * config.ffnSize()];
    }

    /** Leaves everything out but the largest magnitudes. */
    public BlockObserver magnitudesOnly() {
        takesSamples = false;
        observation.largestOnly();
        return this;
    }

    /**
     * Passes a window through the layer and notes what flows.
     *
     * @param runner the layer with all its weights
     * @param input  the residual stream {@code [nTokens, hiddenSize]}
     */
    public void watch(BlockRunner runner, float[] input, int nTokens, InputListener listener) {
        runner.begin(nTokens, input);
        runner.attentionInput();
        runner.readNormed(normed);
        observation.add(Place.ATTENTION_INPUT, normed, 0, config.hiddenSize(), nTokens);
        listener.input(Place.ATTENTION_INPUT, normed, nTokens);

        runner.qkv();
        runner.readQkv(qkv);
        addHeads(nTokens);

        runner.attend();
        runner.readAttendedQuantized(attended);
        observation.add(Place.ATTENTION_OUTPUT, attended, 0, Place.ATTENTION_OUTPUT.width(config), nTokens);
        listener.input(Place.ATTENTION_OUTPUT, attended, nTokens);
        runner.addAttention();

        runner.mlpInput();
        runner.readNormed(normed);
        observation.add(Place.MLP_INPUT, normed, 0, config.hiddenSize(), nTokens);
        listener.input(Place.MLP_INPUT, normed, nTokens);

        runner.gateUp();
        runner.readGatedQuantized(gated);
        observation.add(Place.MLP_GATED, gated, 0, config.ffnSize(), nTokens);
        listener.input(Place.MLP_GATED, gated, nTokens);
        observation.addTokens(nTokens);
    }

    private void addHeads(int nTokens) {
        int querySize = Place.QUERY.width(config);
        int keySize = Place.KEY.width(config);
        int stride = querySize + 2 * keySize;
        observation.add(Place.VALUE, qkv, querySize + keySize, stride, nTokens);
        addKeyPairs(querySize, stride, nTokens);
        Chunks.forEach(nTokens, TOKENS, (begin, end) -> {
            for (int t = begin; t < end; t++) {
                for (int head = 0; head < config.nHeads() + config.nKvHeads(); head++) {
                    rotate(t * stride + head * config.headDim(), t);
                }
            }
        });
        if (takesSamples) {
            samples.add(qkv, stride, SAMPLE_STEP, nTokens);
        }
        Chunks.forEach(nTokens, TOKENS, (begin, end) -> {
            for (int t = begin; t < end; t++) {
                for (int head = 0; head < config.nHeads(); head++) {
                    smooth(t * stride + head * config.headDim(), head / (config.nHeads() / config.nKvHeads()), false);
                }
                for (int head = 0; head < config.nKvHeads(); head++) {
                    smooth(t * stride + querySize + head * config.headDim(), head, true);
                }
            }
        });
        observation.add(Place.QUERY, qkv, 0, stride, nTokens);
        observation.add(Place.KEY, qkv, querySize, stride, nTokens);
    }

    private void addKeyPairs(int offset, int stride, int nTokens) {
        int half = config.headDim() / 2;
        Chunks.forEach(config.nKvHeads() * half, 16, (begin, end) -> {
            for (int pair = begin; pair < end; pair++) {
                int i = pair / half * config.headDim() + pair % half;
                for (int t = 0; t < nTokens; t++) {
                    float a = qkv[offset + t * stride + i];
                    float b = qkv[offset + t * stride + i + half];
                    observation.addKeyPair(i, i + half, (float) Math.sqrt((double) a * a + (double) b * b));
                }
            }
        });
    }

    private void rotate(int at, int position) {
        int half = config.headDim() / 2;
        for (int i = 0; i < half; i++) {
            float cos = rotary.cos()[position * half + i];
            float sin = rotary.sin()[position * half + i];
            float a = qkv[at + i];
            float b = qkv[at + half + i];
            qkv[at + i] = a * cos - b * sin;
            qkv[at + half + i] = b * cos + a * sin;
        }
    }

    private void smooth(int at, int kvHead, boolean isKey) {
        int headDim = config.headDim();
        double[] x = new double[headDim];
        for (int c = 0; c < headDim; c++) {
            float s = keySmooth[kvHead * headDim + c];
            x[c] = isKey ? qkv[at + c] * s : qkv[at + c] / s;
        }
        if (hadamardBlock > 0) {
            Hadamard.apply(x, hadamardBlock);
        }
        for (int c = 0; c < headDim; c++) {
            qkv[at + c] = (float) x[c];
        }
    }

    public Observation observation() {
        return observation;
    }

    /** Samples of Q and K after the rotation, before any smoothing at run time. */
    public QueryKeySamples samples() {
        return samples;
    }
}
