package io.fireq.engine.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class KvCacheManagerTest {

    @Test
    void reserves_whole_blocks_and_maps_positions_to_slots() {
        KvCacheManager manager = new KvCacheManager(3, 16);
        KvBlockTable table = new KvBlockTable();
        assertThat(manager.reserve(table, 17)).isTrue();
        assertThat(table.size()).isEqualTo(2);
        assertThat(manager.slot(table, 0)).isEqualTo(table.get(0) * 16);
        assertThat(manager.slot(table, 18)).isEqualTo(table.get(1) * 16 + 2);
        assertThat(manager.reserve(table, 20)).as("already there").isTrue();
        assertThat(table.size()).isEqualTo(2);
    }

    @Test
    void changes_nothing_when_the_pool_is_too_small() {
        KvCacheManager manager = new KvCacheManager(3, 16);
        KvBlockTable first = new KvBlockTable();
        KvBlockTable second = new KvBlockTable();
        assertThat(manager.reserve(first, 32)).isTrue();
        assertThat(manager.reserve(second, 17)).isFalse();
        assertThat(second.size()).isZero();
        assertThat(manager.freeBlocks()).isEqualTo(1);
        manager.release(first);
        assertThat(manager.reserve(second, 17)).isTrue();
        assertThatThrownBy(() -> second.get(2)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void a_block_cannot_be_freed_twice() {
        KvBlockPool pool = new KvBlockPool(2);
        int kvBlock = pool.allocate();
        pool.free(kvBlock);
        assertThatThrownBy(() -> pool.free(kvBlock)).isInstanceOf(IllegalStateException.class);
        pool.allocate();
        pool.allocate();
        assertThatThrownBy(pool::allocate).isInstanceOf(IllegalStateException.class);
    }
}
