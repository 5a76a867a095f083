package io.fireq.engine.scheduler;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.kv.KvCacheManager;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SchedulerTest {
    private static final int KV_BLOCK_SIZE = 4;

    @Test
    void prefills_a_long_prompt_in_chunks_and_samples_after_the_last() {
        Scheduler scheduler = new Scheduler(new KvCacheManager(8, KV_BLOCK_SIZE), 5, 2);
        Sequence sequence = new Sequence(1, new int[12], 20);
        scheduler.add(sequence);

        List<Integer> chunks = new ArrayList<>();
        StepPlan plan;
        do {
            plan = scheduler.plan();
            chunks.add(plan.nTokens());
            scheduler.commit(plan, plan.entries().get(0).samples() ? new int[] {7} : new int[0]);
        } while (sequence.nGenerated() == 0);

        assertThat(chunks).containsExactly(5, 5, 2);
        assertThat(sequence.nComputed()).isEqualTo(12);
        assertThat(sequence.generatedTokens()).containsExactly(7);
        assertThat(scheduler.plan().nTokens()).as("decode").isEqualTo(1);
    }

    @Test
    void decodes_running_sequences_before_admitting_new_ones() {
        Scheduler scheduler = new Scheduler(new KvCacheManager(16, KV_BLOCK_SIZE), 6, 3);
        Sequence first = new Sequence(1, new int[3], 10);
        scheduler.add(first);
        scheduler.commit(scheduler.plan(), new int[] {1});
        Sequence second = new Sequence(2, new int[9], 20);
        scheduler.add(second);

        StepPlan plan = scheduler.plan();

        assertThat(plan.entries()).extracting(StepPlan.Entry::sequence).containsExactly(first, second);
        assertThat(plan.entries()).extracting(StepPlan.Entry::nTokens).containsExactly(1, 5);
        assertThat(plan.entries()).extracting(StepPlan.Entry::samples).containsExactly(true, false);
    }

    @Test
    void preempts_the_youngest_when_the_pool_runs_dry_and_recomputes_it() {
        KvCacheManager kvCache = new KvCacheManager(4, KV_BLOCK_SIZE);
        Scheduler scheduler = new Scheduler(kvCache, 64, 4);
        Sequence old = new Sequence(1, new int[8], 16);
        Sequence young = new Sequence(2, new int[8], 16);
        scheduler.add(old);
        scheduler.add(young);
        scheduler.commit(scheduler.plan(), new int[] {1, 2}); // pool full: 2 + 2 blocks

        StepPlan plan = scheduler.plan();
        assertThat(plan.entries()).extracting(StepPlan.Entry::sequence).containsExactly(old);
        assertThat(young.nComputed()).isZero();
        assertThat(young.generatedTokens()).containsExactly(2);
        scheduler.commit(plan, new int[] {3});

        scheduler.remove(old);
        StepPlan recompute = scheduler.plan();
        assertThat(recompute.entries()).containsExactly(new StepPlan.Entry(young, 9, true));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void random_traces_leak_no_block_and_end_every_sequence(long seed) {
        Random random = new Random(seed);
        int nBlocks = 6 + random.nextInt(20);
        int maxBatchTokens = 1 + random.nextInt(24);
        int maxRunning = 1 + random.nextInt(6);
        KvCacheManager kvCache = new KvCacheManager(nBlocks, KV_BLOCK_SIZE);
        Scheduler scheduler = new Scheduler(kvCache, maxBatchTokens, maxRunning);
        Map<Sequence, Integer> live = new HashMap<>();
        int toArrive = 60;
        int steps = 0;
        while (toArrive > 0 || !live.isEmpty()) {
            assertThat(++steps).as("seed %d: every accepted sequence ends", seed).isLessThan(20_000);
            while (toArrive > 0 && random.nextInt(3) == 0) {
                int promptLen = 1 + random.nextInt(kvCache.capacityTokens() - 1);
                int maxLen = Math.min(kvCache.capacityTokens(), promptLen + 1 + random.nextInt(12));
                Sequence sequence = new Sequence(toArrive--, new int[promptLen], maxLen);
                live.put(sequence, maxLen);
                scheduler.add(sequence);
            }
            if (!live.isEmpty() && random.nextInt(20) == 0) { // a cancellation
                Sequence victim = live.keySet().stream().min((a, b) -> Long.compare(a.id(), b.id())).orElseThrow();
                scheduler.remove(victim);
                live.remove(victim);
            }
            StepPlan plan = scheduler.plan();
            assertThat(plan.isEmpty()).as("seed %d: progress while there is work", seed).isEqualTo(live.isEmpty());
            assertThat(plan.nTokens()).isLessThanOrEqualTo(maxBatchTokens);
            assertThat(plan.entries().size()).isLessThanOrEqualTo(maxRunning);
            assertBlocksAreConsistent(kvCache, live.keySet());
            for (StepPlan.Entry entry : plan.entries()) {
                Sequence sequence = entry.sequence();
                assertThat(entry.nTokens()).isPositive();
                assertThat(sequence.blockTable().size())
                        .isGreaterThanOrEqualTo(kvCache.blocksFor(sequence.nComputed() + entry.nTokens()));
            }
            scheduler.commit(plan, new int[plan.entries().size()]);
            for (StepPlan.Entry entry : plan.entries()) {
                Sequence sequence = entry.sequence();
                if (entry.samples() && (sequence.isFull() || random.nextInt(10) == 0)) {
                    assertThat(sequence.nKnown()).isLessThanOrEqualTo(live.remove(sequence));
                    scheduler.remove(sequence);
                }
            }
        }
        assertThat(kvCache.freeBlocks()).as("seed %d", seed).isEqualTo(nBlocks);
    }

    private static void assertBlocksAreConsistent(KvCacheManager kvCache, Set<Sequence> live) {
        Set<Integer> used = new HashSet<>();
        for (Sequence sequence : live) {
            for (int i = 0; i < sequence.blockTable().size(); i++) {
                int kvBlock = sequence.blockTable().get(i);
                assertThat(used.add(kvBlock)).as("block %d belongs to one sequence", kvBlock).isTrue();
            }
        }
        assertThat(used.size() + kvCache.freeBlocks()).isEqualTo(kvCache.totalBlocks());
    }
}
