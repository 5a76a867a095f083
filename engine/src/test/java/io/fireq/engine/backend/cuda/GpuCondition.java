package io.fireq.engine.backend.cuda;

import io.fireq.kernels.cuda.CudaProbe;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Decides whether the tests of {@link GpuTest} run, and prints why not. */
final class GpuCondition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        CudaProbe probe = CudaProbe.probe();
        if (probe.device().isPresent()) {
            return ConditionEvaluationResult.enabled(probe.reason());
        }
        if (Boolean.getBoolean("fireq.gpu.required")) {
            throw new IllegalStateException("fireq.gpu.required is set, but there is no GPU to use: " + probe.reason());
        }
        if (context.getTestMethod().isEmpty()) {
            System.out.printf("Skipped %s: %s%n", context.getDisplayName(), probe.reason());
        }
        return ConditionEvaluationResult.disabled(probe.reason());
    }
}
