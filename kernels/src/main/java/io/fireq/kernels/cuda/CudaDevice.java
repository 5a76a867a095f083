package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.CUDA_SUCCESS;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_CLOCK_RATE;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE;
import static org.bytedeco.cuda.global.cudart.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
import static org.bytedeco.cuda.global.cudart.cuDeviceGet;
import static org.bytedeco.cuda.global.cudart.cuDeviceGetAttribute;
import static org.bytedeco.cuda.global.cudart.cuDeviceGetName;
import static org.bytedeco.cuda.global.cudart.cuDeviceTotalMem;
import static org.bytedeco.cuda.global.cudart.cuDriverGetVersion;

import java.nio.charset.StandardCharsets;
import org.bytedeco.javacpp.SizeTPointer;

/**
 * Facts about one GPU.
 *
 * @param ordinal         the driver's index
 * @param name            the marketing name
 * @param ccMajor         compute capability, 9 for Hopper
 * @param ccMinor         compute capability, 0 for Hopper
 * @param nSms            streaming multiprocessors
 * @param smemBytesPerCta most shared memory that one CTA can have
 * @param l2Bytes         L2 cache
 * @param totalBytes      memory
 * @param driverVersion   newest CUDA version the driver knows, {@code 1000 · major + 10 · minor}
 * @param clockKHz        highest clock of the SMs; 0 where the driver does not say, as the next two
 * @param memoryClockKHz  highest clock of the memory; it transfers twice per cycle
 * @param memoryBusBits   width of the memory's bus
 */
public record CudaDevice(int ordinal, String name, int ccMajor, int ccMinor, int nSms, int smemBytesPerCta, int l2Bytes,
        long totalBytes, int driverVersion, int clockKHz, int memoryClockKHz, int memoryBusBits) {
    /** Multiply-adds of two e4m3 per cycle and SM: four tensor cores of 1024. */
    private static final int FP8_FMA_PER_CYCLE = 4096;

    /** Asks the driver, which must be initialised. */
    static CudaDevice query(int ordinal) {
        int[] handle = new int[1];
        CudaDriver.check(cuDeviceGet(handle, ordinal), "cuDeviceGet(" + ordinal + ")");
        byte[] name = new byte[256];
        CudaDriver.check(cuDeviceGetName(name, name.length, handle[0]), "cuDeviceGetName(" + ordinal + ")");
        int length = 0;
        while (length < name.length && name[length] != 0) {
            length++;
        }
        int[] version = new int[1];
        CudaDriver.check(cuDriverGetVersion(version), "cuDriverGetVersion");
        try (SizeTPointer total = new SizeTPointer(1)) {
            CudaDriver.check(cuDeviceTotalMem(total, handle[0]), "cuDeviceTotalMem(" + ordinal + ")");
            return new CudaDevice(ordinal, new String(name, 0, length, StandardCharsets.UTF_8),
                    attribute(handle[0], CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                    attribute(handle[0], CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
                    attribute(handle[0], CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
                    attribute(handle[0], CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
                    attribute(handle[0], CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE), total.get(), version[0],
                    optional(handle[0], CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
                    optional(handle[0], CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE),
                    optional(handle[0], CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH));
        }
    }

    private static int attribute(int device, int attribute) {
        int[] value = new int[1];
        CudaDriver.check(cuDeviceGetAttribute(value, attribute, device), "cuDeviceGetAttribute(" + attribute + ")");
        return value[0];
    }

    /** For what only benchmarks look at; 0 where the driver does not say. */
    private static int optional(int device, int attribute) {
        int[] value = new int[1];
        return cuDeviceGetAttribute(value, attribute, device) == CUDA_SUCCESS ? value[0] : 0;
    }

    /** Bytes per second between memory and chip, at most; 0 where that is not known. */
    public double peakBytesPerSecond() {
        return 2e3 * memoryClockKHz * memoryBusBits / Byte.SIZE;
    }

    /** Operations per second of the FP8 tensor cores at the highest clock, a multiply-add being two; 0 where that is not known. */
    public double peakFp8FlopsPerSecond() {
        return 2e3 * clockKHz * nSms * FP8_FMA_PER_CYCLE;
    }

    /** For messages: {@code device 0 'NVIDIA H200' sm_90}. */
    public String describe() {
        return "device %d '%s' sm_%d%d".formatted(ordinal, name, ccMajor, ccMinor);
    }
}
