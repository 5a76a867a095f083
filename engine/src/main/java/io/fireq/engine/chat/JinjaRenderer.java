package io.fireq.engine.chat;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaInterpreterResolver;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.Context.Library;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.objects.date.StrftimeFormatter;
import io.fireq.engine.api.UnsupportedModelException;
import java.time.Clock;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * jinjava set up as Hugging Face transformers sets up Jinja2 for chat templates. What a variable holds is never
 * rendered again, so a message with {@code {{ 7*7 }}} stays as it is. Any thread may render.
 */
final class JinjaRenderer {
    private static final long MAX_OUTPUT_BYTES = 64L << 20;

    private final Jinjava jinjava;

    /** @param clock time and zone for templates that write today's date */
    JinjaRenderer(Clock clock) {
        jinjava = new Jinjava(JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                .withLstripBlocks(true)
                .withNestedInterpretationEnabled(false)
                .withKeepTrailingNewline(true)
                .withMaxOutputSize(MAX_OUTPUT_BYTES)
                .withLegacyOverrides(LegacyOverrides.newBuilder()
                        .withEvaluateMapKeys(true)
                        .withIterateOverMapKeys(true)
                        .withUsePyishObjectMapper(true)
                        .withUseNaturalOperatorPrecedence(true)
                        .withParseWhitespaceControlStrictly(true)
                        .withAllowAdjacentTextNodes(true)
                        .withUseTrimmingForNotesAndExpressions(true)
                        .withKeepNullableLoopValues(true)
                        .withHandleBackslashInQuotesOnly(true)
                        .build())
                .withLocale(Locale.ENGLISH)
                .withTimeZone(clock.getZone())
                .withDateTimeProvider(clock::millis)
                .withElResolver(new PythonStringMethods(JinjavaInterpreterResolver.DEFAULT_RESOLVER_READ_ONLY))
                // A chat template is one file: nothing of the class path may be pulled into a prompt.
                .withDisabled(Map.of(Library.TAG, Set.of("include", "import", "from", "extends")))
                .build());
        jinjava.registerFunction(
                new ELFunctionDefinition("", "raise_exception", JinjaRenderer.class, "raiseException", String.class));
        jinjava.registerFunction(
                new ELFunctionDefinition("", "strftime_now", JinjaRenderer.class, "strftimeNow", String.class));
        jinjava.registerFilter(new ToJson());
        jinjava.registerFilter(new Trim());
        jinjava.registerExpTest(new IsIterable());
    }

    /**
     * @throws IllegalArgumentException the template refuses the chat; the message is the template's own
     * @throws UnsupportedModelException the template cannot be rendered
     */
    String render(String template, Map<String, ?> variables) {
        // Jinja2 drops one line break at the end of a template, before it looks at anything else.
        String source = template.endsWith("\n") ? template.substring(0, template.length() - 1) : template;
        RenderResult result = jinjava.renderForResult(source, variables);
        for (TemplateError error : result.getErrors()) {
            for (Throwable cause = error.getException(); cause != null; cause = cause.getCause()) {
                if (cause instanceof TemplateRefusal) {
                    throw new IllegalArgumentException("The chat template refuses this chat: " + cause.getMessage());
                }
            }
        }
        if (result.hasErrors()) {
            TemplateError error = result.getErrors().get(0);
            throw unsupported(", line %d: %s".formatted(error.getLineno(), error.getMessage()));
        }
        refuseUnknownNames(result.getContext());
        return result.getOutput();
    }

    /** jinjava takes an unknown filter or test for one that yields nothing. */
    private static void refuseUnknownNames(Context context) {
        for (String name : context.getResolvedValues()) {
            if (name.startsWith("filter:") && context.getFilter(name.substring("filter:".length())) == null
                    || name.startsWith("exptest:") && context.getExpTest(name.substring("exptest:".length())) == null) {
                throw unsupported(": unknown " + name.replace("exptest:", "test '").replace("filter:", "filter '") + "'");
            }
        }
    }

    private static UnsupportedModelException unsupported(String where) {
        return new UnsupportedModelException(
                "Chat template%s; simplify it or give another chat template".formatted(where));
    }

    /** Called by templates. */
    public static Object raiseException(String message) {
        throw new TemplateRefusal(message);
    }

    /** Called by templates. */
    public static String strftimeNow(String format) {
        JinjavaConfig config = JinjavaInterpreter.getCurrent().getConfig();
        ZonedDateTime now = Instant.ofEpochMilli(config.getDateTimeProvider().getCurrentTimeMillis())
                .atZone(config.getTimeZone());
        return StrftimeFormatter.format(now, format, config.getLocale());
    }

    private static final class TemplateRefusal extends RuntimeException {
        TemplateRefusal(String message) {
            super(message);
        }
    }

    private static final class ToJson implements Filter {
        @Override
        public String getName() {
            return "tojson";
        }

        @Override
        public Object filter(Object value, JinjavaInterpreter interpreter, Object[] arguments, Map<String, Object> named) {
            Object indent = arguments.length > 0 ? arguments[0] : named.get("indent");
            return indent instanceof Number spaces
                    ? PythonJson.indented(value, spaces.intValue())
                    : PythonJson.oneLine(value);
        }

        @Override
        public Object filter(Object value, JinjavaInterpreter interpreter, String... arguments) {
            return PythonJson.oneLine(value);
        }
    }

    /** jinjava's own leaves white space outside ASCII. */
    private static final class Trim implements Filter {
        @Override
        public String getName() {
            return "trim";
        }

        @Override
        public Object filter(Object value, JinjavaInterpreter interpreter, String... arguments) {
            return value == null ? "" : PythonText.strip(value.toString());
        }
    }

    /** A string is iterable in Python, and templates rely on it. */
    private static final class IsIterable implements ExpTest {
        @Override
        public String getName() {
            return "iterable";
        }

        @Override
        public boolean evaluate(Object value, JinjavaInterpreter interpreter, Object... arguments) {
            return value instanceof Iterable || value instanceof Map || value instanceof CharSequence
                    || value != null && value.getClass().isArray();
        }
    }
}
