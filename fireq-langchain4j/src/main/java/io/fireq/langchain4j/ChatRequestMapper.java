package io.fireq.langchain4j;

import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.ResponseFormatType;
import dev.langchain4j.model.chat.request.ToolChoice;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.api.ToolSpec;
import java.util.List;

/** The one place where a LangChain4j request becomes the engine's. */
final class ChatRequestMapper {
    private final FireqEngine engine;

    ChatRequestMapper(FireqEngine engine) {
        this.engine = engine;
    }

    /**
     * A request the engine can take.
     *
     * @param generation prompt and how to continue it
     * @param tools      tools that the prompt offers; empty where the model may call none
     */
    record Mapped(GenerationRequest generation, List<ToolSpec> tools) {}

    /**
     * Refuses what FireQ does not do, before any work.
     *
     * @throws UnsupportedFeatureException naming the feature
     */
    void requireSupported(ChatRequestParameters parameters) {
        String loaded = engine.model().name();
        if (parameters.modelName() != null && !parameters.modelName().equals(loaded)) {
            throw new UnsupportedFeatureException(
                    "Chat request: modelName is '%s' but the engine holds '%s'; another name is not supported: leave it out or use an engine of that model"
                            .formatted(parameters.modelName(), loaded));
        }
        if (parameters.toolChoice() == ToolChoice.REQUIRED) {
            throw new UnsupportedFeatureException(
                    "Chat request: ToolChoice.REQUIRED is not supported; use ToolChoice.AUTO and say in the prompt which tool to call");
        }
        if (parameters.responseFormat() != null && parameters.responseFormat().type() == ResponseFormatType.JSON) {
            throw new UnsupportedFeatureException(
                    "Chat request: JSON response format is not supported; describe the format in the prompt, as AiServices does by itself");
        }
    }

    /**
     * @param request with the model's defaults already merged in
     * @throws UnsupportedFeatureException if the request needs what FireQ does not do
     * @throws IllegalArgumentException    if a parameter is out of range or the chat template refuses the order of messages
     */
    Mapped map(ChatRequest request) {
        ChatRequestParameters parameters = request.parameters();
        requireSupported(parameters);
        List<ChatTurn> turns = MessageMapper.turns(request.messages());
        List<ToolSpec> tools = parameters.toolChoice() == ToolChoice.NONE
                ? List.of()
                : ToolMapper.specs(parameters.toolSpecifications());
        SamplingParams sampling = SamplingMapper.sampling(parameters,
                engine.model().defaultSampling().orElse(SamplingParams.GREEDY));
        return new Mapped(new GenerationRequest(engine.encodeChat(turns, tools), sampling, maxNewTokens(parameters),
                parameters.stopSequences(), false), tools);
    }

    /** The engine spells "as many as fit" as 0, which LangChain4j spells as null. */
    private static int maxNewTokens(ChatRequestParameters parameters) {
        Integer limit = parameters.maxOutputTokens();
        if (limit == null) {
            return 0;
        }
        if (limit < 1) {
            throw new IllegalArgumentException(
                    "Chat request: maxOutputTokens is %d; it must be 1 or more, or unset for no limit".formatted(limit));
        }
        return limit;
    }
}
