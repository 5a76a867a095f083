package io.fireq.kernels.jit;

import io.fireq.kernels.catalog.KernelInfo;
import io.fireq.kernels.catalog.KernelSpec;
import java.util.List;
import java.util.Map;

/** The table of registers, local memory and shared memory, and the rule that a hot kernel uses no local memory. */
public final class CompileReport {
    private CompileReport() {}

    /** One line per kernel. */
    public static String table(List<KernelInfo> kernels) {
        int width = kernels.stream().mapToInt(k -> k.id().length()).max().orElse(0);
        String row = "%-" + Math.max(6, width) + "s %9s %6s %13s %12s %9s%n";
        StringBuilder table = new StringBuilder(row.formatted("kernel", "registers", "stack", "spill stores",
                "spill loads", "smem"));
        for (KernelInfo k : kernels) {
            table.append(row.formatted(k.id(), k.registers(), k.stackBytes(), k.spillStoreBytes(), k.spillLoadBytes(),
                    k.smemBytes()));
        }
        return table.toString();
    }

    /** One sentence for each hot kernel that uses local memory. */
    public static List<String> spillsInHotKernels(Map<KernelSpec, KernelInfo> kernels) {
        return kernels.entrySet().stream()
                .filter(k -> k.getKey().hot() && k.getValue().usesLocalMemory())
                .map(k -> ("Hot kernel %s: %d bytes of local memory per thread (%d stored and %d loaded by spills) with "
                        + "%d registers, required 0; shrink its tile or its register arrays")
                        .formatted(k.getKey().id(), k.getValue().stackBytes(), k.getValue().spillStoreBytes(),
                                k.getValue().spillLoadBytes(), k.getValue().registers()))
                .toList();
    }
}
