package io.fireq.kernels.catalog;

/**
 * What the compiler said about one kernel.
 *
 * @param id              {@link KernelSpec#id()}
 * @param symbol          name of the function in its cubin
 * @param sourceHash      hash of everything the cubin was made from
 * @param registers       registers per thread
 * @param stackBytes      local memory per thread
 * @param spillStoreBytes bytes per thread written by register spills
 * @param spillLoadBytes  bytes per thread read by register spills
 * @param smemBytes       static shared memory per CTA
 */
public record KernelInfo(String id, String symbol, String sourceHash, int registers, int stackBytes,
        int spillStoreBytes, int spillLoadBytes, int smemBytes) {

    /** Whether the kernel uses local memory, for spills or for arrays it indexes dynamically. */
    public boolean usesLocalMemory() {
        return stackBytes + spillStoreBytes + spillLoadBytes > 0;
    }
}
