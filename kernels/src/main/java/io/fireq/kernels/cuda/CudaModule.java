package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.cuModuleGetFunction;
import static org.bytedeco.cuda.global.cudart.cuModuleLoadData;
import static org.bytedeco.cuda.global.cudart.cuModuleUnload;

import org.bytedeco.cuda.cudart.CUfunc_st;
import org.bytedeco.cuda.cudart.CUmod_st;
import org.bytedeco.javacpp.BytePointer;

/** A cubin loaded into a context. */
public final class CudaModule implements AutoCloseable {
    private final CudaContext context;
    private final String name;
    private final CUmod_st handle = new CUmod_st();

    CudaModule(CudaContext context, String name, byte[] cubin) {
        this.context = context;
        this.name = name;
        try (BytePointer image = new BytePointer(cubin)) {
            CudaDriver.check(cuModuleLoadData(handle, image), "cuModuleLoadData(" + name + ")", context);
        }
    }

    /** A kernel of this module by its mangled name. */
    public KernelFunction function(String symbol) {
        CUfunc_st function = new CUfunc_st();
        CudaDriver.check(cuModuleGetFunction(function, handle, symbol),
                "cuModuleGetFunction(%s, %s)".formatted(name, symbol), context);
        return new KernelFunction(context, name, function);
    }

    @Override
    public void close() {
        CudaDriver.check(cuModuleUnload(handle), "cuModuleUnload(" + name + ")", context);
        handle.close();
    }
}
