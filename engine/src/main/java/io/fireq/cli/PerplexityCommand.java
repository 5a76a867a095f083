package io.fireq.cli;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.ChatRole;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.eval.GreedyAgreement;
import io.fireq.engine.eval.Perplexity;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.json.JsonObject;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.weights.Checkpoint;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "perplexity", mixinStandardHelpOptions = true,
        description = {"Measures how well a model predicts a text: consecutive windows, each scored on its own.",
            "With --reference also how far it is from that model."})
final class PerplexityCommand implements Callable<Integer> {
    private static final int ANSWER_TOKENS = 128;

    @Mixin
    EngineArguments engineArguments;

    @Parameters(index = "1", paramLabel = "TEXT", description = "A UTF-8 text file.")
    Path text;

    @Option(names = "--window", defaultValue = "1024", description = "Tokens per window. Default: ${DEFAULT-VALUE}.")
    int window;

    @Option(names = "--windows", defaultValue = "0", description = "Most windows to score; 0 scores all.")
    int windows;

    @Option(names = "--reference", paramLabel = "DIR",
            description = "The original checkpoint: prints the Kullback-Leibler divergence of the model's next-token "
                    + "distribution from its, in nats, and how often both find the same token most likely.")
    Path reference;

    @Option(names = "--chats", paramLabel = "FILE",
            description = "With --reference: how often the model answers chats as it does. JSON, {\"chats\": "
                    + "[{\"messages\": [{\"role\": …, \"content\": …}, …]}, …]}.")
    Path chats;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        if (chats != null && reference == null) {
            throw new ParameterException(spec.commandLine(), "--chats compares with --reference DIR; name it");
        }
        String content = Files.readString(text);
        EngineOptions options = engineArguments.toOptions().maxBatchTokens(256).build();
        try (LoadedModel loaded = FireqEngines.load(options);
                LoadedModel original = reference == null ? null : FireqEngines.load(referenceOptions())) {
            Perplexity.Result result = measure(new Perplexity(loaded, original, window), loaded.encodePrompt(content));
            out.printf(Locale.ROOT, "%s (%s): perplexity %.4f over %d windows of %d tokens (%,d scored)%n",
                    loaded.info().name(), loaded.info().quantization(), result.perplexity(), result.windows(), window,
                    result.scoredTokens());
            if (original != null) {
                out.printf(Locale.ROOT, "against %s (%s): divergence %.4f nats, same most likely token %.2f %%%n",
                        original.info().name(), original.info().quantization(), result.divergence(),
                        100 * result.agreement());
            }
            if (chats != null) {
                compareChats(new GreedyAgreement(loaded, original, ANSWER_TOKENS), original, out);
            }
        }
        return 0;
    }

    private EngineOptions referenceOptions() {
        return EngineOptions.builder(reference.toString())
                .device(EngineOptions.Device.CPU)
                .numerics(Checkpoint.isFireq(reference) ? Numerics.QUANTIZED : Numerics.FLOAT32)
                .threads(engineArguments.threads)
                .cpuKernels(engineArguments.cpuKernels)
                .maxModelLen(engineArguments.maxModelLen)
                .maxBatchTokens(256)
                .build();
    }

    private Perplexity.Result measure(Perplexity perplexity, int[] tokens) {
        try (ProgressBar bar = Console.progressBar("perplexity", 1)) {
            return perplexity.evaluate(tokens, windows, (soFar, total) -> {
                Interruption.check();
                bar.maxHint(total);
                bar.stepTo(soFar.windows());
                bar.setExtraMessage(String.format(Locale.ROOT, "%.3f", soFar.perplexity()));
            });
        }
    }

    private void compareChats(GreedyAgreement agreement, LoadedModel original, PrintWriter out) {
        int same = 0;
        int tokens = 0;
        int agreeing = 0;
        List<JsonObject> all = Json.readObject(chats, JsonLimits.CONFIG).objects("chats");
        for (JsonObject chat : all) {
            Interruption.check();
            int[] prompt = original.chatTemplate().encode(turns(chat), List.of());
            GreedyAgreement.Result result = agreement.compare(prompt);
            same += result.isSame() ? 1 : 0;
            tokens += result.tokens();
            agreeing += result.agreeing();
        }
        out.printf(Locale.ROOT, "chats: %d of %d answers are the same, %,d of %,d tokens along the reference's answers%n",
                same, all.size(), agreeing, tokens);
    }

    private static List<ChatTurn> turns(JsonObject chat) {
        return chat.objects("messages").stream()
                .map(message -> new ChatTurn(role(message), message.requireString("content"))).toList();
    }

    private static ChatRole role(JsonObject message) {
        String role = message.requireString("role");
        return Arrays.stream(ChatRole.values()).filter(known -> known.name().equalsIgnoreCase(role)).findFirst()
                .orElseThrow(() -> message.malformed("role", "is \"%s\"; required is one of %s".formatted(role,
                        Arrays.toString(ChatRole.values()).toLowerCase(Locale.ROOT))));
    }
}
