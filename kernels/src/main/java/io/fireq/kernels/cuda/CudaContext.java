package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.cuCtxSetCurrent;
import static org.bytedeco.cuda.global.cudart.cuCtxSynchronize;
import static org.bytedeco.cuda.global.cudart.cuDevicePrimaryCtxRelease;
import static org.bytedeco.cuda.global.cudart.cuDevicePrimaryCtxRetain;
import static org.bytedeco.cuda.global.cudart.cuMemGetInfo;

import io.fireq.kernels.catalog.CubinIndex;
import io.fireq.kernels.catalog.KernelSpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.cuda.cudart.CUctx_st;
import org.bytedeco.javacpp.SizeTPointer;

/**
 * A reference to a device's primary context, the memory allocated through it, and the kernels loaded into it.
 *
 * <p>Closing gives back the modules and the reference; buffers, streams and graphs are closed by their owners before.
 */
public final class CudaContext implements AutoCloseable {
    private final CudaDevice device;
    private final CUctx_st handle = new CUctx_st();
    private final CubinIndex index = CubinIndex.fromClassPath();
    private final Map<String, CudaModule> modules = new HashMap<>();
    private final Map<String, KernelFunction> kernels = new HashMap<>();
    private final Set<DeviceBuffer> liveBuffers = new LinkedHashSet<>();

    private CudaContext(CudaDevice device) {
        this.device = device;
    }

    /** Opens the primary context of a probed device and makes it current on this thread. */
    public static CudaContext open(CudaDevice device) {
        CudaContext context = new CudaContext(device);
        CudaDriver.check(cuDevicePrimaryCtxRetain(context.handle, device.ordinal()),
                "cuDevicePrimaryCtxRetain(" + device.ordinal() + ")", context);
        context.makeCurrent();
        return context;
    }

    /** The device. */
    public CudaDevice device() {
        return device;
    }

    /** Lets the calling thread use this context. */
    public void makeCurrent() {
        CudaDriver.check(cuCtxSetCurrent(handle), "cuCtxSetCurrent", this);
    }

    /** Waits for everything that was started in this context; an earlier kernel's fault surfaces here. */
    public void synchronize() {
        CudaDriver.check(cuCtxSynchronize(), "cuCtxSynchronize", this);
    }

    /** Memory that is free on the device now. */
    public long freeBytes() {
        try (SizeTPointer free = new SizeTPointer(1); SizeTPointer total = new SizeTPointer(1)) {
            CudaDriver.check(cuMemGetInfo(free, total), "cuMemGetInfo", this);
            return free.get();
        }
    }

    /** A new stream that does not wait for the default stream. */
    public CudaStream newStream() {
        return new CudaStream(this);
    }

    /** A new event. */
    public CudaEvent newEvent() {
        return new CudaEvent(this);
    }

    /**
     * Allocates device memory, uninitialised.
     *
     * @param label what it holds, for messages and {@link #liveBuffers()}
     */
    public DeviceBuffer allocate(String label, long byteSize) {
        return DeviceBuffer.allocate(this, label, byteSize);
    }

    /** Allocates page-locked host memory. */
    public PinnedBuffer allocatePinned(String label, int byteSize) {
        return new PinnedBuffer(this, label, byteSize);
    }

    /** Loads a kernel, once. */
    public KernelFunction kernel(KernelSpec spec) {
        return kernels.computeIfAbsent(spec.id(), id -> {
            String symbol = index.find(id)
                    .orElseThrow(() -> new IllegalStateException("Kernel " + id + " is not among the "
                            + index.kernels().size() + " built ones; add it to KernelManifest and rebuild"))
                    .symbol();
            CudaModule module = modules.computeIfAbsent(id, i -> new CudaModule(this, i, CubinIndex.cubin(i)));
            return module.function(symbol);
        });
    }

    /** Labels and sizes of the buffers that are allocated and not closed, oldest first. */
    public List<String> liveBuffers() {
        List<String> labels = new ArrayList<>();
        liveBuffers.forEach(buffer -> labels.add(buffer.toString()));
        return labels;
    }

    void track(DeviceBuffer buffer) {
        liveBuffers.add(buffer);
    }

    void untrack(DeviceBuffer buffer) {
        liveBuffers.remove(buffer);
    }

    @Override
    public void close() {
        modules.values().forEach(CudaModule::close);
        modules.clear();
        kernels.clear();
        CudaDriver.check(cuDevicePrimaryCtxRelease(device.ordinal()),
                "cuDevicePrimaryCtxRelease(" + device.ordinal() + ")", this);
        handle.close();
    }
}
