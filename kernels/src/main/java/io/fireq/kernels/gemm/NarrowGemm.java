package io.fireq.kernels.gemm;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.FLOAT;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;
import static io.fireq.kernels.cuda.KernelArgs.Type.TENSOR_MAP;

import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Launches {@code sm90_int4_fp8_narrow}: int4 linear layers of up to some tens of tokens, whose time is that of reading the
 * weight.
 */
final class NarrowGemm {
    /** Tokens up to which it exists. */
    static final int MAX_TOKENS = 64;

    private static final String NAME = "NarrowGemm";
    private static final int FIRST_MAGNITUDE = 10;
    private static final int[] TILES = {8, 16, 32, 64};
    /** Groups of an epilogue, in order; gates and heads have rows enough for the larger ones. */
    private static final List<Integer> FEW_GROUPS = List.of(1, 2);
    private static final List<Integer> GATE_GROUPS = List.of(2, 4);
    private static final List<Integer> HEAD_GROUPS = List.of(4);

    private final CudaContext context;
    private final TensorMapCache maps;
    private final Map<NarrowConfig, KernelFunction> kernels = new HashMap<>();
    private final KernelArgs args = new KernelArgs(TENSOR_MAP, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT,
            FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT);

    NarrowGemm(CudaContext context) {
        this.context = context;
        this.maps = new TensorMapCache(context);
    }

    static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (int tileM : TILES) {
            for (boolean signMagnitude : new boolean[] {false, true}) {
                for (Epilogue epilogue : Epilogue.values()) {
                    addSpecs(specs, tileM, signMagnitude, epilogue, false);
                }
                addSpecs(specs, tileM, signMagnitude, Epilogue.STORE, true);
            }
        }
        return specs;
    }

    private static void addSpecs(List<KernelSpec> specs, int tileM, boolean signMagnitude, Epilogue epilogue,
            boolean outF32) {
        for (int groups : groups(epilogue, outF32)) {
            specs.add(new NarrowConfig(tileM, groups, 1, signMagnitude, epilogue, outF32).spec());
            if (groups == 1) {
                specs.add(new NarrowConfig(tileM, groups, 2, signMagnitude, epilogue, outF32).spec());
            }
        }
    }

    /** What there is for an epilogue, from few groups to many. */
    private static List<Integer> groups(Epilogue epilogue, boolean outF32) {
        return outF32 ? HEAD_GROUPS : epilogue == Epilogue.SILU_MUL ? GATE_GROUPS : FEW_GROUPS;
    }

    /** Strips of 16 packed rows, without those that hold padding only. */
    static int strips(int n, Epilogue epilogue) {
        int channels = epilogue == Epilogue.SILU_MUL ? Int4Fp8WeightLayout.STRIP_ROWS / 2 : Int4Fp8WeightLayout.STRIP_ROWS;
        return (n + channels - 1) / channels;
    }

    /**
     * The fewest groups that hold a CTA's strips, or else the most that there are; two CTAs share their columns where one
     * group holds the strips of both.
     */
    static NarrowConfig config(int m, GemmWeight weight, Epilogue epilogue, boolean outF32, int nSms) {
        return config(m, weight.outputs(epilogue), weight.levels().isSignMagnitude(), epilogue, outF32, nSms);
    }

    /** The same as a pure function; {@code n} are the output channels. */
    static NarrowConfig config(int m, int n, boolean signMagnitude, Epilogue epilogue, boolean outF32, int nSms) {
        int tileM = Arrays.stream(TILES).filter(tile -> m <= tile).findFirst().orElseThrow();
        int strips = strips(n, epilogue);
        List<Integer> available = groups(epilogue, outF32);
        int groups = available.stream().filter(g -> strips <= g * NarrowConfig.STRIPS * nSms).findFirst()
                .orElse(available.get(available.size() - 1));
        int cluster = groups == 1 && strips <= nSms / 2 * NarrowConfig.STRIPS ? 2 : 1;
        return new NarrowConfig(tileM, groups, cluster, signMagnitude, epilogue, outF32);
    }

    /** Queues a layer of at most {@link #MAX_TOKENS} tokens. */
    void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight, Epilogue epilogue,
            boolean outF32, DeviceBuffer out) {
        launch(stream, x, xScale, m, weight, epilogue, outF32, out, context.device().nSms());
    }

    /** As above, as if the device had that many SMs: with fewer, each works on more. */
    void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight, Epilogue epilogue,
            boolean outF32, DeviceBuffer out, int nSms) {
        NarrowConfig config = config(m, weight, epilogue, outF32, nSms);
        int k = weight.k();
        int n = weight.outputs(epilogue);
        GemmOperands.require(NAME, x, xScale, out, m, MAX_TOKENS, k, n, outF32);
        if (weight.bits() != 4) {
            throw new IllegalArgumentException("%s: weights of %d bits; required 4".formatted(NAME, weight.bits()));
        }
        int strips = strips(n, epilogue);
        args.set(0, maps.e4m3(x, m, k, config.tileM()));
        args.set(1, weight.codes()).set(2, xScale).set(3, weight.rowScales()).set(4, out);
        args.set(5, m).set(6, n).set(7, weight.rows()).set(8, strips);
        args.set(9, (k + GemmConfig.TILE_K - 1) / GemmConfig.TILE_K);
        GemmOperands.setMagnitudes(args, FIRST_MAGNITUDE, weight);
        int ctas = config.cluster() * Math.min(strips, nSms / config.cluster());
        kernels.computeIfAbsent(config, c -> context.kernel(c.spec())).launch(stream, LaunchShape.of(ctas, config.threads())
                .cluster(config.cluster()).smem(config.smemBytes()).overlapping(), args);
    }
}
