package io.fireq.kernels.jit;

import io.fireq.kernels.catalog.KernelInfo;

/**
 * One kernel's machine code.
 *
 * @param info     its name and resources
 * @param cubin    the ELF file
 * @param findings warnings of the compiler; empty when there are none
 */
public record CompiledKernel(KernelInfo info, byte[] cubin, String findings) {}
