package io.fireq.engine.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.EngineClosedException;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FinishReason;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.GenerationResult;
import io.fireq.engine.api.ModelInfo;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.bench.SyntheticWeights;
import io.fireq.engine.chat.ChatTemplate;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RopeScaling;
import io.fireq.engine.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What callers see of the engine, on a backend that predicts t + 1 after token t. */
@Timeout(60)
class DefaultFireqEngineTest {
    private static final int VOCAB_SIZE = 512;
    private static final int EOS = 2;
    private static final Path TOKENIZER = Path.of("src/test/resources/models/stories260K");

    /** One token of its logits is e times as likely as each other one, so that many different ones are drawn. */
    private static final SamplingParams DRAWN =
            new SamplingParams(1, 0, 0.95f, 0, 1.5f, 0.5f, 0.25f, OptionalLong.of(7));

    private final CountingBackend backend = new CountingBackend(VOCAB_SIZE);
    private DefaultFireqEngine engine;

    @AfterEach
    void close() {
        backend.steps.release(1_000_000);
        if (engine != null) {
            engine.close();
        }
    }

    @Test
    void generates_up_to_the_limit_and_counts_exactly() {
        open(64, 256);
        Recorder recorder = new Recorder();
        GenerationResult result = engine.submit(request(new int[] {100, 101}, 5), recorder).completion().join();

        assertThat(result.tokens()).containsExactly(102, 103, 104, 105, 106);
        assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
        assertThat(result.promptTokens()).isEqualTo(2);
        assertThat(String.join("", recorder.texts)).isEqualTo(result.text()).isEqualTo(engine.decode(result.tokens()));
        assertThat(recorder.terminalCalls).hasValue(1);
        assertThat(recorder.threads).hasSize(1).doesNotContain(Thread.currentThread().getName(), "fireq-engine");
        await(() -> engine.stats().finished() == 1);
        assertThat(engine.stats().generatedTokens()).isEqualTo(5);
        assertThat(engine.stats().promptTokens()).isEqualTo(2);
    }

    @Test
    void only_tokens_leave_the_backend_unless_there_is_none() {
        open(64, 256);
        assertThat(engine.submit(request(new int[] {100}, 4), new Recorder()).completion().join().tokens())
                .containsExactly(101, 102, 103, 104);
        engine.submit(new GenerationRequest(new int[] {100}, DRAWN, 3), new Recorder()).completion().join();
        assertThat(backend.copiedRows).hasValue(0);

        backend.nanAfterToken = 201; // no token to find: the row is looked at, and the request fails with its reason
        assertThatThrownBy(() -> engine.submit(request(new int[] {200}, 4), new Recorder()).completion().join())
                .hasMessageContaining("NaN");
        assertThat(backend.copiedRows).hasValue(1);
    }

    @Test
    void same_seed_and_request_give_the_same_tokens_whoever_shares_the_batch() {
        open(64, 64);
        GenerationRequest drawn = new GenerationRequest(new int[] {100, 101, 101}, DRAWN, 24, List.of(), true);
        int[] alone = engine.submit(drawn, new Recorder()).completion().join().tokens();
        assertThat(alone).hasSize(24).isNotEqualTo(engine.submit(new GenerationRequest(new int[] {100, 101, 101},
                DRAWN.withSeed(8), 24, List.of(), true), new Recorder()).completion().join().tokens());

        // Three of up to 28 tokens do not fit 64 KV slots: the youngest is preempted and computed again.
        backend.steps.drainPermits();
        List<GenerationHandle> company = List.of(
                engine.submit(request(new int[] {7}, 27), new Recorder()),
                engine.submit(new GenerationRequest(new int[] {9}, DRAWN.withSeed(5), 20, List.of(), true), new Recorder()),
                engine.submit(drawn, new Recorder()));
        backend.steps.release(1_000_000);
        assertThat(company.get(2).completion().join().tokens()).isEqualTo(alone);
    }

    @Test
    void ends_at_an_end_token_and_emits_nothing_for_it() {
        open(64, 256);
        GenerationResult result = engine.submit(request(new int[] {0}, 50), new Recorder()).completion().join();
        assertThat(result.tokens()).containsExactly(1, EOS);
        assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(result.text()).isEmpty();
    }

    @Test
    void fills_the_context_when_no_limit_is_given() {
        open(32, 256);
        GenerationResult result = engine.submit(request(new int[] {300, 301}, 0), new Recorder()).completion().join();
        assertThat(result.tokens()).hasSize(30);
        assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
    }

    @Test
    void a_stop_sequence_ends_the_answer_and_none_of_it_leaks() {
        open(64, 256);
        String whole = engine.submit(request(new int[] {399}, 20), new Recorder()).completion().join().text();
        String stop = whole.substring(6, 9);
        String expected = whole.substring(0, whole.indexOf(stop));
        Recorder recorder = new Recorder();
        GenerationResult result = engine.submit(new GenerationRequest(new int[] {399}, SamplingParams.GREEDY, 20,
                List.of(stop), false), recorder).completion().join();
        assertThat(result.text()).isEqualTo(expected);
        assertThat(String.join("", recorder.texts)).isEqualTo(expected);
        assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
    }

    @Test
    void many_requests_share_a_small_cache_and_none_disturbs_another() {
        open(64, 96); // room for about three at a time: some are preempted
        List<GenerationHandle> handles = IntStream.range(0, 20)
                .mapToObj(i -> engine.submit(request(IntStream.range(10 + i, 20 + i).toArray(), 30 + i % 7),
                        new Recorder()))
                .toList();
        for (int i = 0; i < handles.size(); i++) {
            int first = 20 + i;
            assertThat(handles.get(i).completion().join().tokens())
                    .isEqualTo(IntStream.range(first, first + 30 + i % 7).toArray());
        }
        await(() -> engine.stats().finished() == 20); // counters follow the step that completes a request
        assertThat(engine.stats().kvBlocksFree()).isEqualTo(engine.stats().kvBlocksTotal());
    }

    @Test
    void refuses_a_prompt_longer_than_the_context_and_stays_usable() {
        open(32, 256);
        assertThatThrownBy(() -> engine.submit(request(new int[32], 1), new Recorder()))
                .isInstanceOf(CapacityException.class)
                .hasMessageContaining("32 tokens").hasMessageContaining("shorten the prompt");
        assertThatThrownBy(() -> engine.submit(request(new int[] {VOCAB_SIZE}, 1), new Recorder()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("512");
        assertThat(engine.submit(request(new int[31], 1), new Recorder()).completion().join().tokens()).hasSize(1);
    }

    @Test
    void refuses_when_too_many_wait() {
        open(64, 64);
        backend.steps.drainPermits();
        CapacityException refused = null;
        for (int i = 0; i < 20 && refused == null; i++) {
            refused = (CapacityException) catchThrowable(
                    () -> engine.submit(request(new int[] {5}, 3), new Recorder()));
        }
        assertThat(refused).isNotNull();
        assertThat(refused.resource()).isEqualTo(CapacityException.Resource.QUEUE);
        assertThat(refused).hasMessageContaining("max-waiting is 8");
    }

    @Test
    void a_cancelled_request_ends_once_and_frees_its_memory() {
        open(64, 256);
        backend.steps.drainPermits();
        backend.steps.release(3);
        Recorder recorder = new Recorder();
        GenerationHandle handle = engine.submit(request(new int[] {100}, 50), recorder);
        await(() -> backend.steps.availablePermits() == 0 && engine.stats().generatedTokens() >= 2);
        handle.cancel();
        handle.cancel();
        int textsAtCancel = recorder.texts.size();
        backend.steps.release(100);
        GenerationResult result = handle.completion().join();
        assertThat(result.finishReason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(result.tokens().length).isLessThan(50);
        assertThat(recorder.terminalCalls).hasValue(1);
        assertThat(recorder.texts.size()).isLessThanOrEqualTo(textsAtCancel + 1);
        await(() -> engine.stats().kvBlocksFree() == engine.stats().kvBlocksTotal());
    }

    @Test
    void a_throwing_listener_harms_nobody() {
        open(64, 256);
        GenerationHandle bad = engine.submit(request(new int[] {100}, 5), new GenerationListener() {
            @Override
            public void onText(String text) {
                throw new IllegalStateException("user code");
            }

            @Override
            public void onFinished(GenerationResult result) {
                throw new IllegalStateException("user code");
            }

            @Override
            public void onError(Throwable error) {}
        });
        assertThat(bad.completion().join().tokens()).hasSize(5);
        assertThat(engine.submit(request(new int[] {7}, 5), new Recorder()).completion().join().tokens()).hasSize(5);
    }

    @Test
    void logits_that_are_no_numbers_end_one_request_only() {
        open(64, 256);
        backend.nanAfterToken = 103;
        GenerationHandle bad = engine.submit(request(new int[] {100}, 9), new Recorder());
        GenerationHandle good = engine.submit(request(new int[] {200}, 9), new Recorder());
        assertThatThrownBy(() -> bad.completion().join()).isInstanceOf(CompletionException.class)
                .hasMessageContaining("NaN");
        assertThat(good.completion().join().tokens()).hasSize(9);
        await(() -> engine.stats().finished() == 2);
        assertThat(engine.stats().kvBlocksFree()).isEqualTo(engine.stats().kvBlocksTotal());
    }

    @Test
    void a_failing_device_ends_every_request_once_and_closes_the_engine() {
        open(64, 256);
        backend.steps.drainPermits();
        List<Recorder> recorders = List.of(new Recorder(), new Recorder(), new Recorder());
        List<GenerationHandle> handles = recorders.stream()
                .map(recorder -> engine.submit(request(new int[] {9}, 5), recorder)).toList();
        backend.failure = new IllegalStateException("device lost");
        backend.steps.release(10);
        for (GenerationHandle handle : handles) {
            assertThatThrownBy(() -> handle.completion().join()).hasMessageContaining("device lost");
        }
        recorders.forEach(recorder -> assertThat(recorder.terminalCalls).hasValue(1));
        assertThatThrownBy(() -> engine.submit(request(new int[] {9}, 5), new Recorder()))
                .isInstanceOf(EngineClosedException.class).hasMessageContaining("device lost");
        await(() -> backend.closed);
    }

    @Test
    void closing_ends_what_runs_and_refuses_what_comes() {
        open(64, 256);
        backend.steps.drainPermits();
        GenerationHandle running = engine.submit(request(new int[] {9}, 50), new Recorder());
        Thread closer = new Thread(engine::close);
        closer.start();
        await(() -> closer.getState() == Thread.State.WAITING); // for the step that is held
        backend.steps.release(1);
        assertThatThrownBy(() -> running.completion().get(30, TimeUnit.SECONDS)).hasMessageContaining("closed");
        assertThatThrownBy(() -> engine.submit(request(new int[] {9}, 5), new Recorder()))
                .isInstanceOf(EngineClosedException.class);
        engine.close();
        assertThat(backend.closed).isTrue();
    }

    private void open(int maxModelLen, int kvTokens) {
        ModelConfig config = new ModelConfig("LlamaForCausalLM", 64, 96, 2, 4, 2, 16, VOCAB_SIZE, 512, 1e-5f, 10_000,
                new RopeScaling.None(), true, OptionalInt.of(1), new int[] {EOS});
        EngineOptions options = EngineOptions.builder("counting").maxRunning(4).maxWaiting(
                kvTokens == 64 ? 8 : 64).build();
        LlamaModel.Limits limits = new LlamaModel.Limits(24, maxModelLen, kvTokens / 16, 16);
        LlamaModel model = LlamaModel.load(config, new SyntheticWeights(1), backend, limits,
                new KvFormat(KvFormat.Kind.FLOAT32, 16), layer -> {});
        ModelInfo info = new ModelInfo("counting", maxModelLen, VOCAB_SIZE, 2, 64, 0, "none", Optional.empty());
        Tokenizer tokenizer = Tokenizer.load(TOKENIZER);
        engine = new DefaultFireqEngine(new LoadedModel(info, model, backend, limits, tokenizer,
                ChatTemplate.load(TOKENIZER, tokenizer), new int[] {EOS}), options,
                new BackendSelection("counting", "counting", "test", List.of()));
    }

    private static GenerationRequest request(int[] prompt, int maxNewTokens) {
        return new GenerationRequest(prompt, SamplingParams.GREEDY, maxNewTokens);
    }

    private static void await(java.util.function.BooleanSupplier condition) {
        while (!condition.getAsBoolean()) {
            Thread.onSpinWait();
        }
    }

    /** Remembers what it was told. */
    private static final class Recorder implements GenerationListener {
        final List<String> texts = Collections.synchronizedList(new ArrayList<>());
        final java.util.Set<String> threads = java.util.concurrent.ConcurrentHashMap.newKeySet();
        final AtomicInteger terminalCalls = new AtomicInteger();

        @Override
        public void onText(String text) {
            threads.add(Thread.currentThread().getName());
            texts.add(text);
        }

        @Override
        public void onFinished(GenerationResult result) {
            threads.add(Thread.currentThread().getName());
            terminalCalls.incrementAndGet();
        }

        @Override
        public void onError(Throwable error) {
            terminalCalls.incrementAndGet();
        }
    }
}
