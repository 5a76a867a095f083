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

/** Launches {@code sm90_int4_fp8_skinny}: linear layers of a few tokens, whose time is that of reading the weight. */
final class SkinnyGemm {
    /** Tokens up to which it exists. */
    static final int MAX_TOKENS = 16;

    private static final String NAME = "SkinnyGemm";
    private static final int FIRST_MAGNITUDE = 11;
    private static final int[] TILES = {8, 16};
    private static final int MIN_STRIPS = 2;

    private final CudaContext context;
    private final TensorMapCache maps;
    private final Map<SkinnyConfig, KernelFunction> kernels = new HashMap<>();
    private final KernelArgs args = new KernelArgs(TENSOR_MAP, TENSOR_MAP, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT,
            INT, INT, INT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT);

    SkinnyGemm(CudaContext context) {
        this.context = context;
        this.maps = new TensorMapCache(context);
    }

    static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (int tileM : TILES) {
            for (int strips = MIN_STRIPS; strips <= maxStrips(tileM, 4); strips++) {
                addSpecs(specs, tileM, strips, 4, false);
                addSpecs(specs, tileM, strips, 4, true);
            }
            addSpecs(specs, tileM, MIN_STRIPS, 8, false);
        }
        return specs;
    }

    private static void addSpecs(List<KernelSpec> specs, int tileM, int strips, int bits, boolean signMagnitude) {
        for (Epilogue epilogue : Epilogue.values()) {
            if (bits == 4 || epilogue != Epilogue.SILU_MUL) {
                specs.add(new SkinnyConfig(tileM, strips, bits, signMagnitude, epilogue, false).spec());
            }
        }
        specs.add(new SkinnyConfig(tileM, strips, bits, signMagnitude, Epilogue.STORE, true).spec());
    }

    /** Three strips at a time are for CTAs that have three: shared memory holds that many for 8 tokens only. */
    private static int maxStrips(int tileM, int bits) {
        return bits == 4 && tileM == TILES[0] ? MIN_STRIPS + 1 : MIN_STRIPS;
    }

    private static int strips(int n, Epilogue epilogue) {
        int channels = epilogue == Epilogue.SILU_MUL ? Int4Fp8WeightLayout.STRIP_ROWS / 2 : Int4Fp8WeightLayout.STRIP_ROWS;
        return (n + channels - 1) / channels;
    }

    static SkinnyConfig config(int m, GemmWeight weight, Epilogue epilogue, boolean outF32, int nSms) {
        int tileM = m <= TILES[0] ? TILES[0] : TILES[1];
        int n = weight.outputs(epilogue);
        int stripsPerCta = (strips(n, epilogue) + nSms - 1) / nSms;
        int max = maxStrips(tileM, weight.bits());
        return new SkinnyConfig(tileM, stripsPerCta == max ? max : MIN_STRIPS, weight.bits(),
                weight.levels().isSignMagnitude(), epilogue, outF32);
    }

    /** Queues a layer of at most {@link #MAX_TOKENS} tokens. */
    void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight, Epilogue epilogue,
            boolean outF32, DeviceBuffer out) {
        int nSms = context.device().nSms();
        SkinnyConfig config = config(m, weight, epilogue, outF32, nSms);
        int k = weight.k();
        int n = weight.outputs(epilogue);
        GemmOperands.require(NAME, x, xScale, out, m, MAX_TOKENS, k, n, outF32);
        int strips = strips(n, epilogue);
        args.set(0, maps.e4m3(x, m, k, config.tileM()));
        if (config.weightBits() == 8) {
            args.set(1, maps.e4m3(weight.codes(), weight.n(), k, Int4Fp8WeightLayout.STRIP_ROWS));
        }
        args.set(2, weight.codes()).set(3, xScale).set(4, weight.rowScales()).set(5, out);
        args.set(6, m).set(7, n).set(8, weight.rows()).set(9, strips);
        args.set(10, (k + GemmConfig.TILE_K - 1) / GemmConfig.TILE_K);
        GemmOperands.setMagnitudes(args, FIRST_MAGNITUDE, weight);
        int ctas = Math.min(strips, nSms);
        kernels.computeIfAbsent(config, c -> context.kernel(c.spec())).launch(stream,
                LaunchShape.of(ctas, config.threads()).smem(config.smemBytes()).overlapping(), args);
    }
}
