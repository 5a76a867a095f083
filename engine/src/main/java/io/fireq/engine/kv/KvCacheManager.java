package io.fireq.engine.kv;

/** Gives KV blocks to sequences and takes them back. Not thread-safe; the engine loop owns it. */
public final class KvCacheManager {
    private final KvBlockPool pool;
    private final int kvBlockSize;

    /**
     * @param nBlocks     blocks in the pool
     * @param kvBlockSize tokens per block
     */
    public KvCacheManager(int nBlocks, int kvBlockSize) {
        this.pool = new KvBlockPool(nBlocks);
        this.kvBlockSize = kvBlockSize;
    }

    /**
     * Grows the table until it holds {@code nTokens} tokens.
     *
     * @return false, with nothing changed, if the pool has too few free blocks
     */
    public boolean reserve(KvBlockTable table, int nTokens) {
        int missing = blocksFor(nTokens) - table.size();
        if (missing > pool.free()) {
            return false;
        }
        for (int i = 0; i < missing; i++) {
            table.add(pool.allocate());
        }
        return true;
    }

    /** Takes all blocks back. */
    public void release(KvBlockTable table) {
        while (table.size() > 0) {
            pool.free(table.removeLast());
        }
    }

    /** The pool slot of a sequence's token: {@code kvBlock · kvBlockSize + offset}. */
    public int slot(KvBlockTable table, int position) {
        return table.get(position / kvBlockSize) * kvBlockSize + position % kvBlockSize;
    }

    /** Blocks that {@code nTokens} tokens need. */
    public int blocksFor(int nTokens) {
        return (nTokens + kvBlockSize - 1) / kvBlockSize;
    }

    /** Tokens that the whole pool holds. */
    public int capacityTokens() {
        return Math.multiplyExact(pool.size(), kvBlockSize);
    }

    public int kvBlockSize() {
        return kvBlockSize;
    }

    public int freeBlocks() {
        return pool.free();
    }

    public int totalBlocks() {
        return pool.size();
    }
}
