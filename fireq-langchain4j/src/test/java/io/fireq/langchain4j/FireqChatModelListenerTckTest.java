package io.fireq.langchain4j;

import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.common.AbstractChatModelListenerIT;
import dev.langchain4j.model.chat.listener.ChatModelListener;

/** LangChain4j's own tests of listeners. */
class FireqChatModelListenerTckTest extends AbstractChatModelListenerIT {
    @Override
    protected ChatModel createModel(ChatModelListener listener) {
        return model(TckScript.engine(), listener);
    }

    @Override
    protected ChatModel createFailingModel(ChatModelListener listener) {
        FakeEngine engine = TckScript.engine();
        engine.failure = new IllegalStateException("scripted failure");
        return model(engine, listener);
    }

    private ChatModel model(FakeEngine engine, ChatModelListener listener) {
        return FireqChatModel.builder()
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
