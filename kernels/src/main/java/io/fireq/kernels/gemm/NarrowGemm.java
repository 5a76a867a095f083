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
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Launches {@code sm90_int4_fp8_narrow}: int4 linear layers of some tens of tokens. */
final class NarrowGemm {
    /** Tokens up to which it exists. */
    static final int MAX_TOKENS = 64;

    private static final String NAME = "NarrowGemm";
    private static final int FIRST_MAGNITUDE = 10;
    private static final int[] TILES = {32, 64};

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
                    specs.add(new NarrowConfig(tileM, 1, signMagnitude, epilogue, false).spec());
                    if (canCluster(epilogue, false)) {
                        specs.add(new NarrowConfig(tileM, 2, signMagnitude, epilogue, false).spec());
                    }
                }
                specs.add(new NarrowConfig(tileM, 1, signMagnitude, Epilogue.STORE, true).spec());
            }
        }
        return specs;
    }

    /** Gates and heads have rows enough without. */
    private static boolean canCluster(Epilogue epilogue, boolean outF32) {
        return epilogue != Epilogue.SILU_MUL && !outF32;
    }

    /** Chunks of 64 packed rows, without those that hold padding only. */
    private static int chunks(int n, Epilogue epilogue) {
        int channels = epilogue == Epilogue.SILU_MUL ? Int4Fp8WeightLayout.CHUNK_ROWS / 2 : Int4Fp8WeightLayout.CHUNK_ROWS;
        return (n + channels - 1) / channels;
    }

    static NarrowConfig config(int m, GemmWeight weight, Epilogue epilogue, boolean outF32, int nSms) {
        int tileM = m <= TILES[0] ? TILES[0] : TILES[1];
        int n = weight.outputs(epilogue);
        int cluster = canCluster(epilogue, outF32) && 2 * chunks(n, epilogue) <= nSms ? 2 : 1;
        return new NarrowConfig(tileM, cluster, weight.levels().isSignMagnitude(), epilogue, outF32);
    }

    /** Queues a layer of at most {@link #MAX_TOKENS} tokens. */
    void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight, Epilogue epilogue,
            boolean outF32, DeviceBuffer out) {
        int nSms = context.device().nSms();
        NarrowConfig config = config(m, weight, epilogue, outF32, nSms);
        int k = weight.k();
        int n = weight.outputs(epilogue);
        GemmOperands.require(NAME, x, xScale, out, m, MAX_TOKENS, k, n, outF32);
        if (weight.bits() != 4) {
            throw new IllegalArgumentException("%s: weights of %d bits; required 4".formatted(NAME, weight.bits()));
        }
        int chunks = chunks(n, epilogue);
        args.set(0, maps.e4m3(x, m, k, config.tileM()));
        args.set(1, weight.codes()).set(2, xScale).set(3, weight.rowScales()).set(4, out);
        args.set(5, m).set(6, n).set(7, weight.rows()).set(8, chunks);
        args.set(9, (k + GemmConfig.TILE_K - 1) / GemmConfig.TILE_K);
        GemmOperands.setMagnitudes(args, FIRST_MAGNITUDE, weight);
        int ctas = config.cluster() * Math.min(chunks, nSms / config.cluster());
        kernels.computeIfAbsent(config, c -> context.kernel(c.spec())).launch(stream, LaunchShape.of(ctas, config.threads())
                .cluster(config.cluster()).smem(config.smemBytes()).overlapping(), args);
    }
}
