package io.fireq.cli;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.GenerationResult;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

@Command(name = "chat", mixinStandardHelpOptions = true,
        description = {"Chats with a model; answers are printed as they come.",
            "An empty line or end of input leaves, /reset forgets the conversation."})
final class ChatCommand implements Callable<Integer> {
    @Mixin
    EngineArguments engineArguments;

    @Mixin
    SamplingArguments sampling;

    @Option(names = {"-s", "--system"}, description = "System message.")
    String system;

    @Option(names = "--stats", description = "Print token counts and speed after each answer.")
    boolean stats;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        try (FireqEngine engine = FireqEngines.open(engineArguments.toOptions().build())) {
            Console.describe(engine, err);
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, Charset.defaultCharset()));
            List<ChatTurn> turns = newChat();
            while (true) {
                out.print("> ");
                out.flush();
                String line = readLine(in);
                if (line == null || line.isBlank()) {
                    return 0;
                }
                if (line.strip().equals("/reset")) {
                    turns = newChat();
                    continue;
                }
                turns.add(ChatTurn.user(line));
                try {
                    GenerationResult result = Console.stream(engine,
                            new GenerationRequest(engine.encodeChat(turns, List.of()),
                                    sampling.toParams(engine.model()), sampling.maxTokens, sampling.stop, false), out);
                    turns.add(ChatTurn.assistant(result.text()));
                    if (stats) {
                        err.println(Console.summary(result));
                    }
                } catch (CapacityException full) {
                    turns.remove(turns.size() - 1);
                    err.println(full.getMessage() + " (/reset starts over)");
                }
            }
        }
    }

    private List<ChatTurn> newChat() {
        List<ChatTurn> turns = new ArrayList<>();
        if (system != null) {
            turns.add(ChatTurn.system(system));
        }
        return turns;
    }

    private static String readLine(BufferedReader in) throws IOException {
        Interruption.check();
        Interruption.atPrompt(true);
        try {
            return in.readLine();
        } finally {
            Interruption.atPrompt(false);
        }
    }
}
