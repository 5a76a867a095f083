package io.fireq.engine.backend;

/**
 * What a device can do at most, for rooflines.
 *
 * @param name             the device
 * @param interfaceVersion of its driver, such as "CUDA 13.0"
 * @param clockMhz         highest clock; 0 where it is not known, as the others
 * @param bytesPerSecond   between memory and chip
 * @param flopsPerSecond   of e4m3 products, a multiply-add being two
 * @param cacheBytes       last cache before the memory
 */
public record Hardware(String name, String interfaceVersion, double clockMhz, double bytesPerSecond,
        double flopsPerSecond, long cacheBytes) {

    /** Microseconds that this work takes at least; 0 where that is not known. */
    public double leastMicros(double flops, double bytes) {
        return bytesPerSecond == 0 || flopsPerSecond == 0
                ? 0
                : Math.max(flops / flopsPerSecond, bytes / bytesPerSecond) * 1e6;
    }
}
