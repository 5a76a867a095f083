package io.fireq.kernels.jit;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Compiles a kernel for each header of instruction wrappers that uses all of them, in a process of its own because it
 * loads NVRTC in a way that spoils the process for the driver. The wrappers of wgmma are compiled with their own test
 * kernel, one per shape. Arguments: source folder, folder for NVRTC.
 */
final class HeaderCompiler {
    private HeaderCompiler() {}

    static Map<String, String> bodies() {
        Map<String, String> bodies = new LinkedHashMap<>();
        bodies.put("ptx/cvt.cuh", """
                out[0] = to_float(to_bf16(in[0])) + to_float(to_f16(in[1])) + to_float(to_e4m3(in[2]));
                out[1] = float(e4m3x2_to_f16x2(to_e4m3x2(in[3], in[4]))) + float(to_bf16x2(in[5], in[6]));
                """);
        bodies.put("ptx/approx.cuh", "out[0] = exp2_approx(in[0]) + reciprocal_approx(in[1]);");
        bodies.put("ptx/reg.cuh", "if (threadIdx.x < 128) { give_registers<40>(); } else { take_registers<232>(); } out[0] = in[0];");
        bodies.put("ptx/griddep.cuh", "wait_for_previous_kernel(); out[0] = in[0]; allow_next_kernel();");
        bodies.put("ptx/cluster.cuh", """
                __shared__ float value;
                cluster_sync();
                *cluster_peer(&value, cluster_cta_rank() ^ 1) = in[0];
                cluster_sync();
                out[cluster_cta_rank()] = value;
                """);
        bodies.put("ptx/mbarrier.cuh", """
                __shared__ u64 barrier;
                mbarrier_init(&barrier, 1);
                mbarrier_init_fence();
                mbarrier_arrive(&barrier);
                mbarrier_arrive_remote(&barrier, 1);
                mbarrier_arrive_cluster_after_reading(cluster_address_of(smem_address(&barrier), 1));
                mbarrier_arrive_expect_bytes(&barrier, 128);
                mbarrier_wait(&barrier, 0);
                mbarrier_wait_cluster(&barrier, 1);
                fence_async_proxy();
                named_barrier_sync(1, 128);
                named_barrier_arrive(2, 128);
                out[0] = in[0];
                """);
        bodies.put("ptx/tma.cuh", """
                __shared__ alignas(1024) u8 tile[1024];
                __shared__ u64 barrier;
                tma_prefetch_descriptor(&map);
                tma_load_2d(tile, &map, &barrier, 1, 2);
                tma_load_3d(tile, &map, &barrier, 1, 2, 3, CacheHint::EVICT_FIRST);
                tma_load_4d(tile, &map, &barrier, 1, 2, 3, 4);
                tma_load_2d_multicast(tile, &map, &barrier, 1, 2, 3, CacheHint::EVICT_LAST);
                bulk_load(tile, in, 1024, &barrier);
                mbarrier_wait(&barrier, 0);
                tma_store_2d(&map, tile, 5, 6);
                tma_store_commit();
                tma_store_wait_read<0>();
                tma_store_wait<0>();
                out[0] = in[0];
                """);
        bodies.put("ptx/ldmatrix.cuh", """
                __shared__ alignas(16) u8 tile[1024];
                u32 a[4], b[2];
                ldmatrix_x4(a, tile + threadIdx.x * 16);
                ldmatrix_x2(b, tile + threadIdx.x % 16 * 16);
                stmatrix_x4(tile + threadIdx.x * 16, a);
                ldmatrix_x4_trans(a, tile + threadIdx.x * 16);
                stmatrix_x4_trans(tile + threadIdx.x * 16, a);
                out[0] = float(a[0] + b[1]);
                """);
        bodies.put("ptx/mma_f16.cuh", """
                float d[4] = {in[0], in[1], in[2], in[3]};
                mma_f16_m16n8k16(d, u32(in[4]), u32(in[5]), u32(in[6]), u32(in[7]), u32(in[8]), transpose_8x8(u32(in[9])));
                out[0] = d[0] + d[1] + d[2] + d[3];
                """);
        bodies.put("pipeline/stage.cuh", """
                Stage<3> full = Stage<3>::consumer(), empty = Stage<3>::producer();
                for (int i = 0; i < int(in[0]); i++) { full.advance(); empty.advance(); }
                out[full.index] = float(empty.phase);
                """);
        bodies.put("ptx/bytes.cuh", "out[0] = float(permute_bytes(u32(in[0]), u32(in[1]), u32(in[2])) + spread_signs(u32(in[3])));");
        bodies.put("quant/int4.cuh", """
                float magnitudes[8];
                for (int i = 0; i < 8; i++) { magnitudes[i] = in[i]; }
                u32 lo, hi;
                Int4Table<false>::of_scale(in[8], magnitudes).decode(u32(in[9]), lo, hi);
                out[0] = float(lo) + float(hi);
                Int4Table<true>::of_scale(in[8], magnitudes).decode(u32(in[9]), lo, hi);
                out[1] = float(lo) + float(hi);
                """);
        return bodies;
    }

    public static void main(String[] args) throws Exception {
        NvrtcCompiler compiler = new NvrtcCompiler(Path.of(args[1]), List.of(Path.of(args[0])));
        for (var body : bodies().entrySet()) {
            String entry = """
                    #include "fireq/%s"
                    #include "fireq/common/types.cuh"
                    namespace fireq {
                    template <int MAX_THREADS>
                    __global__ void __launch_bounds__(MAX_THREADS, 1)
                        use(float* out, const float* in, const __grid_constant__ TensorMap map) {
                    %s}
                    }
                    """.formatted(body.getKey(), body.getValue());
            KernelSource source = KernelSource.of(List.of(Path.of(args[0])), entry, "fireq::use<256>");
            CompiledKernel kernel = compiler.compile(body.getKey().replace('/', '_'), source, "none");
            System.out.printf("%s %d bytes of local memory %s%n", body.getKey(), kernel.info().stackBytes(),
                    kernel.findings());
        }
    }
}
