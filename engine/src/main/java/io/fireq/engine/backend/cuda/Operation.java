package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend.Epilogue;

/**
 * One operation of a step with its operands, checked. Equal operations of steps with equal {@link InputLayout} launch the
 * same kernels with the same arguments.
 */
sealed interface Operation {
    /** Queues the kernels. */
    void launch(Launchers launchers, StepInputs inputs);

    record Embed(CudaWeight table, CudaRows out) implements Operation {
        @Override
        public void launch(Launchers launchers, StepInputs inputs) {
            launchers.embed(inputs, table, out);
        }
    }

    record RmsNormQuantize(CudaRows x, CudaVector weight, float epsilon, CudaQuantizedRows out) implements Operation {
        @Override
        public void launch(Launchers launchers, StepInputs inputs) {
            launchers.rmsNormQuantize(inputs, x, weight, epsilon, out);
        }
    }

    record Quantize(CudaRows x, CudaQuantizedRows out) implements Operation {
        @Override
        public void launch(Launchers launchers, StepInputs inputs) {
            launchers.quantize(inputs, x, out);
        }
    }

    record Linear(CudaQuantizedRows x, CudaWeight weight, Epilogue epilogue, CudaRows out) implements Operation {
        @Override
        public void launch(Launchers launchers, StepInputs inputs) {
            launchers.linear(inputs, x, weight, epilogue, out);
        }
    }

    record RopeAppendKv(CudaRows qkv, CudaAttention attention, CudaKvCache cache, CudaQuantizedRows query)
            implements Operation {
        @Override
        public void launch(Launchers launchers, StepInputs inputs) {
            launchers.ropeAppendKv(inputs, qkv, attention, cache, query);
        }
    }

    record Attend(CudaQuantizedRows query, CudaAttention attention, CudaKvCache cache, CudaRows out)
            implements Operation {
        @Override
        public void launch(Launchers launchers, StepInputs inputs) {
            launchers.attention(inputs, query, attention, cache, out);
        }
    }

    record ComputeLogits(CudaRows hidden, CudaVector normWeight, float epsilon, CudaWeight head, StepOutputs outputs)
            implements Operation {
        @Override
        public void launch(Launchers launchers, StepInputs inputs) {
            launchers.logits(inputs, hidden, normWeight, epsilon, head, outputs);
        }
    }
}
