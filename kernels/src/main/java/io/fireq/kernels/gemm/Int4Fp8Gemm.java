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
import io.fireq.kernels.cuda.TensorMap;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Launches {@code sm90_int4_fp8_gemm}. Launches share a workspace: they belong on one stream. */
final class Int4Fp8Gemm implements AutoCloseable {
    private static final String NAME = "Int4Fp8Gemm";
    private static final int FIRST_MAGNITUDE = 15;

    private final CudaContext context;
    private final Map<GemmConfig, KernelFunction> kernels = new HashMap<>();
    private final Map<GemmProblem, GemmPlan> plans = new HashMap<>();
    private final TensorMapCache maps;
    private final SplitKWorkspace workspace;
    private final KernelArgs args = new KernelArgs(TENSOR_MAP, TENSOR_MAP, TENSOR_MAP, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, INT, INT, INT, INT, INT, INT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT);

    Int4Fp8Gemm(CudaContext context) {
        this.context = context;
        this.maps = new TensorMapCache(context);
        this.workspace = new SplitKWorkspace(context);
    }

    static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (GemmHeuristics.Tile tile : GemmHeuristics.TILES) {
            addSpecs(specs, tile.config(), 4, false);
            addSpecs(specs, tile.config(), 4, true);
            addSpecs(specs, tile.config(), 8, false);
        }
        return specs;
    }

    private static void addSpecs(List<KernelSpec> specs, GemmConfig tile, int bits, boolean signMagnitude) {
        for (Epilogue epilogue : Epilogue.values()) {
            boolean gatedE4m3 = bits == 8 && epilogue == Epilogue.SILU_MUL;
            if (GemmHeuristics.exists(tile, bits, false) && !gatedE4m3) {
                specs.add(tile.with(bits, signMagnitude, epilogue, false).spec());
            }
        }
        if (GemmHeuristics.exists(tile, bits, true)) {
            specs.add(tile.with(bits, signMagnitude, Epilogue.STORE, true).spec());
        }
    }

    static GemmProblem problem(int m, GemmWeight weight, Epilogue epilogue, boolean outF32, DeviceBuffer out) {
        int n = weight.outputs(epilogue);
        boolean stageable = !outF32 && n * 2 % GemmOperands.ALIGNMENT == 0 && out.isAligned(GemmOperands.ALIGNMENT);
        int kBlocks = (weight.k() + GemmConfig.TILE_K - 1) / GemmConfig.TILE_K;
        return new GemmProblem(m, weight.rows(), kBlocks, weight.bits(), weight.levels().isSignMagnitude(), epilogue, outF32, stageable);
    }

    /** Queues a layer with the kernel that {@link GemmHeuristics} picks. */
    void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight, Epilogue epilogue,
            boolean outF32, DeviceBuffer out) {
        GemmPlan plan = plans.computeIfAbsent(problem(m, weight, epilogue, outF32, out),
                problem -> GemmHeuristics.choose(problem, context.device().nSms()));
        launch(stream, x, xScale, m, weight, plan, out);
    }

    /** Queues a layer with a given kernel. */
    void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight, GemmPlan plan,
            DeviceBuffer out) {
        GemmConfig config = plan.config();
        int k = weight.k();
        int n = weight.outputs(config.epilogue());
        GemmOperands.require(NAME, x, xScale, out, m, Integer.MAX_VALUE, k, n, config.outF32());
        int tilesM = (m + config.tileM() - 1) / config.tileM();
        int tilesN = GemmHeuristics.tilesN(config, weight.rows());
        int kBlocks = (k + GemmConfig.TILE_K - 1) / GemmConfig.TILE_K;
        Math.multiplyExact(Math.multiplyExact(tilesM, tilesN), kBlocks + 1);
        args.set(0, maps.e4m3(x, m, k, config.tileM() / config.cluster()));
        if (config.weightBits() == 8) {
            args.set(1, maps.e4m3(weight.codes(), weight.n(), k, GemmConfig.CHUNK_ROWS));
        }
        if (config.staged()) {
            args.set(2, maps.bf16(out, m, n, GemmConfig.OUT_TOKENS, config.channelsPerWarpgroup()));
        }
        args.set(3, weight.codes()).set(4, xScale).set(5, weight.rowScales()).set(6, out);
        if (config.splitK()) {
            workspace.require(plan);
            args.set(7, workspace.partials()).set(8, workspace.counters());
        } else {
            args.setNull(7).setNull(8);
        }
        args.set(9, m).set(10, n).set(11, weight.rows());
        args.set(12, kBlocks).set(13, tilesM).set(14, tilesN);
        GemmOperands.setMagnitudes(args, FIRST_MAGNITUDE, weight);
        LaunchShape shape = LaunchShape.of(plan.ctas(), config.threads()).cluster(config.cluster())
                .smem(config.smemBytes()).overlapping();
        kernels.computeIfAbsent(config, c -> context.kernel(c.spec())).launch(stream, shape, args);
    }

    @Override
    public void close() {
        workspace.close();
    }
}
