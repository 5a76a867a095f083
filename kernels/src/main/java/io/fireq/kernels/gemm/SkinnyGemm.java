package io.fireq.kernels.gemm;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
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

/** Launches {@code sm90_e4m3_skinny}: e4m3 linear layers of a few tokens, whose time is that of reading the weight. */
final class SkinnyGemm {
    /** Tokens up to which it exists. */
    static final int MAX_TOKENS = 16;

    private static final String NAME = "SkinnyGemm";
    private static final int[] TILES = {8, 16};

    private final CudaContext context;
    private final TensorMapCache maps;
    private final Map<SkinnyConfig, KernelFunction> kernels = new HashMap<>();
    private final KernelArgs args = new KernelArgs(TENSOR_MAP, TENSOR_MAP, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT);

    SkinnyGemm(CudaContext context) {
        this.context = context;
        this.maps = new TensorMapCache(context);
    }

    static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (int tileM : TILES) {
            specs.add(new SkinnyConfig(tileM, Epilogue.STORE, false).spec());
            specs.add(new SkinnyConfig(tileM, Epilogue.RESIDUAL_ADD, false).spec());
            specs.add(new SkinnyConfig(tileM, Epilogue.STORE, true).spec());
        }
        return specs;
    }

    static SkinnyConfig config(int m, Epilogue epilogue, boolean outF32) {
        return new SkinnyConfig(m <= TILES[0] ? TILES[0] : TILES[1], epilogue, outF32);
    }

    /** Queues a layer of at most {@link #MAX_TOKENS} tokens. */
    void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight, Epilogue epilogue,
            boolean outF32, DeviceBuffer out) {
        SkinnyConfig config = config(m, epilogue, outF32);
        int k = weight.k();
        int n = weight.n();
        GemmOperands.require(NAME, x, xScale, out, m, MAX_TOKENS, k, n, outF32);
        if (weight.bits() != 8) {
            throw new IllegalArgumentException("%s: weights of %d bits; required 8".formatted(NAME, weight.bits()));
        }
        int strips = (n + SkinnyConfig.STRIP_ROWS - 1) / SkinnyConfig.STRIP_ROWS;
        args.set(0, maps.e4m3(x, m, k, config.tileM()));
        args.set(1, maps.e4m3(weight.codes(), n, k, SkinnyConfig.STRIP_ROWS));
        args.set(2, xScale).set(3, weight.rowScales()).set(4, out);
        args.set(5, m).set(6, n).set(7, strips).set(8, (k + GemmConfig.TILE_K - 1) / GemmConfig.TILE_K);
        int ctas = Math.min(strips, context.device().nSms());
        kernels.computeIfAbsent(config, c -> context.kernel(c.spec())).launch(stream,
                LaunchShape.of(ctas, config.threads()).smem(config.smemBytes()).overlapping(), args);
    }
}
