package io.fireq.engine.backend;

/**
 * Shape and format of the paged KV cache.
 *
 * @param nLayers     layers
 * @param nKvHeads    K/V heads per layer
 * @param headDim     values per head
 * @param nBlocks     KV blocks in the pool
 * @param kvBlockSize tokens per KV block
 * @param format      how one head's K or V vector is stored
 */
public record KvCacheSpec(int nLayers, int nKvHeads, int headDim, int nBlocks, int kvBlockSize, KvFormat format) {}
