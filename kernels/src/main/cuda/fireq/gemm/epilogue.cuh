// What happens to a linear layer's float32 result before it is stored; the order is that of the Java enum.
#pragma once

namespace fireq {

enum Epilogue { STORE = 0, RESIDUAL_ADD = 1, SILU_MUL = 2 };

}  // namespace fireq
