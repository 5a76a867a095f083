package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.kernels.attention.AttentionKernel;
import io.fireq.kernels.attention.Fp8PrefillAttention;
import io.fireq.kernels.attention.Int4KvDecodeAttention;
import io.fireq.kernels.attention.PagedKv;
import io.fireq.kernels.attention.PagedKvLayout;
import io.fireq.kernels.attention.PlainPagedAttention;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import java.util.HashMap;
import java.util.Map;

/**
 * Chooses the kernel of an attention layer: split-KV decode where every sequence has one new token, FP8 prefill
 * otherwise, the plain kernel for shapes that neither covers. Workspaces are made at the first use of a shape and kept.
 */
final class PagedAttentionLayers implements AutoCloseable {
    private static final int MAX_SEQS = 512;

    private final CudaContext context;
    private final CudaStream stream;
    private final PlainPagedAttention plain;
    private final Map<Shape, Prefill> prefills = new HashMap<>();
    private final Map<Shape, Int4KvDecodeAttention> decodes = new HashMap<>();

    PagedAttentionLayers(CudaContext context, CudaStream stream) {
        this.context = context;
        this.stream = stream;
        plain = new PlainPagedAttention(context);
    }

    /**
     * What a workspace is made for.
     *
     * @param maxTokens    token rows
     * @param maxPositions positions of the longest sequence
     */
    private record Shape(PagedKvLayout layout, int nHeads, int maxTokens, int maxPositions) {
        /** The longest sequence, or a whole step of new prompts: what one launch expands. */
        int expandedPositions() {
            return Math.max(maxPositions, maxTokens);
        }

        int maxSeqs() {
            return Math.min(maxTokens, MAX_SEQS);
        }
    }

    /** A prefill kernel and the step that it is prepared for. */
    private static final class Prefill {
        private final Fp8PrefillAttention kernel;
        private long preparedStep = -1;

        Prefill(Fp8PrefillAttention kernel) {
            this.kernel = kernel;
        }
    }

    /**
     * Queues the attention of a step. Contexts are at most {@code tableStride · kvBlockSize} tokens, the only bound of
     * them that a recorded step may rely on.
     */
    void launch(StepInputs inputs, CudaQuantizedRows query, AttentionSpec spec, PagedKv cache, CudaRows out) {
        InputLayout step = inputs.layout();
        PagedKvLayout layout = cache.layout();
        Shape shape = new Shape(layout, spec.nHeads(), out.capacity(), 2 * spec.cos().length / spec.headDim());
        boolean isDecode = step.nTokens() == step.nSeqs();
        AttentionKernel choice = isDecode
                ? AttentionKernel.forDecode(layout, spec.nHeads())
                : AttentionKernel.forPrefill(layout, spec.nHeads());
        if (step.nSeqs() > shape.maxSeqs() || choice == AttentionKernel.PLAIN) {
            plain.launch(stream, query.codes(), query.scales(), cache, inputs.positions(), inputs.cuSeqlens(),
                    inputs.blockTables(), step.nTokens(), step.nSeqs(), step.tableStride(), spec.nHeads(), out.values());
        } else if (isDecode) {
            decode(shape).launch(stream, query.codes(), query.scales(), cache, inputs.positions(), inputs.cuSeqlens(),
                    inputs.blockTables(), step.nTokens(), step.nSeqs(), step.tableStride(), 1,
                    Math.min(shape.maxPositions(), step.tableStride() * layout.kvBlockSize()), out.values());
        } else {
            Prefill prefill = prefills.computeIfAbsent(shape, s -> new Prefill(new Fp8PrefillAttention(context,
                    s.layout(), s.nHeads(), s.maxTokens(), s.maxSeqs(), s.expandedPositions())));
            if (prefill.preparedStep != inputs.step()) {
                prefill.kernel.prepare(stream, inputs.hostCuSeqlens(), inputs.hostKvLens());
                prefill.preparedStep = inputs.step();
            }
            prefill.kernel.launch(stream, query.codes(), query.scales(), cache, inputs.blockTables(),
                    step.tableStride(), out.values());
        }
    }

    private Int4KvDecodeAttention decode(Shape shape) {
        return decodes.computeIfAbsent(shape, s -> new Int4KvDecodeAttention(context, stream, s.layout(), s.nHeads(),
                s.maxSeqs(), s.maxSeqs(), s.maxPositions()));
    }

    @Override
    public void close() {
        prefills.values().forEach(prefill -> prefill.kernel.close());
        decodes.values().forEach(Int4KvDecodeAttention::close);
        prefills.clear();
        decodes.clear();
    }
}
