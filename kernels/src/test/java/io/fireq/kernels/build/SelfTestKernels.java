package io.fireq.kernels.build;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.jit.NvrtcLibrary;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Kernels of {@code src/test/cuda}, which exist to run the instruction wrappers on the device. */
public final class SelfTestKernels {
    private SelfTestKernels() {}

    /** All of them. */
    public static List<KernelSpec> kernels() {
        List<KernelSpec> kernels = new ArrayList<>();
        for (int n : new int[] {8, 16, 32, 64, 128, 256}) {
            for (boolean registersA : new boolean[] {false, true}) {
                kernels.add(wgmma(n, registersA, false));
                kernels.add(wgmma(n, registersA, true));
            }
        }
        kernels.add(int4Decode(false));
        kernels.add(int4Decode(true));
        kernels.add(clusterMulticast());
        return kernels;
    }

    /** {@code out[64, n] = a[64, 128] · b[n, 128]ᵀ} by one warpgroup. */
    public static KernelSpec wgmma(int n, boolean registersA, boolean halfSums) {
        return new KernelSpec("selftest/wgmma_tile.cuh", "wgmma_tile", KernelConfig.empty().with("TILE_N", n)
                .with("REGISTERS_A", registersA).with("HALF_SUMS", halfSums), true);
    }

    /** Words of eight nibbles to sixteen e4m3 bytes. */
    public static KernelSpec int4Decode(boolean signMagnitude) {
        return new KernelSpec("selftest/int4_decode.cuh", "int4_decode",
                KernelConfig.empty().with("SIGN_MAGNITUDE", signMagnitude), true);
    }

    /** A cluster of two CTAs that load half a tile each, for both. */
    public static KernelSpec clusterMulticast() {
        return new KernelSpec("selftest/cluster_multicast.cuh", "cluster_multicast", KernelConfig.empty(), true);
    }

    /** Arguments: folder of the module, of the test classes, for NVRTC's libraries; NVRTC's version. */
    public static void main(String[] args) throws Exception {
        if (NvrtcLibrary.isAvailable()) {
            Path module = Path.of(args[0]);
            new KernelBuild(List.of(module.resolve("src/main/cuda"), module.resolve("src/test/cuda")), Path.of(args[1]),
                    Path.of(args[2]), args[3]).runOrExit(kernels());
        }
    }
}
