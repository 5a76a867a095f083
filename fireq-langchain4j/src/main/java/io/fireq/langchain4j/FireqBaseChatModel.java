package io.fireq.langchain4j;

import dev.langchain4j.model.chat.Capability;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqEngine;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/** What both models share: the engine, whether it is theirs to close, default parameters and listeners. */
abstract class FireqBaseChatModel implements AutoCloseable {
    final FireqEngine engine;
    final ChatRequestMapper requests;
    private final boolean ownsEngine;
    private final FireqChatRequestParameters defaults;
    private final List<ChatModelListener> listeners;

    FireqBaseChatModel(Builder<?> builder) {
        this.ownsEngine = builder.engine == null;
        this.engine = ownsEngine ? FireqEngines.open(builder.requireOptions()) : builder.engine;
        try {
            this.requests = new ChatRequestMapper(engine);
            this.listeners = List.copyOf(builder.listeners);
            // The model's name is always among the defaults, so that listeners see which model was asked.
            this.defaults = FireqChatRequestParameters.builder()
                    .modelName(engine.model().name())
                    .overrideWith(builder.defaults)
                    .build();
            requests.requireSupported(defaults);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    public ChatRequestParameters defaultRequestParameters() {
        return defaults;
    }

    public List<ChatModelListener> listeners() {
        return listeners;
    }

    public Set<Capability> supportedCapabilities() {
        return Set.of();
    }

    /** Closes the engine if this model opened it; an engine that was handed in is its owner's to close. */
    @Override
    public void close() {
        if (ownsEngine) {
            engine.close();
        }
    }

    /** What both builders collect. Either {@link #engine} or {@link #engineOptions} must be given. */
    abstract static class Builder<B extends Builder<B>> {
        private FireqEngine engine;
        private EngineOptions options;
        private ChatRequestParameters defaults = FireqChatRequestParameters.builder().build();
        private List<ChatModelListener> listeners = List.of();

        abstract B self();

        /** The engine to use. The model does not close it; several models may share it. */
        public B engine(FireqEngine value) {
            engine = value;
            return self();
        }

        /** Opens an engine for this model alone, which the model's {@code close} closes. */
        public B engineOptions(EngineOptions value) {
            options = value;
            return self();
        }

        /** Parameters for requests that do not set them; {@link FireqChatRequestParameters} or any other. */
        public B defaultRequestParameters(ChatRequestParameters value) {
            defaults = Objects.requireNonNull(value, "defaultRequestParameters");
            return self();
        }

        /** Told of every request, response and error; they run on the model's threads and must not block. */
        public B listeners(List<ChatModelListener> value) {
            listeners = value;
            return self();
        }

        /** Told of every request, response and error; they run on the model's threads and must not block. */
        public B listeners(ChatModelListener... value) {
            return listeners(List.of(value));
        }

        private EngineOptions requireOptions() {
            if (options == null) {
                throw new IllegalArgumentException(
                        "FireQ chat model: neither engine nor engineOptions is set; give one of them");
            }
            return options;
        }
    }
}
