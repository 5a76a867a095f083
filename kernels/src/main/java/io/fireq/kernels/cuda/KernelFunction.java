package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.CUDA_SUCCESS;
import static org.bytedeco.cuda.global.cudart.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
import static org.bytedeco.cuda.global.cudart.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
import static org.bytedeco.cuda.global.cudart.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
import static org.bytedeco.cuda.global.cudart.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
import static org.bytedeco.cuda.global.cudart.cuFuncGetAttribute;
import static org.bytedeco.cuda.global.cudart.cuFuncSetAttribute;
import static org.bytedeco.cuda.global.cudart.cuLaunchKernelEx;
import static org.bytedeco.cuda.global.cudart.cuOccupancyMaxActiveBlocksPerMultiprocessor;

import org.bytedeco.cuda.cudart.CUfunc_st;
import org.bytedeco.cuda.cudart.CUlaunchAttribute;
import org.bytedeco.cuda.cudart.CUlaunchConfig;
import org.bytedeco.javacpp.PointerPointer;

/** A kernel that can be launched. A launch allocates nothing. */
public final class KernelFunction {
    private static final int SMEM_WITHOUT_ASKING = 48 * 1024;
    private static final int MAX_ATTRIBUTES = 2;

    private final CudaContext context;
    private final String name;
    private final CUfunc_st handle;
    private final CUlaunchConfig config = new CUlaunchConfig();
    private final CUlaunchAttribute attributes = new CUlaunchAttribute(MAX_ATTRIBUTES);
    private final CUlaunchAttribute[] attribute = {attributes.getPointer(0), attributes.getPointer(1)};
    private LaunchShape configured;
    private CudaStream configuredStream;
    private final int staticSmemBytes;
    /** Dynamic shared memory. */
    private int allowedSmemBytes;

    KernelFunction(CudaContext context, String name, CUfunc_st handle) {
        this.context = context;
        this.name = name;
        this.handle = handle;
        config.attrs(attributes);
        int[] smemBytes = new int[1];
        CudaDriver.check(cuFuncGetAttribute(smemBytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, handle),
                "cuFuncGetAttribute(" + name + ")", context);
        staticSmemBytes = smemBytes[0];
        allowedSmemBytes = SMEM_WITHOUT_ASKING - staticSmemBytes;
    }

    /** Shared memory that a CTA can have besides what the kernel declares. */
    public int maxDynamicSmemBytes() {
        return context.device().smemBytesPerCta() - staticSmemBytes;
    }

    /** Queues the kernel. */
    public void launch(CudaStream stream, LaunchShape shape, KernelArgs args) {
        configure(stream, shape);
        int result = cuLaunchKernelEx(config, handle, args.pointers(), (PointerPointer<?>) null);
        if (result != CUDA_SUCCESS) {
            throw CudaDriver.failure(result, "cuLaunchKernelEx(%s, %s)".formatted(name, shape),
                    context.device().describe());
        }
    }

    /** CTAs of this shape that one SM can hold at a time. */
    public int ctasPerSm(int threads, int smemBytes) {
        allowSmem(smemBytes);
        int[] count = new int[1];
        CudaDriver.check(cuOccupancyMaxActiveBlocksPerMultiprocessor(count, handle, threads, smemBytes),
                "cuOccupancyMaxActiveBlocksPerMultiprocessor(" + name + ")", context);
        return count[0];
    }

    private void configure(CudaStream stream, LaunchShape shape) {
        if (stream != configuredStream) {
            config.hStream(stream.handle());
            configuredStream = stream;
        }
        if (shape.equals(configured)) {
            return;
        }
        allowSmem(shape.smemBytes());
        config.gridDimX(shape.gridX()).gridDimY(shape.gridY()).gridDimZ(shape.gridZ());
        config.blockDimX(shape.threads()).blockDimY(1).blockDimZ(1);
        config.sharedMemBytes(shape.smemBytes());
        int count = 0;
        if (shape.clusterX() > 1) {
            CUlaunchAttribute cluster = attribute[count++];
            cluster.id(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
            cluster.value().clusterDim_x(shape.clusterX()).clusterDim_y(1).clusterDim_z(1);
        }
        if (shape.overlap()) {
            CUlaunchAttribute overlap = attribute[count++];
            overlap.id(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
            overlap.value().programmaticStreamSerializationAllowed(1);
        }
        config.numAttrs(count);
        configured = shape;
    }

    private void allowSmem(int smemBytes) {
        if (smemBytes > allowedSmemBytes) {
            CudaDriver.check(cuFuncSetAttribute(handle, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, smemBytes),
                    "cuFuncSetAttribute(%s, smem=%,d of %,d)".formatted(name, smemBytes,
                            context.device().smemBytesPerCta()), context);
            allowedSmemBytes = smemBytes;
        }
    }
}
