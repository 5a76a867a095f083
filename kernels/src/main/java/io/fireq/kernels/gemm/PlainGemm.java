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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A linear layer of any shape, weights in checkpoint order. Slow, and the definition that fast kernels are compared with.
 */
public final class PlainGemm {
    private static final String NAME = "PlainGemm";
    private static final int THREADS = 256;
    private static final int TILE_N = 64;
    private static final int TILE_K = 32;
    private static final int FEW_TOKENS = 16;
    private static final int MANY_TOKENS = 64;

    private final Map<Variant, KernelFunction> kernels = new HashMap<>();
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT,
            INT, INT);

    public PlainGemm(CudaContext context) {
        for (Variant variant : variants()) {
            kernels.put(variant, context.kernel(variant.spec()));
        }
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return variants().stream().map(Variant::spec).toList();
    }

    private static List<Variant> variants() {
        List<Variant> variants = new ArrayList<>();
        for (int tileM : new int[] {FEW_TOKENS, MANY_TOKENS}) {
            for (int bits : new int[] {4, 8}) {
                for (Epilogue epilogue : Epilogue.values()) {
                    variants.add(new Variant(tileM, bits, epilogue, false));
                }
                variants.add(new Variant(tileM, bits, Epilogue.STORE, true));
            }
        }
        return variants;
    }

    private record Variant(int tileM, int weightBits, Epilogue epilogue, boolean outF32) {
        KernelSpec spec() {
            return new KernelSpec("gemm/plain_gemm.cuh", "plain_gemm", KernelConfig.empty().with("THREADS", THREADS)
                    .with("TILE_M", tileM).with("TILE_N", TILE_N).with("TILE_K", TILE_K).with("WEIGHT_BITS", weightBits)
                    .with("EPILOGUE", epilogue.ordinal()).with("OUT_F32", outF32), false);
        }
    }

    /**
     * Queues the layer with a bf16 result.
     *
     * @param x      {@code [m, k]} e4m3
     * @param xScale {@code [m]} f32
     * @param out    {@code [m, n]} bf16; {@code [m, n/2]} with {@link Epilogue#SILU_MUL}
     */
    public void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, LinearWeight weight,
            Epilogue epilogue, DeviceBuffer out) {
        launch(stream, x, xScale, m, weight, epilogue, false, out);
    }

    /**
     * Queues the layer with its float32 result as it is.
     *
     * @param out {@code [m, n]} f32
     */
    public void launchFloat(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, LinearWeight weight,
            DeviceBuffer out) {
        launch(stream, x, xScale, m, weight, Epilogue.STORE, true, out);
    }

    private void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, LinearWeight weight,
            Epilogue epilogue, boolean outF32, DeviceBuffer out) {
        if (epilogue == Epilogue.SILU_MUL && weight.n() % 2 != 0) {
            throw new IllegalArgumentException("%s: weight '%s' has n=%d, required an even number of gate and up rows"
                    .formatted(NAME, weight.name(), weight.n()));
        }
        int nOut = epilogue == Epilogue.SILU_MUL ? weight.n() / 2 : weight.n();
        args.set(0, x.require(NAME, "x [m, k]", (long) m * weight.k(), 1));
        args.set(1, xScale.require(NAME, "xScale [m]", m, 4));
        args.set(2, weight.codes());
        args.set(4, weight.rowScales());
        if (weight.bits() == 4) {
            args.set(3, weight.groupScales()).set(5, weight.values());
        } else {
            args.setNull(3).setNull(5);
        }
        args.set(6, out.require(NAME, "out", (long) m * nOut, outF32 ? 4 : 2));
        args.set(7, m).set(8, weight.n()).set(9, weight.k()).set(10, weight.groupSize());
        int tileM = m <= FEW_TOKENS ? FEW_TOKENS : MANY_TOKENS;
        LaunchShape shape = LaunchShape.of(1, THREADS)
                .grid((nOut + TILE_N - 1) / TILE_N, (m + tileM - 1) / tileM, 1);
        kernels.get(new Variant(tileM, weight.bits(), epilogue, outF32)).launch(stream, shape, args);
    }
}
