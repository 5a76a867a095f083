package io.fireq.cli;

import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.GenerationResult;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** What several commands print. */
final class Console {
    private Console() {}

    static void describe(FireqEngine engine, PrintWriter err) {
        err.printf(Locale.ROOT, "%s: %s, %,d MB, context %,d tokens%n", engine.model().name(),
                engine.model().quantization(), engine.model().weightBytes() >> 20, engine.model().maxModelLen());
        BackendSelection backend = engine.backend();
        err.printf("%s (%s)%n", backend.device(), backend.reason());
        err.flush();
    }

    /** Generates and prints text as it comes; Ctrl-C cancels. */
    static GenerationResult stream(FireqEngine engine, GenerationRequest request, PrintWriter out) {
        GenerationHandle handle = engine.submit(request, new GenerationListener() {
            @Override
            public void onText(String text) {
                out.print(text);
                out.flush();
            }

            @Override
            public void onFinished(GenerationResult result) {
                out.println();
                out.flush();
            }

            @Override
            public void onError(Throwable error) {
                out.println();
                out.flush();
            }
        });
        while (true) {
            try {
                return handle.completion().get(100, TimeUnit.MILLISECONDS);
            } catch (TimeoutException stillRunning) {
                if (Interruption.isRequested()) {
                    handle.cancel();
                    handle.completion().join();
                    throw new Interruption.InterruptedByUser();
                }
            } catch (InterruptedException e) {
                handle.cancel();
                Thread.currentThread().interrupt();
                throw new Interruption.InterruptedByUser();
            } catch (ExecutionException e) {
                throw e.getCause() instanceof RuntimeException cause ? cause : new CompletionException(e.getCause());
            }
        }
    }

    static String summary(GenerationResult result) {
        double firstSeconds = result.timeToFirst().toNanos() / 1e9;
        double decodeSeconds = (result.totalTime().toNanos() - result.timeToFirst().toNanos()) / 1e9;
        int decoded = Math.max(0, result.tokens().length - 1);
        return String.format(Locale.ROOT, "[%d prompt tokens, first token after %.0f ms; %d tokens, %.1f tok/s; %s]",
                result.promptTokens(), firstSeconds * 1e3, result.tokens().length,
                decodeSeconds == 0 ? 0 : decoded / decodeSeconds,
                result.finishReason().name().toLowerCase(Locale.ROOT));
    }

    static ProgressBar progressBar(String task, long max) {
        return new ProgressBarBuilder()
                .setTaskName(task)
                .setInitialMax(max)
                .setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(200)
                .build();
    }
}
