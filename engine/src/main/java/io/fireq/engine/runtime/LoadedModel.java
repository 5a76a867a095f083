package io.fireq.engine.runtime;

import io.fireq.engine.api.ModelInfo;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.chat.ChatTemplate;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.tokenizer.Tokenizer;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * A model on its backend with all it needs to be served. Closing it frees the backend and unmaps nothing earlier than
 * the garbage collector does.
 *
 * @param info         facts for users
 * @param model        the network
 * @param backend      what it runs on, owned
 * @param limits       what it was loaded for
 * @param tokenizer    text to ids and back
 * @param chatTemplate chats to ids
 * @param eosIds       ids that end an answer
 */
public record LoadedModel(ModelInfo info, LlamaModel model, Backend backend, LlamaModel.Limits limits,
        Tokenizer tokenizer, ChatTemplate chatTemplate, int[] eosIds) implements AutoCloseable {

    /** Whether a token ends an answer. */
    public boolean isEos(int token) {
        return Arrays.stream(eosIds).anyMatch(eos -> eos == token);
    }

    /** Token ids of a plain text, after the beginning-of-text token where the model has one. */
    public int[] encodePrompt(String text) {
        IntStream bos = tokenizer.bosId().stream();
        return IntStream.concat(bos, Arrays.stream(tokenizer.encode(text))).toArray();
    }

    @Override
    public void close() {
        backend.close();
    }
}
