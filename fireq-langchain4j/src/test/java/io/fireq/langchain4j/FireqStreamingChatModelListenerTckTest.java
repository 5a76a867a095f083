package io.fireq.langchain4j;

import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.common.AbstractStreamingChatModelListenerIT;
import dev.langchain4j.model.chat.listener.ChatModelListener;

/** LangChain4j's own tests of listeners. */
class FireqStreamingChatModelListenerTckTest extends AbstractStreamingChatModelListenerIT {
    @Override
    protected StreamingChatModel createModel(ChatModelListener listener) {
        return model(TckScript.engine(), listener);
    }

    @Override
    protected StreamingChatModel createFailingModel(ChatModelListener listener) {
        FakeEngine engine = TckScript.engine();
        engine.failure = new IllegalStateException("scripted failure");
        return model(engine, listener);
    }

    private StreamingChatModel model(FakeEngine engine, ChatModelListener listener) {
        return FireqStreamingChatModel.builder()
                .engine(engine)
                .defaultRequestParameters(FireqChatRequestParameters.builder()
                        .temperature(temperature())
                        .topP(topP())
                        .maxOutputTokens(maxTokens())
                        .build())
                .listeners(listener)
                .build();
    }

    @Override
    protected String modelName() {
        return FakeEngine.MODEL_NAME;
    }

    @Override
    protected Class<? extends Exception> expectedExceptionClass() {
        return InternalServerException.class;
    }
}
