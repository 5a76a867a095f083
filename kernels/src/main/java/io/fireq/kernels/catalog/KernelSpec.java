package io.fireq.kernels.catalog;

/**
 * One kernel to build: the template {@code fireq::kernel<Config>} of a source file.
 *
 * @param source path below {@code src/main/cuda/fireq}, {@code elementwise/silu_mul.cuh}
 * @param kernel name of the {@code __global__} template in namespace fireq
 * @param config its constants
 * @param hot    whether the build fails when it spills registers to local memory
 */
public record KernelSpec(String source, String kernel, KernelConfig config, boolean hot) {

    /** Name of the compiled kernel: file name of its cubin and its key in the index. */
    public String id() {
        String slug = config.slug();
        return slug.isEmpty() ? kernel : kernel + "-" + slug;
    }
}
