package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.EngineOptions.Device;
import io.fireq.engine.runtime.LoadedModel;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A real quantized model on both backends. The model is the directory that {@code -Dfireq.test.model} names, or the one
 * that the examples carry.
 */
@GpuTest
class CudaAgreementTest {
    /** As in {@link CudaModelTest}. */
    private static final double FLOOR = 0.02;
    private static final int MAX_NEW_TOKENS = 80;

    private static LoadedModel cpu;
    /** The same arithmetic with another order of sums: how far it parts is what the order alone does. */
    private static LoadedModel cpuReordered;
    private static LoadedModel cuda;
    private static LoadedModel cudaWithGraphs;

    @BeforeAll
    static void load() {
        Optional<String> model = model();
        if (model.isEmpty()) {
            System.out.println("Skipped CudaAgreementTest: no quantized model; name one with -Dfireq.test.model");
        }
        assumeTrue(model.isPresent());
        EngineOptions.Builder options = EngineOptions.builder(model.get()).kvCacheTokens(4096);
        cpu = FireqEngines.load(options.device(Device.CPU).cpuKernels(CpuKernelChoice.PLAIN).build());
        cpuReordered = FireqEngines.load(options.cpuKernels(CpuKernelChoice.VECTOR).build());
        cuda = FireqEngines.load(options.device(Device.CUDA).build());
        cudaWithGraphs = FireqEngines.load(options.device(Device.CUDA).cudaGraphs(true).build());
    }

    private static Optional<String> model() {
        String named = System.getProperty("fireq.test.model");
        if (named != null) {
            return Optional.of(named);
        }
        return Stream.of("examples", "../examples")
                .map(folder -> Path.of(folder, "src/main/resources/models/ember"))
                .filter(folder -> Files.exists(folder.resolve("config.json")))
                .map(Path::toString)
                .findFirst();
    }

    @AfterAll
    static void close() {
        for (LoadedModel model : new LoadedModel[] {cpu, cpuReordered, cuda, cudaWithGraphs}) {
            if (model != null) {
                model.close();
            }
        }
    }

    private static List<int[]> goldenPrompts() throws IOException {
        try (InputStream in = CudaAgreementTest.class.getResourceAsStream("/golden/ember-golden.json")) {
            List<int[]> prompts = new ArrayList<>();
            for (JsonNode chat : new ObjectMapper().readTree(in).get("chats")) {
                JsonNode ids = chat.get("prompt_ids");
                prompts.add(IntStream.range(0, ids.size()).map(i -> ids.get(i).asInt()).toArray());
            }
            return prompts;
        }
    }

    private static ModelRunner runner(LoadedModel model) {
        return new ModelRunner(model.model(), model.limits(), 1);
    }

    /**
     * A sum that lands on the other side of an e4m3 or INT4 rounding moves the logits by about a tenth at once, however
     * short the prompt; 512 tokens are enough to see that happen between two orders of sums on the CPU.
     */
    @ParameterizedTest
    @ValueSource(ints = {1, 17, 512, 2000})
    void logits_agree_after_a_prompt_of(int promptLen) throws IOException {
        assumeTrue(promptLen <= cpu.limits().maxModelLen(), "the model's context is shorter");
        int[] prompt = repeatedText(promptLen);
        float[] wanted = runner(cpu).append(0, prompt);
        double error = ModelRunner.relativeError(wanted, runner(cuda).append(0, prompt));
        double ofOrder = Math.max(errorOfOrder(repeatedText(512)), errorOfOrder(prompt));
        System.out.printf("Prompt of %d tokens: relative error of the logits %.3g, of the order of sums %.3g, margin of "
                + "the best %.3g%n", promptLen, error, ofOrder, ModelRunner.margin(wanted));
        assertThat(error).isLessThan(Math.max(2 * ofOrder, FLOOR));
    }

    private static int[] repeatedText(int length) throws IOException {
        int[] text = goldenPrompts().stream().flatMapToInt(IntStream::of).toArray();
        return IntStream.range(0, length).map(i -> text[i % text.length]).toArray();
    }

    private static double errorOfOrder(int[] prompt) {
        return ModelRunner.relativeError(runner(cpu).append(0, prompt), runner(cpuReordered).append(0, prompt));
    }

    /**
     * Where an answer parts, the CPU's two best tokens must be closer than what roundings that fall the other way
     * can move: twice what another order of sums does on the CPU, as for the logits.
     */
    @Test
    void greedy_answers_to_the_golden_chats_part_only_within_the_noise() throws IOException {
        float noise = ModelRunner.largestDifference(runner(cpu).append(0, repeatedText(512)),
                runner(cpuReordered).append(0, repeatedText(512)));
        int equal = 0;
        List<int[]> prompts = goldenPrompts();
        for (int[] prompt : prompts) {
            boolean direct = assertSameAnswer(prompt, cuda, noise);
            boolean replayed = assertSameAnswer(prompt, cudaWithGraphs, noise);
            assertThat(replayed).as("graphs change nothing").isEqualTo(direct);
            equal += direct ? 1 : 0;
        }
        System.out.printf("Greedy answers: %d of %d equal the CPU's, the others part within %.3g%n", equal,
                prompts.size(), noise);
        assertThat(equal).isGreaterThanOrEqualTo(prompts.size() / 2);
    }

    /** Steps both models with the CPU's tokens; false where the other one chose differently. */
    private static boolean assertSameAnswer(int[] prompt, LoadedModel other, float noise) {
        ModelRunner reference = runner(cpu);
        ModelRunner tested = runner(other);
        float[] wanted = reference.append(0, prompt);
        float[] actual = tested.append(0, prompt);
        for (int i = 0; i < MAX_NEW_TOKENS; i++) {
            int token = ModelRunner.argMax(wanted);
            int chosen = ModelRunner.argMax(actual);
            if (chosen != token) {
                System.out.printf("Token %d of an answer: %d instead of %d, %.3g below it on the CPU%n", i, chosen, token,
                        wanted[token] - wanted[chosen]);
                assertThat(wanted[token] - wanted[chosen]).as("token %d of an answer differs, and is no tie", i)
                        .isLessThan(2 * noise);
                return false;
            }
            if (cpu.isEos(token)) {
                return true;
            }
            wanted = reference.decode(new int[] {0}, new int[] {token})[0];
            actual = tested.decode(new int[] {0}, new int[] {token})[0];
        }
        return true;
    }
}
