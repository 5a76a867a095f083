package io.fireq.engine.golden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.GenerationResult;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.runtime.LoadedModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The unquantized float32 mode reproduces Hugging Face transformers: every greedy id, the largest logits to 1e-3. */
class GoldenTest {
    private static final Path STORIES = Path.of("src/test/resources/models/stories260K");
    private static final Path EMBER = Path.of("../../shared/models/ember-29m");
    private static final Path EMBER_GOLDEN = Path.of("src/test/resources/golden/ember-golden.json");

    @ParameterizedTest
    @EnumSource(names = {"PLAIN", "VECTOR"})
    void stories260K_reproduces_every_greedy_id_and_the_first_logits(CpuKernelChoice kernels) throws IOException {
        EngineOptions options = float32(STORIES, kernels);
        JsonNode golden = new ObjectMapper().readTree(STORIES.resolve("golden_greedy.json").toFile());
        try (LoadedModel model = FireqEngines.load(options)) {
            for (JsonNode one : golden) {
                assertLogits(model, ints(one.get("prompt_ids")), one.get("first_logits_top10"));
            }
        }
        try (FireqEngine engine = FireqEngines.open(options)) {
            for (JsonNode one : golden) {
                assertThat(engine.encodePrompt(one.get("prompt").asText())).isEqualTo(ints(one.get("prompt_ids")));
                assertGreedy(engine, one);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"PLAIN", "VECTOR"})
    void ember_reproduces_every_greedy_id_and_the_last_prompt_logits(CpuKernelChoice kernels) throws IOException {
        requireEmber();
        EngineOptions options = float32(EMBER, kernels);
        JsonNode chats = new ObjectMapper().readTree(EMBER_GOLDEN.toFile()).get("chats");
        try (LoadedModel model = FireqEngines.load(options)) {
            for (JsonNode chat : chats) {
                assertLogits(model, ints(chat.get("prompt_ids")), chat.get("last_logits_top8"));
            }
        }
        try (FireqEngine engine = FireqEngines.open(options)) {
            List<Running> running = new ArrayList<>(); // all at once: batch mates must not matter
            for (JsonNode chat : chats) {
                running.add(new Running(chat, submit(engine, chat)));
            }
            for (Running one : running) {
                assertThat(one.result.join().tokens()).as(one.chat.get("greedy_text").asText())
                        .isEqualTo(ints(one.chat.get("greedy_ids")));
                assertThat(one.result.join().text()).isEqualTo(one.chat.get("greedy_text").asText());
            }
        }
    }

    @Test
    void quantized_answers_do_not_depend_on_batch_mates_chunks_or_kv_blocks() throws IOException {
        JsonNode chats = new ObjectMapper().readTree(EMBER_GOLDEN.toFile()).get("chats");
        requireEmber();
        List<int[]> alone = new ArrayList<>();
        List<int[]> together = new ArrayList<>();
        Path cache = Path.of("target/test-model-cache");
        EngineOptions.Builder options = EngineOptions.builder(EMBER.toString()).cacheDir(cache);
        try (FireqEngine engine = FireqEngines.open(options.build())) {
            for (JsonNode chat : chats) {
                alone.add(submit(engine, chat).join().tokens());
            }
        }
        // 37 token rows a step cut every longer prompt, blocks of 5 tokens cut them elsewhere.
        try (FireqEngine engine = FireqEngines.open(options.maxBatchTokens(37).kvBlockSize(5).build())) {
            List<CompletableFuture<GenerationResult>> results = new ArrayList<>();
            for (JsonNode chat : chats) {
                results.add(submit(engine, chat));
            }
            results.forEach(result -> together.add(result.join().tokens()));
        }
        for (int i = 0; i < alone.size(); i++) {
            assertThat(together.get(i)).as("chat %d", i).isEqualTo(alone.get(i));
        }
    }

    private static void assertLogits(LoadedModel model, int[] prompt, JsonNode top) {
        int nTokens = prompt.length;
        int[] positions = IntStream.range(0, nTokens).toArray();
        int[] blocks = IntStream.range(0, (nTokens + 15) / 16).toArray();
        Backend.Logits logits = model.model().forward(new Batch(prompt, positions, positions, new int[] {0, nTokens},
                new int[] {nTokens}, new int[][] {blocks}, new int[] {nTokens - 1}));
        float[] row = new float[model.info().vocabSize()];
        logits.copyRow(0, row);
        for (JsonNode entry : top) {
            assertThat((double) row[entry.get(0).asInt()]).as("logit of token %d", entry.get(0).asInt())
                    .isCloseTo(entry.get(1).asDouble(), within(1e-3));
        }
    }

    private static void assertGreedy(FireqEngine engine, JsonNode golden) {
        int[] expected = ints(golden.get("greedy_ids"));
        GenerationResult result = engine.submit(new GenerationRequest(ints(golden.get("prompt_ids")),
                SamplingParams.GREEDY, expected.length, List.of(), true), NOTHING).completion().join();
        assertThat(result.tokens()).isEqualTo(expected);
        String prompt = golden.get("prompt").asText(); // the golden text repeats it, SentencePiece's first space included
        assertThat((prompt.isEmpty() ? "" : " " + prompt) + result.text()).isEqualTo(golden.get("text").asText());
    }

    private static CompletableFuture<GenerationResult> submit(FireqEngine engine, JsonNode chat) {
        return engine.submit(new GenerationRequest(ints(chat.get("prompt_ids")), SamplingParams.GREEDY,
                chat.get("greedy_ids").size()), NOTHING).completion();
    }

    private static EngineOptions float32(Path model, CpuKernelChoice kernels) {
        return EngineOptions.builder(model.toString()).numerics(Numerics.FLOAT32).cpuKernels(kernels)
                .device(EngineOptions.Device.CPU).build();
    }

    private static void requireEmber() {
        boolean present = Files.isDirectory(EMBER);
        if (!present) {
            System.out.println("Skipped: the unquantized Ember checkpoint is not beside this repository at " + EMBER);
        }
        Assumptions.assumeTrue(present, "no " + EMBER);
    }

    private static int[] ints(JsonNode array) {
        int[] values = new int[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).asInt();
        }
        return values;
    }

    private static final GenerationListener NOTHING = new GenerationListener() {
        @Override
        public void onFinished(GenerationResult result) {}

        @Override
        public void onError(Throwable error) {}
    };

    private record Running(JsonNode chat, CompletableFuture<GenerationResult> result) {}
}
