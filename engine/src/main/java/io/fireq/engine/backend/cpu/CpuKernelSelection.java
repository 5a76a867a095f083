package io.fireq.engine.backend.cpu;

import com.sun.management.HotSpotDiagnosticMXBean;
import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.FireqException;
import java.lang.management.ManagementFactory;
import java.util.Optional;

/**
 * Which inner loops the CPU backend uses, and why.
 *
 * @param chosen the kernels
 * @param reason why these, one clause
 */
record CpuKernelSelection(CpuKernels chosen, String reason) {
    private static final String VECTOR_MODULE = "jdk.incubator.vector";
    private static final String VECTOR_KERNELS = "io.fireq.engine.backend.cpu.vector.VectorKernels";
    private static final String MODULE_MISSING =
            "module " + VECTOR_MODULE + " is not in this JVM; add --add-modules " + VECTOR_MODULE;

    private static final String COMPILER_OFF =
            "the JVM's optimizing compiler is off; remove -XX:TieredStopAtLevel, or in Maven's spring-boot:run set "
                    + "optimizedLaunch to false";

    static CpuKernelSelection choose(CpuKernelChoice choice) {
        return choose(choice, vectorObstacle());
    }

    /** @param vectorObstacle why the Vector API cannot be used well in this JVM; empty if it can */
    static CpuKernelSelection choose(CpuKernelChoice choice, Optional<String> vectorObstacle) {
        if (choice == CpuKernelChoice.PLAIN) {
            return new CpuKernelSelection(new PlainKernels(), "asked for");
        }
        if (vectorObstacle.isEmpty()) {
            return new CpuKernelSelection(vectorKernels(),
                    choice == CpuKernelChoice.VECTOR ? "asked for" : "module " + VECTOR_MODULE + " is in this JVM");
        }
        if (choice == CpuKernelChoice.VECTOR) {
            throw new FireqException("CPU kernels VECTOR: " + vectorObstacle.get() + ", or choose AUTO");
        }
        return new CpuKernelSelection(new PlainKernels(), vectorObstacle.get());
    }

    private static Optional<String> vectorObstacle() {
        if (ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()) {
            return Optional.of(MODULE_MISSING);
        }
        return optimizingCompilerIsOff() ? Optional.of(COMPILER_OFF) : Optional.empty();
    }

    /** Without the optimizing compiler every vector is an object, and the Vector API far slower than plain loops. */
    private static boolean optimizingCompilerIsOff() {
        HotSpotDiagnosticMXBean jvm = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        try {
            return jvm != null && Integer.parseInt(jvm.getVMOption("TieredStopAtLevel").getValue()) < 4;
        } catch (IllegalArgumentException unknownOption) { // another JVM than HotSpot
            return false;
        }
    }

    /** By name: a JVM without the module must not meet a class that needs it. */
    private static CpuKernels vectorKernels() {
        try {
            return (CpuKernels) Class.forName(VECTOR_KERNELS).getConstructor().newInstance();
        } catch (ReflectiveOperationException e) {
            throw new FireqException("CPU kernels: could not load " + VECTOR_KERNELS
                    + "; the engine jar is incomplete, or choose PLAIN", e);
        }
    }
}
