package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.CUDA_SUCCESS;
import static org.bytedeco.cuda.global.cudart.cuDeviceGetCount;
import static org.bytedeco.cuda.global.cudart.cuDriverGetVersion;
import static org.bytedeco.cuda.global.cudart.cuInit;

import io.fireq.kernels.DeviceException;

/** The part of {@link CudaProbe} that calls the driver; a class of its own so that the other part loads without. */
final class DriverProbe {
    private DriverProbe() {}

    static CudaProbe probe(int ordinal, long requiredBytes) {
        int result = cuInit(0);
        if (result != CUDA_SUCCESS) {
            return CudaProbe.no("no CUDA device (cuInit: %s)".formatted(CudaDriver.errorName(result)));
        }
        try {
            int[] version = new int[1];
            CudaDriver.check(cuDriverGetVersion(version), "cuDriverGetVersion");
            return CudaProbe.judgeDriver(version[0]).orElseGet(() -> probeDevice(ordinal, requiredBytes));
        } catch (DeviceException e) {
            return CudaProbe.no("the GPU does not answer: " + e.getMessage());
        }
    }

    private static CudaProbe probeDevice(int ordinal, long requiredBytes) {
        int[] count = new int[1];
        CudaDriver.check(cuDeviceGetCount(count), "cuDeviceGetCount");
        if (ordinal >= count[0]) {
            return CudaProbe.no("no CUDA device %d: the driver reports %d".formatted(ordinal, count[0]));
        }
        CudaDevice device = CudaDevice.query(ordinal);
        CudaProbe facts = CudaProbe.judge(device, device.totalBytes(), 0);
        if (facts.device().isEmpty() || requiredBytes == 0) {
            return facts;
        }
        try (CudaContext context = CudaContext.open(device)) {
            return CudaProbe.judge(device, context.freeBytes(), requiredBytes);
        }
    }
}
