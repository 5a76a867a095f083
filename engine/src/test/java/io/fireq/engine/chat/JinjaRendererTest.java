package io.fireq.engine.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.tokenizer.TestModels;
import io.fireq.engine.tokenizer.TokenizerConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Renderings of real Jinja2, made by {@code golden/render_chats.py}. */
class JinjaRendererTest {
    private static final JsonNode GOLDEN = TestModels.json(TestModels.resource("/golden/chat-renderings.json"));

    private final JinjaRenderer renderer = new JinjaRenderer(Clock.fixed(
            LocalDateTime.parse(GOLDEN.path("now").textValue()).toInstant(ZoneOffset.UTC), ZoneOffset.UTC));

    @Test
    void renders_the_ember_template_like_jinja2() throws IOException {
        agree("ember", Files.readString(TestModels.ember().resolve("chat_template.jinja")));
    }

    @Test
    void renders_a_template_in_the_inst_style_like_jinja2() throws IOException {
        agree("inst", Files.readString(TestModels.resource("/golden/templates/inst.jinja")));
    }

    @Test
    void renders_what_templates_use_of_the_language_like_jinja2() throws IOException {
        agree("features", Files.readString(TestModels.resource("/golden/templates/features.jinja")));
    }

    @Test
    void renders_the_llama_3_1_template_like_jinja2() {
        Path llama3 = TestModels.shared("tokenizers/llama3");
        agree("llama3.1", TokenizerConfig.read(llama3).chatTemplate().orElseThrow());
    }

    private void agree(String name, String template) {
        List<String> differences = new ArrayList<>();
        int cases = 0;
        for (JsonNode golden : GOLDEN.path("cases")) {
            if (!golden.path("template").textValue().equals(name)) {
                continue;
            }
            cases++;
            String expected = golden.has("rendered")
                    ? golden.path("rendered").textValue()
                    : "error: The chat template refuses this chat: " + golden.path("error").textValue();
            String actual = render(template, golden);
            if (!actual.equals(expected)) {
                differences.add("%s%n--- expected%n%s%n--- actual%n%s%n".formatted(golden, expected, actual));
            }
        }
        assertThat(cases).isGreaterThan(100);
        assertThat(differences).as("%d of %d cases differ".formatted(differences.size(), cases)).isEmpty();
    }

    private String render(String template, JsonNode golden) {
        List<Map<String, String>> messages = new ArrayList<>();
        golden.path("messages").forEach(message -> messages.add(Map.of(
                "role", message.path("role").textValue(), "content", message.path("content").textValue())));
        boolean inst = golden.path("template").textValue().equals("inst");
        try {
            return renderer.render(template, Map.of(
                    "messages", messages,
                    "add_generation_prompt", golden.path("add_generation_prompt").booleanValue(),
                    "bos_token", inst ? "<s>" : "<|begin_of_text|>",
                    "eos_token", inst ? "</s>" : "<|eot_id|>"));
        } catch (IllegalArgumentException | UnsupportedModelException e) {
            return "error: " + e.getMessage();
        }
    }

    @Test
    void says_what_of_a_template_it_cannot_render() {
        Map.of("a\n{% if x %}", "line 2",
                "a\n{{ 'x' | no_such_filter }}", "filter 'no_such_filter'",
                "a\n{{ 'x' is no_such_test }}", "test 'no_such_test'",
                "a\n{{ no_such_function() }}", "line 2: Could not resolve function 'no_such_function'",
                "a\n{% no_such_tag %}", "line 2",
                "a\n{{ 'x'.no_such_method() }}", "line 2: str has no method no_such_method",
                "a\n{% include 'x' %}", "'include' is disabled")
                .forEach((broken, message) -> assertThatThrownBy(() -> renderer.render(broken, Map.of("x", "y")))
                        .as(broken)
                        .isInstanceOf(UnsupportedModelException.class)
                        .hasMessageContaining(message));
    }
}
