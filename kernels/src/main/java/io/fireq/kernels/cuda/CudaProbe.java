package io.fireq.kernels.cuda;

import io.fireq.kernels.catalog.CubinIndex;
import java.util.Locale;
import java.util.Optional;

/**
 * Answers once whether this host has a GPU that FireQ's kernels run on and, if not, why not. Never throws. A host
 * without an NVIDIA driver loads no CUDA class.
 *
 * @param device the GPU; empty where there is none to use
 * @param reason one sentence: the device, or what is missing with the actual and the required value
 */
public record CudaProbe(Optional<CudaDevice> device, String reason) {
    /** Oldest driver that loads the cubins: CUDA 12.0, R525. */
    static final int MIN_DRIVER_VERSION = 12_000;

    private static final int HOPPER = 9;

    /** Looks at device 0. */
    public static CudaProbe probe() {
        return probe(0, 0);
    }

    /**
     * Looks at one device.
     *
     * @param ordinal       the driver's index
     * @param requiredBytes free memory that the caller needs; 0 to not ask
     */
    public static CudaProbe probe(int ordinal, long requiredBytes) {
        String os = System.getProperty("os.name");
        String arch = System.getProperty("os.arch");
        if (!os.toLowerCase(Locale.ROOT).equals("linux") || !arch.equals("amd64")) {
            return no("no CUDA on %s %s: FireQ's kernels run on Linux x86-64".formatted(os, arch));
        }
        if (LibCuda.find().isEmpty()) {
            return no("no NVIDIA driver (libcuda.so.1 is neither in LD_LIBRARY_PATH nor known to the dynamic linker); "
                    + "install one, R525 or newer");
        }
        if (CubinIndex.fromClassPath().kernels().isEmpty()) {
            return no("this build has no cubins; build the kernels module on Linux x86-64");
        }
        try {
            return DriverProbe.probe(ordinal, requiredBytes);
        } catch (LinkageError e) {
            return no("the CUDA libraries do not load: " + firstCause(e));
        }
    }

    static CudaProbe no(String reason) {
        return new CudaProbe(Optional.empty(), reason);
    }

    /** Judges a device's facts. */
    static CudaProbe judge(CudaDevice device, long freeBytes, long requiredBytes) {
        if (device.ccMajor() != HOPPER || device.ccMinor() != 0) {
            return no("%s has compute capability %d.%d; the kernels are built for 9.0 (H100, H200)".formatted(
                    device.describe(), device.ccMajor(), device.ccMinor()));
        }
        if (freeBytes < requiredBytes) {
            return no("%s has %,d of %,d bytes free, required %,d; end other programs on it or lower the demand".formatted(
                    device.describe(), freeBytes, device.totalBytes(), requiredBytes));
        }
        return new CudaProbe(Optional.of(device), device.describe());
    }

    /** Judges the driver's version before there is a device to ask about. */
    static Optional<CudaProbe> judgeDriver(int driverVersion) {
        return driverVersion >= MIN_DRIVER_VERSION
                ? Optional.empty()
                : Optional.of(no("the NVIDIA driver knows CUDA up to %d.%d, required 12.0; install R525 or newer".formatted(
                        driverVersion / 1000, driverVersion % 1000 / 10)));
    }

    private static String firstCause(Throwable e) {
        Throwable cause = e;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause.toString();
    }
}
