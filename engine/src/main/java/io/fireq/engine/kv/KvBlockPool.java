package io.fireq.engine.kv;

import java.util.BitSet;

/** The free list of KV blocks: O(1) allocate and free. Not thread-safe; the engine loop owns it. */
final class KvBlockPool {
    private final int[] freeStack;
    private final BitSet allocated;
    private int nFree;

    KvBlockPool(int nBlocks) {
        freeStack = new int[nBlocks];
        allocated = new BitSet(nBlocks);
        for (int i = 0; i < nBlocks; i++) {
            freeStack[i] = nBlocks - 1 - i; // low block numbers first
        }
        nFree = nBlocks;
    }

    int size() {
        return freeStack.length;
    }

    int free() {
        return nFree;
    }

    int allocate() {
        if (nFree == 0) {
            throw new IllegalStateException("KV block pool: allocate from an empty pool; callers check free() first");
        }
        int kvBlock = freeStack[--nFree];
        allocated.set(kvBlock);
        return kvBlock;
    }

    void free(int kvBlock) {
        if (!allocated.get(kvBlock)) {
            throw new IllegalStateException("KV block pool: block " + kvBlock + " is freed but not allocated");
        }
        allocated.clear(kvBlock);
        freeStack[nFree++] = kvBlock;
    }
}
