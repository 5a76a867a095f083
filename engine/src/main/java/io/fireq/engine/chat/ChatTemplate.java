package io.fireq.engine.chat;

import io.fireq.engine.api.ChatRole;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ToolSpec;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.tokenizer.Tokenizer;
import io.fireq.engine.tokenizer.TokenizerConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;

/**
 * Turns a chat into the prompt its model was trained on: by the model's own Jinja template, tools by hand in Llama 3.1's
 * way. Immutable; any thread may use it.
 *
 * <p>What the turns hold is text and nothing else: it is not rendered, and no special token comes of it.
 */
public final class ChatTemplate {
    private static final long MAX_TEMPLATE_BYTES = 1L << 20;

    private final Path modelDir;
    private final Tokenizer tokenizer;
    private final TokenizerConfig config;
    private final Optional<String> template;
    private final JinjaRenderer renderer;
    private final ContentEscape escape;

    private ChatTemplate(Path modelDir, Tokenizer tokenizer, TokenizerConfig config, Optional<String> template, Clock clock) {
        this.modelDir = modelDir;
        this.tokenizer = tokenizer;
        this.config = config;
        this.template = template;
        renderer = new JinjaRenderer(clock);
        for (String special : tokenizer.specialTokens().keySet()) {
            if (special.codePointCount(0, special.length()) < 2) {
                throw new UnsupportedModelException(
                        "%s: special token '%s' is one character, so FireQ cannot keep it out of messages; use a longer one"
                                .formatted(modelDir, special));
            }
        }
        escape = new ContentEscape(tokenizer.specialTokens().keySet());
    }

    /** As {@link #load(Path, Tokenizer, Clock)} with the time and zone of this machine. */
    public static ChatTemplate load(Path modelDir, Tokenizer tokenizer) {
        return load(modelDir, tokenizer, Clock.systemDefaultZone());
    }

    /**
     * Reads {@code chat_template.jinja}, or the template in {@code tokenizer_config.json}. A model without one loads;
     * it cannot render.
     *
     * @param tokenizer the model's tokenizer
     * @param clock     for templates that write today's date
     * @throws ModelFormatException a file is broken
     */
    public static ChatTemplate load(Path modelDir, Tokenizer tokenizer, Clock clock) {
        TokenizerConfig config = TokenizerConfig.read(modelDir);
        Path file = modelDir.resolve("chat_template.jinja");
        Optional<String> template = Files.exists(file) ? Optional.of(read(file)) : config.chatTemplate();
        return new ChatTemplate(modelDir, tokenizer, config, template, clock);
    }

    private static String read(Path file) {
        try {
            long sizeBytes = Files.size(file);
            if (sizeBytes > MAX_TEMPLATE_BYTES) {
                throw new ModelFormatException(file, -1, "template has %,d bytes but at most %,d are read"
                        .formatted(sizeBytes, MAX_TEMPLATE_BYTES));
            }
            return Files.readString(file);
        } catch (CharacterCodingException e) {
            throw new ModelFormatException(file, -1, "template is not UTF-8; save it as UTF-8", e);
        } catch (IOException e) {
            throw new UncheckedIOException("%s: cannot be read".formatted(file), e);
        }
    }

    /** @return whether the model has a chat template */
    public boolean isPresent() {
        return template.isPresent();
    }

    /** @return whether chats may have tools */
    public boolean supportsTools() {
        return isPresent() && tokenizer.idOf("<|start_header_id|>").isPresent();
    }

    /**
     * The prompt as text, for people to read; {@link #encode} is for the model.
     *
     * @param addGenerationPrompt whether the prompt ends where the assistant is to speak
     * @throws IllegalArgumentException the template refuses the chat, or a tool is not JSON
     * @throws UnsupportedModelException there is no template, it cannot be rendered, or the model has no tools
     */
    public String render(List<ChatTurn> turns, List<ToolSpec> tools, boolean addGenerationPrompt) {
        return render(turns, tools, addGenerationPrompt, UnaryOperator.identity());
    }

    /**
     * The prompt up to where the assistant is to speak. A BOS is in it if the template writes one.
     *
     * @return token ids
     * @throws IllegalArgumentException as {@link #render}
     * @throws UnsupportedModelException as {@link #render}
     */
    public int[] encode(List<ChatTurn> turns, List<ToolSpec> tools) {
        String prompt = render(turns, tools, true, escape::escape);
        return tokenizer.encodeWithSpecials(prompt, ContentEscape::unescape);
    }

    private String render(
            List<ChatTurn> turns, List<ToolSpec> tools, boolean addGenerationPrompt, UnaryOperator<String> content) {
        String source = template.orElseThrow(() -> new UnsupportedModelException(
                "%s: the model has no chat template (chat_template.jinja or chat_template in tokenizer_config.json); "
                        .formatted(modelDir) + "use an instruction-tuned model or generate from a plain prompt"));
        List<ChatTurn> plain = withoutTools(turns, tools);
        Map<String, Object> variables = new HashMap<>();
        variables.put("messages", plain.stream().map(turn -> message(turn, content)).toList());
        variables.put("add_generation_prompt", addGenerationPrompt);
        variables.put("bos_token", config.bosToken().orElse(""));
        variables.put("eos_token", config.eosToken().orElse(""));
        variables.put("unk_token", config.unkToken().orElse(""));
        return renderer.render(source, variables);
    }

    private List<ChatTurn> withoutTools(List<ChatTurn> turns, List<ToolSpec> tools) {
        if (tools.isEmpty() && turns.stream().allMatch(turn -> turn.toolCalls().isEmpty())) {
            return turns;
        }
        if (!supportsTools()) {
            throw new UnsupportedModelException(
                    "%s: chat with %d tools, but the vocabulary lacks <|start_header_id|>, and FireQ writes tools in "
                            .formatted(modelDir, tools.size()) + "Llama 3's format only; use a Llama 3 model or no tools");
        }
        return Llama3Tools.rewrite(turns, tools);
    }

    private Map<String, Object> message(ChatTurn turn, UnaryOperator<String> content) {
        Map<String, Object> message = new LinkedHashMap<>();
        message.put("role", roleName(turn.role()));
        message.put("content", content.apply(turn.content()));
        return message;
    }

    private String roleName(ChatRole role) {
        return switch (role) {
            case SYSTEM -> "system";
            case USER -> "user";
            case ASSISTANT -> "assistant";
            case TOOL -> supportsTools() ? "ipython" : "tool";
        };
    }
}
