package io.fireq.engine.kv;

import java.util.Arrays;

/** The KV blocks of one sequence, in token order. Filled and emptied by {@link KvCacheManager} only. */
public final class KvBlockTable {
    private int[] blocks = new int[4];
    private int size;

    /** Number of blocks. */
    public int size() {
        return size;
    }

    /** Block number {@code index} of the sequence. */
    public int get(int index) {
        if (index >= size) {
            throw new IndexOutOfBoundsException("KV block %d of a table of %d".formatted(index, size));
        }
        return blocks[index];
    }

    /**
     * The array behind, so that a step copies nothing: its first {@link #size} entries are the blocks. The caller must not
     * change it, and only reads it before the table changes again.
     */
    public int[] blocks() {
        return blocks;
    }

    void add(int kvBlock) {
        if (size == blocks.length) {
            blocks = Arrays.copyOf(blocks, size * 2);
        }
        blocks[size++] = kvBlock;
    }

    int removeLast() {
        return blocks[--size];
    }
}
