package io.fireq.langchain4j;

/** Answers to the questions of LangChain4j's tests, as an able model would give them. */
final class TckScript {
    private TckScript() {}

    static FakeEngine engine() {
        FakeEngine engine = new FakeEngine(TckScript::answer);
        engine.tokenMillis = 1;
        return engine;
    }

    private static String answer(String prompt) {
        if (prompt.contains("<TOOL>sunny")) {
            return prompt.contains("<TOOL>14:35") ? "It is sunny, and it is 14:35." : "It is sunny in Munich.";
        }
        if (prompt.contains("<TOOL>10:14")) {
            return "The time is 10:14.";
        }
        if (prompt.contains("weather in Munich and time in France")) {
            return call("getWeather", "{\"city\":\"Munich\"}") + "; " + call("getTime", "{\"country\":\"France\"}");
        }
        if (prompt.contains("weather in Munich")) {
            return call("getWeather", "{\"city\":\"Munich\"}");
        }
        if (prompt.contains("get_current_time tool")) {
            return call("get_current_time", "{}");
        }
        if (prompt.contains("capital of Germany")) {
            return "The capital of Germany is Berlin. Two and two make four.";
        }
        if (prompt.contains("into German")) {
            return "Ich liebe dich.";
        }
        if (prompt.contains("favorite color is green")) {
            return "Your favorite color is green.";
        }
        if (prompt.contains("Hello World")) {
            return "Hello World, how are you?";
        }
        return "Once upon a time there was a fox. ".repeat(20).strip();
    }

    private static String call(String name, String arguments) {
        return "{\"name\": \"%s\", \"parameters\": %s}".formatted(name, arguments);
    }
}
