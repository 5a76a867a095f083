package io.fireq.langchain4j;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.CompleteToolCall;
import dev.langchain4j.model.chat.response.StreamingHandle;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationResult;
import io.fireq.engine.api.ToolSpec;
import io.fireq.engine.chat.ToolCallParser;
import java.util.List;

/**
 * One answer on its way from the engine to a handler. Where tools are offered, text is held back for as long as it could
 * still turn out to be a tool call: such text is never shown as a partial response.
 *
 * <p>The engine's calls come from one thread; {@link #cancel} may come from any, even before {@link #started}.
 */
final class StreamingAnswer implements GenerationListener, StreamingHandle {
    private final GuardedHandler handler;
    private final List<ToolSpec> tools;
    private final String modelName;
    private final StringBuilder heldBack = new StringBuilder();
    private boolean holdsBack;
    private volatile boolean cancelled;
    private volatile GenerationHandle generation;

    StreamingAnswer(GuardedHandler handler, List<ToolSpec> tools, String modelName) {
        this.handler = handler;
        this.tools = tools;
        this.modelName = modelName;
        this.holdsBack = !tools.isEmpty();
    }

    /** The engine has taken the request; calls of the handler may have begun already. */
    void started(GenerationHandle handle) {
        generation = handle;
        if (cancelled) {
            handle.cancel();
        }
    }

    @Override
    public void cancel() {
        cancelled = true;
        GenerationHandle handle = generation;
        if (handle != null) {
            handle.cancel();
        }
    }

    @Override
    public boolean isCancelled() {
        return cancelled;
    }

    @Override
    public void onText(String text) {
        if (!holdsBack) {
            emit(text);
            return;
        }
        heldBack.append(text);
        if (!ToolCallParser.couldBecomeToolCall(heldBack.toString())) {
            release();
        }
    }

    @Override
    public void onFinished(GenerationResult result) {
        if (cancelled) {
            return;
        }
        ChatResponse response = ResponseMapper.response(result, holdsBack ? tools : List.of(), modelName);
        List<ToolExecutionRequest> calls = response.aiMessage().toolExecutionRequests();
        if (calls.isEmpty()) {
            release();
        }
        for (int index = 0; index < calls.size() && !cancelled; index++) {
            handler.onCompleteToolCall(new CompleteToolCall(index, calls.get(index)));
        }
        if (!cancelled) {
            handler.onCompleteResponse(response);
        }
    }

    @Override
    public void onError(Throwable error) {
        if (!cancelled) {
            handler.onError(FireqExceptionMapper.map(error));
        }
    }

    private void release() {
        holdsBack = false;
        if (!heldBack.isEmpty()) {
            emit(heldBack.toString());
            heldBack.setLength(0);
        }
    }

    private void emit(String text) {
        if (!cancelled) {
            handler.onPartialResponse(text, this);
        }
    }
}
