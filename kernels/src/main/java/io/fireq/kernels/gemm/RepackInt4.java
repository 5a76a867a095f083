package io.fireq.kernels.gemm;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import java.util.List;

/** Checkpoint order to kernel order on the device; {@link Int4Fp8WeightLayout} is its definition. */
final class RepackInt4 {
    private static final String NAME = "RepackInt4";
    private static final int THREADS = 256;

    private final KernelFunction kernel;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT,
            INT, INT);

    RepackInt4(CudaContext context) {
        kernel = context.kernel(spec());
    }

    static KernelSpec spec() {
        return new KernelSpec("gemm/repack_int4.cuh", "repack_int4", KernelConfig.empty().with("THREADS", THREADS), false);
    }

    static List<KernelSpec> specs() {
        return List.of(spec());
    }

    /**
     * Queues the repacking.
     *
     * @param packed          {@link Int4Fp8WeightLayout#byteSize()} bytes
     * @param packedRowScales {@code [packedRows]} f32
     */
    void launch(CudaStream stream, LinearWeight source, Int4Fp8WeightLayout layout, DeviceBuffer packed,
            DeviceBuffer packedRowScales) {
        args.set(0, source.codes()).set(1, source.groupScales()).set(2, source.rowScales());
        args.set(3, packed.require(NAME, "packed [byteSize]", layout.byteSize(), 1));
        args.set(4, packedRowScales.require(NAME, "packedRowScales [packedRows]", layout.packedRows(), 4));
        args.set(5, layout.n()).set(6, layout.k()).set(7, layout.groupSize()).set(8, layout.packedRows());
        args.set(9, layout.kBlocks()).set(10, layout.gated() ? 1 : 0);
        args.set(11, layout.signMagnitude() ? 1 : 0);
        long words = layout.byteSize() / 4;
        kernel.launch(stream, LaunchShape.of(Math.toIntExact((words + THREADS - 1) / THREADS), THREADS), args);
    }
}
