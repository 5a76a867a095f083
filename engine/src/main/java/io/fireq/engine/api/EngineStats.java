package io.fireq.engine.api;

/**
 * A snapshot of the engine's counters.
 *
 * @param running         sequences that the current step may work on
 * @param waiting         requests that are not running yet
 * @param finished        requests ended since start, in any way
 * @param promptTokens    prompt tokens computed since start
 * @param generatedTokens tokens generated since start
 * @param kvBlocksFree    free KV blocks
 * @param kvBlocksTotal   KV blocks in the pool
 * @param kvBlockSize     tokens per KV block
 */
public record EngineStats(int running, int waiting, long finished, long promptTokens, long generatedTokens,
        int kvBlocksFree, int kvBlocksTotal, int kvBlockSize) {}
