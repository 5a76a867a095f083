package io.fireq.engine.runtime;

import io.fireq.engine.api.FinishReason;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.GenerationResult;
import io.fireq.engine.sampling.Sampler;
import io.fireq.engine.scheduler.Sequence;
import io.fireq.engine.tokenizer.StopSequences;
import io.fireq.engine.tokenizer.StreamingDetokenizer;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.IntPredicate;

/**
 * One accepted request on its way: the sequence that the scheduler sees, and what turns its tokens into text and calls.
 * Everything but {@link #cancel} belongs to the engine loop.
 */
final class Generation implements GenerationHandle {
    private final GenerationRequest request;
    private final GenerationListener listener;
    private final Sequence sequence;
    private final Sampler sampler;
    private final StreamingDetokenizer detokenizer;
    private final StopSequences stops;
    private final IntPredicate isEos;
    private final CallbackLane lane;
    private final long submittedNanos = System.nanoTime();
    private final StringBuilder text = new StringBuilder();
    private final CompletableFuture<GenerationResult> completion = new CompletableFuture<>();
    private volatile boolean cancelled;
    private long firstTokenNanos;

    Generation(GenerationRequest request, GenerationListener listener, Sequence sequence, Sampler sampler,
            StreamingDetokenizer detokenizer, StopSequences stops, IntPredicate isEos,
            CallbackLane lane) {
        this.request = request;
        this.listener = listener;
        this.sequence = sequence;
        this.sampler = sampler;
        this.detokenizer = detokenizer;
        this.stops = stops;
        this.isEos = isEos;
        this.lane = lane;
    }

    @Override
    public long id() {
        return sequence.id();
    }

    @Override
    public void cancel() {
        cancelled = true;
    }

    boolean isCancelled() {
        return cancelled;
    }

    @Override
    public CompletableFuture<GenerationResult> completion() {
        return completion.copy();
    }

    Sequence sequence() {
        return sequence;
    }

    /** How its next token is drawn. */
    Sampler sampler() {
        return sampler;
    }

    /**
     * Takes the token that the sequence has just got and emits what text it completes.
     *
     * @return whether the generation is finished, and its last call posted
     */
    boolean accept(int token) {
        sampler.accept(token);
        if (firstTokenNanos == 0) {
            firstTokenNanos = System.nanoTime();
        }
        if (!request.ignoreEos() && isEos.test(token)) {
            emit(stops.feed(detokenizer.finish()));
            return finish(FinishReason.STOP);
        }
        emit(stops.feed(detokenizer.push(token)));
        if (stops.stopped()) {
            return finish(FinishReason.STOP);
        }
        if (sequence.isFull()) {
            emit(stops.feed(detokenizer.finish()));
            return finish(stops.stopped() ? FinishReason.STOP : FinishReason.LENGTH);
        }
        return false;
    }

    private void emit(String newText) {
        if (newText.isEmpty()) {
            return;
        }
        text.append(newText);
        lane.post(() -> {
            if (!cancelled) {
                listener.onText(newText);
            }
        });
    }

    /** Ends the request with what it has. */
    boolean finish(FinishReason reason) {
        if (reason != FinishReason.CANCELLED && !stops.stopped()) {
            emit(stops.flush());
        }
        long now = System.nanoTime();
        GenerationResult result = new GenerationResult(text.toString(), sequence.generatedTokens(),
                sequence.promptLen(), reason,
                Duration.ofNanos(firstTokenNanos == 0 ? 0 : firstTokenNanos - submittedNanos),
                Duration.ofNanos(now - submittedNanos));
        lane.postLast(() -> {
            try {
                listener.onFinished(result);
            } finally {
                completion.complete(result);
            }
        });
        return true;
    }

    /** Ends the request with an error. */
    void fail(RuntimeException error) {
        lane.postLast(() -> {
            try {
                listener.onError(error);
            } finally {
                completion.completeExceptionally(error);
            }
        });
    }
}
