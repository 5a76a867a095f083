package io.fireq.langchain4j;

import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.EngineClosedException;
import io.fireq.engine.api.EngineStats;
import io.fireq.engine.api.FinishReason;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.GenerationResult;
import io.fireq.engine.api.ModelInfo;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.api.ToolSpec;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * An engine whose answers are scripted. It keeps the contract of the real one: a callback thread for each request, exact
 * limits and stop sequences, cancellation between two tokens. A prompt token is a character; an answer token is a word
 * with the space before it; the end token has no text.
 */
final class FakeEngine implements FireqEngine {
    static final String MODEL_NAME = "scripted";

    private final Function<String, String> script;
    private final AtomicLong ids = new AtomicLong();
    final List<GenerationRequest> requests = new CopyOnWriteArrayList<>();
    final List<String> prompts = new CopyOnWriteArrayList<>();
    final List<Thread> callbackThreads = new CopyOnWriteArrayList<>();
    final CopyOnWriteArrayList<GenerationResult> results = new CopyOnWriteArrayList<>();
    volatile Optional<SamplingParams> defaultSampling = Optional.empty();
    volatile RuntimeException refusal;
    volatile RuntimeException failure;
    volatile long tokenMillis;
    volatile boolean closed;

    /** @param script the answer to a rendered prompt */
    FakeEngine(Function<String, String> script) {
        this.script = script;
    }

    static FakeEngine answering(String answer) {
        return new FakeEngine(prompt -> answer);
    }

    @Override
    public ModelInfo model() {
        return new ModelInfo(MODEL_NAME, 4096, Character.MAX_VALUE + 1, 3, 64, 12_345, "scripted", defaultSampling);
    }

    @Override
    public BackendSelection backend() {
        return new BackendSelection("cpu", "script", "tests", List.of());
    }

    @Override
    public EngineStats stats() {
        return new EngineStats(0, 0, results.size(), 0, 0, 7, 7, 16);
    }

    @Override
    public int[] encode(String text) {
        return text.chars().toArray();
    }

    @Override
    public int[] encodePrompt(String text) {
        return encode(text);
    }

    @Override
    public int[] encodeChat(List<ChatTurn> turns, List<ToolSpec> tools) {
        String prompt = tools.stream().map(ToolSpec::toString).collect(Collectors.joining())
                + turns.stream()
                        .map(turn -> "<%s>%s%s".formatted(turn.role(), turn.content(),
                                turn.toolCalls().isEmpty() ? "" : turn.toolCalls()))
                        .collect(Collectors.joining())
                + "<ASSISTANT>";
        prompts.add(prompt);
        return encode(prompt);
    }

    @Override
    public String decode(int[] tokens) {
        return new String(tokens, 0, tokens.length);
    }

    @Override
    public GenerationHandle submit(GenerationRequest request, GenerationListener listener) {
        if (closed) {
            throw new EngineClosedException("Engine: it is closed; open another");
        }
        if (refusal != null) {
            throw refusal;
        }
        requests.add(request);
        Generation generation = new Generation(ids.incrementAndGet(), request, listener);
        Thread thread = new Thread(generation::run, "fake-callbacks-" + generation.id());
        thread.setDaemon(true);
        callbackThreads.add(thread);
        thread.start();
        return generation;
    }

    @Override
    public void close() {
        closed = true;
    }

    private final class Generation implements GenerationHandle {
        private final long id;
        private final GenerationRequest request;
        private final GenerationListener listener;
        private final CompletableFuture<GenerationResult> completion = new CompletableFuture<>();
        private volatile boolean cancelled;

        private Generation(long id, GenerationRequest request, GenerationListener listener) {
            this.id = id;
            this.request = request;
            this.listener = listener;
        }

        private void run() {
            if (failure != null) {
                listener.onError(failure);
                completion.completeExceptionally(failure);
                return;
            }
            GenerationResult result = generate(script.apply(decode(request.promptTokens())));
            results.add(result);
            listener.onFinished(result);
            completion.complete(result);
        }

        private GenerationResult generate(String answer) {
            String allowed = request.stopSequences().stream()
                    .filter(answer::contains)
                    .mapToInt(answer::indexOf)
                    .min()
                    .stream()
                    .mapToObj(end -> answer.substring(0, end))
                    .findFirst()
                    .orElse(answer);
            StringBuilder text = new StringBuilder();
            int nTokens = 0;
            for (String word : answer.isEmpty() ? new String[0] : answer.split("(?= )")) {
                if (cancelled) {
                    return result(text, nTokens, FinishReason.CANCELLED);
                }
                if (nTokens == request.maxNewTokens() && nTokens > 0) {
                    return result(text, nTokens, FinishReason.LENGTH);
                }
                nTokens++;
                String shown = word.substring(0, Math.max(0, Math.min(word.length(), allowed.length() - text.length())));
                if (shown.isEmpty()) {
                    return result(text, nTokens, FinishReason.STOP);
                }
                text.append(shown);
                listener.onText(shown);
                pause();
            }
            return result(text, nTokens + 1, FinishReason.STOP);
        }

        private GenerationResult result(StringBuilder text, int nTokens, FinishReason reason) {
            int[] tokens = new int[nTokens];
            return new GenerationResult(text.toString(), tokens, request.promptTokens().length, reason, Duration.ZERO,
                    Duration.ZERO);
        }

        private void pause() {
            try {
                Thread.sleep(tokenMillis);
            } catch (InterruptedException e) {
                throw new IllegalStateException("nobody interrupts a callback thread", e);
            }
        }

        @Override
        public long id() {
            return id;
        }

        @Override
        public void cancel() {
            cancelled = true;
        }

        @Override
        public CompletableFuture<GenerationResult> completion() {
            return completion;
        }
    }
}
