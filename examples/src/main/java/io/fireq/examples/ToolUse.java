package io.fireq.examples;

import dev.langchain4j.agent.tool.Tool;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.Result;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;

@Component
@Order(6)
final class ToolUse implements TourStop {
    static final class Calculator {
        @Tool("Adds two numbers")
        int add(int a, int b) {
            return a + b;
        }
    }

    interface Assistant {
        Result<String> chat(String message);
    }

    private final Assistant assistant;

    ToolUse(ChatModel model) {
        assistant = AiServices.builder(Assistant.class).chatModel(model).tools(new Calculator()).build();
    }

    @Override
    public String title() {
        return "A Java method that the model calls";
    }

    @Override
    public void show(Transcript transcript) {
        String question = "What is 17 plus 25?";
        transcript.asks(question);
        Result<String> answer = assistant.chat(question);
        answer.toolExecutions().forEach(execution -> transcript.notes("calls %s(%s), which returns %s"
                .formatted(execution.request().name(), execution.request().arguments(), execution.result())));
        transcript.answers(answer.content());
    }
}
