package io.fireq.engine.tokenizer;

import io.fireq.engine.api.UnsupportedModelException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Finds special tokens in text: leftmost, then longest. Immutable.
 *
 * <p>The native tokenizer never sees them, so that text which is not ours cannot name one.
 */
final class SpecialTokens {
    /** {@code lstrip} and {@code rstrip}: the token swallows the white space on that side. */
    record SpecialToken(int id, String content, boolean lstrip, boolean rstrip) {}

    /** A stretch of text, or a special token where {@code text} is null. */
    record Piece(String text, SpecialToken token) {}

    private final Map<String, SpecialToken> byContent = new HashMap<>();
    private final Pattern anyToken;

    SpecialTokens(Collection<SpecialToken> tokens) {
        for (SpecialToken token : tokens) {
            if (token.content().isEmpty()) {
                throw new UnsupportedModelException(
                        "Special token %d has an empty text; give it one in tokenizer.json".formatted(token.id()));
            }
            byContent.put(token.content(), token);
        }
        // Alternatives are tried in order, so the longest must come first.
        anyToken = byContent.isEmpty() ? null : Pattern.compile(byContent.keySet().stream()
                .sorted(Comparator.comparingInt(String::length).reversed().thenComparing(Comparator.naturalOrder()))
                .map(Pattern::quote)
                .collect(Collectors.joining("|")));
    }

    boolean contains(String content) {
        return byContent.containsKey(content);
    }

    Collection<SpecialToken> all() {
        return byContent.values();
    }

    /** @return the pieces of the text in order, none of them empty */
    List<Piece> split(String text) {
        List<Piece> pieces = new ArrayList<>();
        int from = 0;
        if (anyToken != null) {
            Matcher matcher = anyToken.matcher(text);
            while (matcher.find()) {
                SpecialToken token = byContent.get(matcher.group());
                addText(pieces, text, from, token.lstrip() ? stripBack(text, from, matcher.start()) : matcher.start());
                pieces.add(new Piece(null, token));
                from = token.rstrip() ? skipSpace(text, matcher.end()) : matcher.end();
                // White space that was swallowed cannot be searched again; tokens hold none of it at their start.
                matcher.region(from, text.length());
            }
        }
        addText(pieces, text, from, text.length());
        return pieces;
    }

    private static void addText(List<Piece> pieces, String text, int from, int to) {
        if (from < to) {
            pieces.add(new Piece(text.substring(from, to), null));
        }
    }

    private static int stripBack(String text, int from, int to) {
        int end = to;
        while (end > from && Character.isWhitespace(text.charAt(end - 1))) {
            end--;
        }
        return end;
    }

    private static int skipSpace(String text, int from) {
        int start = from;
        while (start < text.length() && Character.isWhitespace(text.charAt(start))) {
            start++;
        }
        return start;
    }
}
