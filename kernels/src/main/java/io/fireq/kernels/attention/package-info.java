/** Attention over the paged INT4 KV cache, and that cache's layout. */
package io.fireq.kernels.attention;
