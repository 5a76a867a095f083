package io.fireq.kernels.gemm;

/** What happens to a linear layer's float32 result before it is stored; the order is that of the CUDA enum. */
public enum Epilogue {
    /** Store it. */
    STORE,
    /** Add it to what the output holds. */
    RESIDUAL_ADD,
    /** The weight's rows are {@code [gate; up]}: store {@code silu(gate) · up}, half as wide. */
    SILU_MUL
}
