package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.elementwise.EmbeddingGather;
import io.fireq.kernels.elementwise.QuantizeRows;
import io.fireq.kernels.elementwise.RmsNormQuantize;
import io.fireq.kernels.elementwise.RopeAppendKv;
import io.fireq.kernels.gemm.LinearWeight;
import io.fireq.kernels.sampling.SampleRows;

/**
 * The one place that knows which kernel runs an operation. What it launches may depend on shapes, formats and the
 * {@link InputLayout} only, never on the values of a batch, so that a recorded step can be replayed.
 */
final class Launchers {
    private final CudaStream stream;
    private final EmbeddingGather embeddingGather;
    private final RmsNormQuantize rmsNormQuantize;
    private final QuantizeRows quantizeRows;
    private final LinearLayers linearLayers;
    private final RopeAppendKv ropeAppendKv;
    private final PagedAttentionLayers attentionLayers;
    private final SampleRows sampleRows;

    Launchers(CudaContext context, CudaStream stream, LinearLayers linearLayers,
            PagedAttentionLayers attentionLayers) {
        this.stream = stream;
        embeddingGather = new EmbeddingGather(context);
        rmsNormQuantize = new RmsNormQuantize(context);
        quantizeRows = new QuantizeRows(context);
        this.linearLayers = linearLayers;
        ropeAppendKv = new RopeAppendKv(context);
        this.attentionLayers = attentionLayers;
        sampleRows = new SampleRows(context);
    }

    void embed(StepInputs inputs, CudaWeight table, CudaRows out) {
        int nTokens = inputs.layout().nTokens();
        LinearWeight w = table.linear();
        if (w == null) {
            embeddingGather.launchBf16(stream, inputs.tokenIds(), table.table(), nTokens, table.n(), table.k(),
                    out.values());
        } else if (w.bits() == 8) {
            embeddingGather.launchE4m3(stream, inputs.tokenIds(), w.codes(), w.rowScales(), nTokens, table.n(),
                    table.k(), out.values());
        } else {
            embeddingGather.launchInt4(stream, inputs.tokenIds(), w.codes(), w.groupScales(), w.rowScales(),
                    w.values(), nTokens, table.n(), table.k(), w.groupSize(), out.values());
        }
    }

    void rmsNormQuantize(StepInputs inputs, CudaRows x, CudaVector weight, float epsilon, CudaQuantizedRows out) {
        rmsNormQuantize.launch(stream, x.values(), weight.values(), epsilon, inputs.layout().nTokens(), x.width(),
                out.codes(), out.scales());
    }

    void quantize(StepInputs inputs, CudaRows x, CudaQuantizedRows out) {
        quantizeRows.launch(stream, x.values(), inputs.layout().nTokens(), x.width(), out.codes(), out.scales());
    }

    void linear(StepInputs inputs, CudaQuantizedRows x, CudaWeight weight, Epilogue epilogue, CudaRows out) {
        linearLayers.launch(x.codes(), x.scales(), inputs.layout().nTokens(), weight, epilogue, out.values());
    }

    void ropeAppendKv(StepInputs inputs, CudaRows qkv, CudaAttention attention, CudaKvCache cache,
            CudaQuantizedRows query) {
        AttentionSpec spec = attention.spec();
        ropeAppendKv.launch(stream, cache.isSymmetric(), qkv.values(), inputs.positions(), inputs.slots(),
                attention.cos(), attention.sin(), attention.kSmooth(), spec.hadamardBlock(), inputs.layout().nTokens(), spec.nHeads(),
                cache.layers().get(spec.layer()), query.codes(), query.scales());
    }

    void attention(StepInputs inputs, CudaQuantizedRows query, CudaAttention attention, CudaKvCache cache,
            CudaRows out) {
        AttentionSpec spec = attention.spec();
        attentionLayers.launch(inputs, query, spec, cache.layers().get(spec.layer()), out);
    }

    /** Final norm of the chosen rows, output head, and the token of each where the batch has samplers. */
    void logits(StepInputs inputs, CudaRows hidden, CudaVector normWeight, float epsilon, CudaWeight head,
            StepOutputs outputs) {
        int nLogits = inputs.layout().nLogits();
        outputs.prepare(nLogits, head.k(), head.n());
        rmsNormQuantize.launchRows(stream, hidden.values(), inputs.logitRows(), normWeight.values(), epsilon, nLogits,
                head.k(), outputs.codes(), outputs.scales());
        linearLayers.launchFloat(outputs.codes(), outputs.scales(), nLogits, head, outputs.logits());
        if (inputs.layout().nSamples() > 0) {
            sampleRows.launch(stream, outputs.logits(), inputs.samplingRows(), inputs.penalties(), nLogits, head.n(),
                    outputs.tokens());
        }
    }
}
