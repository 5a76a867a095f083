package io.fireq.engine.chat;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Keeps the text of messages from naming special tokens in the rendered prompt. Before rendering, every special token
 * that a message spells is broken by a mark; in the prompt only the template's own are whole; when the prompt has been
 * split at those, the marks go.
 *
 * <pre>
 *   content     hi &lt;|eot_id|&gt;
 *   escaped     hi &lt;*|eot_id|&gt;                                  * = U+FDD0 U+FDD1
 *   prompt      &lt;|start_header_id|&gt; ... hi &lt;*|eot_id|&gt; &lt;|eot_id|&gt;
 *   split       [start_header_id] "... hi &lt;|eot_id|&gt; " [eot_id]
 * </pre>
 *
 * A mark also goes between a message and the template where the two together could spell a token. It stands inside the
 * outer white space, because templates trim. Both characters are noncharacters: never assigned, not white space, and
 * left alone by a template. A message that holds U+FDD0 itself gets it back.
 */
final class ContentEscape {
    private static final char ESCAPE = '\uFDD0';
    private static final String BREAK = "\uFDD0\uFDD1";
    private static final String ESCAPED_ESCAPE = "\uFDD0\uFDD2";

    private final List<String> specials;
    private final Pattern anySpecial;

    /** @param specials texts of at least two code points: there is nowhere to break a shorter one */
    ContentEscape(Collection<String> specials) {
        this.specials = specials.stream().sorted(Comparator.comparingInt(String::length).reversed()).toList();
        anySpecial = Pattern.compile(this.specials.stream().map(Pattern::quote).collect(Collectors.joining("|")));
    }

    String escape(String content) {
        if (specials.isEmpty()) {
            return content;
        }
        String text = content.replace(String.valueOf(ESCAPE), ESCAPED_ESCAPE);
        text = breakWhole(text);
        int start = PythonText.bodyStart(text);
        int end = Math.max(start, PythonText.bodyEnd(text));
        String body = text.substring(start, end);
        return text.substring(0, start)
                + (finishesOne(body) ? BREAK : "")
                + body
                + (beginsOne(body) ? BREAK : "")
                + text.substring(end);
    }

    /** Occurrences may overlap, so the search goes on one character after each start. */
    private String breakWhole(String text) {
        StringBuilder broken = new StringBuilder(text);
        Matcher matcher = anySpecial.matcher(text);
        int inserted = 0;
        for (int from = 0; from <= text.length() && matcher.find(from); from = matcher.start() + 1) {
            int firstEnd = matcher.start() + Character.charCount(text.codePointAt(matcher.start()));
            broken.insert(firstEnd + inserted, BREAK);
            inserted += BREAK.length();
        }
        return broken.toString();
    }

    /** @return whether what the template writes before could make the start of the body the end of a token */
    private boolean finishesOne(String body) {
        return specials.stream().anyMatch(special -> {
            for (int i = 1; i < special.length(); i++) {
                if (!body.isEmpty() && (body.startsWith(special.substring(i)) || special.startsWith(body, i))) {
                    return true;
                }
            }
            return false;
        });
    }

    /** @return whether what the template writes after could make the end of the body the start of a token */
    private boolean beginsOne(String body) {
        return specials.stream().anyMatch(special -> {
            for (int i = 1; i < special.length(); i++) {
                if (body.endsWith(special.substring(0, i))) {
                    return true;
                }
            }
            return false;
        });
    }

    /** @param text rendered text without special tokens of the template */
    static String unescape(String text) {
        return text.replace(BREAK, "").replace(ESCAPED_ESCAPE, String.valueOf(ESCAPE));
    }
}
