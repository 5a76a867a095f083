package io.fireq.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.CompleteToolCall;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import dev.langchain4j.model.output.FinishReason;
import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationResult;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class FireqStreamingChatModelTest {
    private static final ToolSpecification ADD = ToolSpecification.builder().name("add").build();
    private static final String CALL = "{\"name\": \"add\", \"parameters\": {\"a\": 17, \"b\": 25}}";

    @Test
    void returns_before_the_answer_is_there_and_calls_from_one_other_thread() throws Exception {
        FakeEngine engine = FakeEngine.answering("one two three");
        CountDownLatch returned = new CountDownLatch(1);
        Recorder recorder = new Recorder() {
            @Override
            void partial(StreamingHandle handle) {
                await(returned);
            }
        };

        chat(engine, recorder);
        returned.countDown();
        finish(engine);

        assertThat(recorder.calls).containsExactly("partial one", "partial  two", "partial  three", "complete");
        assertThat(recorder.threads).containsOnly(engine.callbackThreads.get(0));
    }

    @Test
    void has_no_more_partial_responses_than_tokens_and_they_make_up_the_text() throws Exception {
        FakeEngine engine = FakeEngine.answering("one two three four");
        Recorder recorder = new Recorder();

        chat(engine, recorder);
        finish(engine);

        assertThat(recorder.partials).hasSizeLessThanOrEqualTo(recorder.response.tokenUsage().outputTokenCount());
        assertThat(String.join("", recorder.partials)).isEqualTo(recorder.response.aiMessage().text());
    }

    @Test
    void makes_no_call_after_cancellation_from_a_callback() throws Exception {
        FakeEngine engine = FakeEngine.answering("one two three four");
        Recorder recorder = new Recorder() {
            @Override
            void partial(StreamingHandle handle) {
                if (partials.size() == 2) {
                    handle.cancel();
                    handle.cancel();
                    assertThat(handle.isCancelled()).isTrue();
                }
            }
        };

        chat(engine, recorder);
        finish(engine);

        assertThat(recorder.calls).containsExactly("partial one", "partial  two");
        assertThat(engine.results).singleElement().satisfies(
                result -> assertThat(result.finishReason()).isEqualTo(io.fireq.engine.api.FinishReason.CANCELLED));
    }

    @Test
    void passes_a_cancellation_on_that_came_before_the_engine_returned_its_handle() {
        StreamingAnswer answer =
                new StreamingAnswer(new GuardedHandler(new Recorder()), List.of(), FakeEngine.MODEL_NAME);
        answer.cancel();
        List<String> calls = new ArrayList<>();

        answer.started(new GenerationHandle() {
            @Override
            public long id() {
                return 1;
            }

            @Override
            public void cancel() {
                calls.add("cancel");
            }

            @Override
            public CompletableFuture<GenerationResult> completion() {
                throw new AssertionError("nobody waits for a streamed answer");
            }
        });

        assertThat(calls).containsExactly("cancel");
    }

    @Test
    void reports_no_error_after_cancellation() {
        Recorder recorder = new Recorder();
        StreamingAnswer answer = new StreamingAnswer(new GuardedHandler(recorder), List.of(), FakeEngine.MODEL_NAME);
        answer.cancel();

        answer.onText("late");
        answer.onError(new IllegalStateException("late"));

        assertThat(recorder.calls).isEmpty();
    }

    @Test
    void delivers_a_tool_call_whole_and_never_as_text() throws Exception {
        FakeEngine engine = FakeEngine.answering(CALL);
        Recorder recorder = new Recorder();

        chat(engine, recorder, ADD);
        finish(engine);

        assertThat(recorder.calls).containsExactly("tool 0 add", "complete");
        ToolExecutionRequest request = recorder.toolCalls.get(0).toolExecutionRequest();
        assertThat(request.arguments()).isEqualToIgnoringWhitespace("{\"a\":17,\"b\":25}");
        assertThat(recorder.response.aiMessage().toolExecutionRequests()).containsExactly(request);
        assertThat(recorder.response.aiMessage().text()).isNull();
        assertThat(recorder.response.finishReason()).isEqualTo(FinishReason.TOOL_EXECUTION);
    }

    @Test
    void delivers_text_that_only_began_like_a_tool_call() throws Exception {
        FakeEngine engine = FakeEngine.answering("{curly} words are no call");
        Recorder recorder = new Recorder();

        chat(engine, recorder, ADD);
        finish(engine);

        assertThat(String.join("", recorder.partials)).isEqualTo("{curly} words are no call");
        assertThat(recorder.toolCalls).isEmpty();
        assertThat(recorder.response.aiMessage().text()).isEqualTo("{curly} words are no call");
    }

    @Test
    void streams_text_at_once_when_it_cannot_be_a_tool_call() throws Exception {
        FakeEngine engine = FakeEngine.answering("It is 42.");
        Recorder recorder = new Recorder();

        chat(engine, recorder, ADD);
        finish(engine);

        assertThat(recorder.partials).containsExactly("It", " is", " 42.");
    }

    @Test
    void gives_exceptions_of_the_handler_to_its_on_error_and_goes_on() throws Exception {
        FakeEngine engine = FakeEngine.answering("one two");
        Recorder recorder = new Recorder() {
            @Override
            void partial(StreamingHandle handle) {
                throw new AssertionError("handler is broken");
            }
        };

        chat(engine, recorder);
        finish(engine);

        assertThat(recorder.calls).containsExactly("partial one", "error handler is broken", "partial  two",
                "error handler is broken", "complete");
        assertThat(engine.results).hasSize(1);
    }

    @Test
    void reports_a_refused_request_to_on_error() {
        FakeEngine engine = FakeEngine.answering("unused");
        engine.refusal = new CapacityException(CapacityException.Resource.CONTEXT, "prompt is too long");
        Recorder recorder = new Recorder();

        chat(engine, recorder);

        assertThat(recorder.calls).containsExactly("error prompt is too long");
        assertThat(recorder.error).isExactlyInstanceOf(InvalidRequestException.class);
    }

    @Test
    void throws_what_is_unsupported_before_any_work() {
        FakeEngine engine = FakeEngine.answering("unused");
        Recorder recorder = new Recorder();

        assertThatThrownBy(() -> FireqStreamingChatModel.builder().engine(engine).build().chat(
                List.of(UserMessage.from(ImageContent.from("https://example.org/cat.jpg"))), recorder))
                .isExactlyInstanceOf(UnsupportedFeatureException.class);
        assertThat(recorder.calls).isEmpty();
        assertThat(engine.requests).isEmpty();
    }

    private static void chat(FakeEngine engine, Recorder recorder, ToolSpecification... tools) {
        FireqStreamingChatModel.builder().engine(engine).build().chat(
                ChatRequest.builder().messages(UserMessage.from("hello")).toolSpecifications(tools).build(), recorder);
    }

    /** The callback thread is over, so whatever it had to say is said. */
    private static void finish(FakeEngine engine) throws InterruptedException {
        engine.callbackThreads.get(0).join();
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException("nobody interrupts a callback thread", e);
        }
    }

    private static class Recorder implements StreamingChatResponseHandler {
        final List<String> calls = new ArrayList<>();
        final List<String> partials = new ArrayList<>();
        final List<CompleteToolCall> toolCalls = new ArrayList<>();
        final List<Thread> threads = new ArrayList<>();
        ChatResponse response;
        Throwable error;

        void partial(StreamingHandle handle) {}

        private void record(String call) {
            calls.add(call);
            threads.add(Thread.currentThread());
        }

        @Override
        public void onPartialResponse(PartialResponse part, PartialResponseContext context) {
            record("partial " + part.text());
            partials.add(part.text());
            partial(context.streamingHandle());
        }

        @Override
        public void onCompleteToolCall(CompleteToolCall call) {
            record("tool " + call.index() + " " + call.toolExecutionRequest().name());
            toolCalls.add(call);
        }

        @Override
        public void onCompleteResponse(ChatResponse complete) {
            record("complete");
            response = complete;
        }

        @Override
        public void onError(Throwable thrown) {
            record("error " + thrown.getMessage());
            error = thrown;
        }
    }
}
