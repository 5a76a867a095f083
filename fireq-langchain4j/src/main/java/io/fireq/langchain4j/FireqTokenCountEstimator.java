package io.fireq.langchain4j;

import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.model.TokenCountEstimator;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.FireqEngine;
import java.util.ArrayList;
import java.util.List;

/**
 * Counts tokens with the engine's own tokenizer and chat format. The count of several messages is exactly that of the
 * prompt they make; the count of one is what it adds to a prompt. Tools are not counted. Safe for concurrent use.
 */
public final class FireqTokenCountEstimator implements TokenCountEstimator {
    private final FireqEngine engine;
    private volatile int frameTokens = -1;

    public FireqTokenCountEstimator(FireqEngine engine) {
        this.engine = engine;
    }

    @Override
    public int estimateTokenCountInText(String text) {
        return counting(() -> engine.encode(text).length);
    }

    @Override
    public int estimateTokenCountInMessage(ChatMessage message) {
        return counting(() -> Math.max(0, promptTokens(List.of(MessageMapper.turn(message))) - frame()));
    }

    @Override
    public int estimateTokenCountInMessages(Iterable<ChatMessage> messages) {
        List<ChatTurn> turns = new ArrayList<>();
        messages.forEach(message -> turns.add(MessageMapper.turn(message)));
        return turns.isEmpty() ? 0 : counting(() -> promptTokens(turns));
    }

    private int promptTokens(List<ChatTurn> turns) {
        return engine.encodeChat(turns, List.of()).length;
    }

    /**
     * Tokens that a prompt has besides its messages: where it begins, a system text that the template adds by itself, and
     * where the answer begins. Found by what a second question adds to a chat, with roles in the order that all
     * templates take.
     */
    private int frame() {
        if (frameTokens < 0) {
            ChatTurn question = ChatTurn.user("a");
            ChatTurn answer = ChatTurn.assistant("a");
            int questionTokens = promptTokens(List.of(question, answer, question))
                    - promptTokens(List.of(question, answer));
            frameTokens = promptTokens(List.of(question)) - questionTokens;
        }
        return frameTokens;
    }

    private interface Count {
        int tokens();
    }

    private static int counting(Count count) {
        try {
            return count.tokens();
        } catch (RuntimeException e) {
            throw FireqExceptionMapper.map(e);
        }
    }
}
