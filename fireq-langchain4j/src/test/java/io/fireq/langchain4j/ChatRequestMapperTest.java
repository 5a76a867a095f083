package io.fireq.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.audio.Audio;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.AudioContent;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.Content;
import dev.langchain4j.data.message.CustomMessage;
import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.PdfFileContent;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.data.message.VideoContent;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.ResponseFormat;
import dev.langchain4j.model.chat.request.ToolChoice;
import dev.langchain4j.model.chat.request.json.JsonObjectSchema;
import io.fireq.engine.api.ChatRole;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.api.ToolCall;
import io.fireq.engine.api.ToolSpec;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ChatRequestMapperTest {
    private static final ToolSpecification ADD = ToolSpecification.builder()
            .name("add")
            .description("Adds two numbers")
            .parameters(JsonObjectSchema.builder()
                    .addIntegerProperty("a")
                    .addIntegerProperty("b")
                    .required("a", "b")
                    .build())
            .build();

    private final FakeEngine engine = FakeEngine.answering("unused");
    private final ChatRequestMapper mapper = new ChatRequestMapper(engine);

    @Test
    void maps_every_kind_of_message_to_a_turn() {
        ToolExecutionRequest call =
                ToolExecutionRequest.builder().id("1").name("add").arguments("{\"a\":17,\"b\":25}").build();
        ToolExecutionRequest bare = ToolExecutionRequest.builder().id("2").name("now").arguments("").build();

        List<ChatTurn> turns = MessageMapper.turns(List.of(
                SystemMessage.from("Be brief."),
                UserMessage.from(TextContent.from("What is"), TextContent.from("17 plus 25?")),
                AiMessage.from("Let me see.", List.of(call, bare)),
                ToolExecutionResultMessage.from(call, "42"),
                AiMessage.from(List.of(bare)),
                AiMessage.from("It is 42.")));

        assertThat(turns).containsExactly(
                ChatTurn.system("Be brief."),
                ChatTurn.user("What is\n17 plus 25?"),
                new ChatTurn(ChatRole.ASSISTANT, "Let me see.",
                        List.of(new ToolCall("add", "{\"a\":17,\"b\":25}"), new ToolCall("now", "{}"))),
                new ChatTurn(ChatRole.TOOL, "42"),
                new ChatTurn(ChatRole.ASSISTANT, "", List.of(new ToolCall("now", "{}"))),
                ChatTurn.assistant("It is 42."));
    }

    static List<Content> contents_that_are_not_text() {
        return List.of(ImageContent.from("https://example.org/cat.jpg"),
                AudioContent.from(Audio.builder().base64Data("AA==").mimeType("audio/wav").build()),
                VideoContent.from("https://example.org/cat.mp4"),
                PdfFileContent.from("https://example.org/cat.pdf"));
    }

    @ParameterizedTest
    @MethodSource("contents_that_are_not_text")
    void refuses_content_that_is_not_text_and_names_its_type(Content content) {
        assertThatThrownBy(() -> mapper.map(request(UserMessage.from(content))))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining(content.type().name().toLowerCase(Locale.ROOT))
                .hasMessageContaining("text only");
        assertThat(engine.prompts).as("no work is done for a refused request").isEmpty();
    }

    @Test
    void refuses_content_that_is_not_text_in_a_tool_result() {
        ChatMessage result = ToolExecutionResultMessage.builder()
                .id("1").toolName("photo").contents(ImageContent.from("https://example.org/cat.jpg")).build();

        assertThatThrownBy(() -> mapper.map(request(result)))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("image");
    }

    @Test
    void refuses_custom_messages() {
        assertThatThrownBy(() -> mapper.map(request(CustomMessage.from(Map.of("key", "value")))))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("CUSTOM");
    }

    @Test
    void passes_tools_with_their_schema_as_json() {
        ChatRequestMapper.Mapped mapped = mapper.map(request(parameters().toolSpecifications(ADD).build()));

        assertThat(mapped.tools()).containsExactly(new ToolSpec("add", "Adds two numbers",
                "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}},\"required\":[\"a\",\"b\"]}"));
        assertThat(engine.prompts).singleElement().asString().contains("Adds two numbers");
    }

    @Test
    void gives_a_tool_without_parameters_an_empty_object_schema() {
        ToolSpecification now = ToolSpecification.builder().name("now").build();

        assertThat(ToolMapper.specs(List.of(now)))
                .containsExactly(new ToolSpec("now", "", "{\"type\":\"object\",\"properties\":{},\"required\":[]}"));
    }

    @Test
    void refuses_two_tools_of_one_name() {
        assertThatThrownBy(() -> ToolMapper.specs(List.of(ADD, ADD)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("add, add");
    }

    @Test
    void hides_tools_when_the_choice_is_none() {
        ChatRequestMapper.Mapped mapped = mapper.map(
                request(parameters().toolSpecifications(ADD).toolChoice(ToolChoice.NONE).build()));

        assertThat(mapped.tools()).isEmpty();
        assertThat(engine.prompts).singleElement().asString().doesNotContain("Adds two numbers");
    }

    @Test
    void refuses_a_required_tool_even_without_tools() {
        assertThatThrownBy(() -> mapper.map(request(parameters().toolChoice(ToolChoice.REQUIRED).build())))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("ToolChoice.REQUIRED");
    }

    @Test
    void refuses_json_but_takes_text_as_response_format() {
        assertThatThrownBy(() -> mapper.map(request(parameters().responseFormat(ResponseFormat.JSON).build())))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("JSON response format");

        mapper.map(request(parameters().responseFormat(ResponseFormat.TEXT).build()));
    }

    @Test
    void takes_the_loaded_model_by_name_and_no_other() {
        mapper.map(request(parameters().modelName(FakeEngine.MODEL_NAME).build()));

        assertThatThrownBy(() -> mapper.map(request(parameters().modelName("gpt").build())))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("gpt").hasMessageContaining(FakeEngine.MODEL_NAME);
    }

    @Test
    void maps_every_parameter() {
        ChatRequestParameters parameters = parameters()
                .temperature(0.5).topK(7).topP(0.25).minP(0.125).repetitionPenalty(1.5).presencePenalty(0.75)
                .frequencyPenalty(-0.5).seed(11L).maxOutputTokens(13).stopSequences("END", "STOP").build();

        GenerationRequest mapped = mapper.map(request(parameters)).generation();

        assertThat(mapped.sampling()).isEqualTo(
                new SamplingParams(0.5f, 7, 0.25f, 0.125f, 1.5f, 0.75f, -0.5f, OptionalLong.of(11)));
        assertThat(mapped.maxNewTokens()).isEqualTo(13);
        assertThat(mapped.stopSequences()).containsExactly("END", "STOP");
        assertThat(mapped.ignoreEos()).isFalse();
        assertThat(mapped.promptTokens()).isEqualTo(engine.encode("<USER>hello<ASSISTANT>"));
    }

    @Test
    void falls_back_to_what_the_model_recommends_and_then_to_greedy() {
        GenerationRequest greedy = mapper.map(request(parameters().build())).generation();
        assertThat(greedy.sampling()).isEqualTo(SamplingParams.GREEDY);
        assertThat(greedy.maxNewTokens()).isZero();
        assertThat(greedy.stopSequences()).isEmpty();

        SamplingParams recommended = new SamplingParams(0.6f, 5, 0.9f, 0.1f, 1.1f, 0.2f, 0.3f, OptionalLong.of(3));
        engine.defaultSampling = Optional.of(recommended);
        assertThat(mapper.map(request(parameters().build())).generation().sampling()).isEqualTo(recommended);
        assertThat(mapper.map(request(parameters().temperature(0.0).build())).generation().sampling())
                .isEqualTo(recommended.withTemperature(0));
    }

    @Test
    void reads_common_parameters_from_a_foreign_class() {
        ChatRequestParameters foreign = ChatRequestParameters.builder().temperature(0.5).topK(3).build();

        assertThat(SamplingMapper.sampling(foreign, SamplingParams.GREEDY))
                .isEqualTo(new SamplingParams(0.5f, 3, 1, 0, 1, 0, 0, OptionalLong.empty()));
    }

    @Test
    void refuses_a_limit_below_one_token() {
        assertThatThrownBy(() -> mapper.map(request(parameters().maxOutputTokens(0).build())))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("maxOutputTokens is 0");
    }

    private static FireqChatRequestParameters.Builder parameters() {
        return FireqChatRequestParameters.builder();
    }

    private static ChatRequest request(ChatMessage message) {
        return ChatRequest.builder().messages(message).build();
    }

    private static ChatRequest request(ChatRequestParameters parameters) {
        return ChatRequest.builder().messages(UserMessage.from("hello")).parameters(parameters).build();
    }
}
