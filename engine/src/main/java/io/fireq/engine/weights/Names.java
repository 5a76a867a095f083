package io.fireq.engine.weights;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;

/** Messages about names that are not there. */
final class Names {
    private static final int SUGGESTIONS = 3;

    private Names() {}

    /** "there is no tensor 'a'; the most similar of 12 are 'b', 'c', 'd'; …". */
    static String missing(String kind, String name, Collection<String> present) {
        String remedy = "use a checkpoint of the supported layout, or download it again";
        if (present.isEmpty()) {
            return "there is no %s '%s', nor any other; %s".formatted(kind, name, remedy);
        }
        List<String> similar = present.stream()
                .sorted(Comparator.comparingInt((String other) -> -commonEnds(name, other))
                        .thenComparing(Comparator.naturalOrder()))
                .limit(SUGGESTIONS).toList();
        return "there is no %s '%s'; the most similar of %,d are %s; %s".formatted(kind, name, present.size(),
                similar.stream().map(s -> "'" + s + "'").collect(Collectors.joining(", ")), remedy);
    }

    /** Characters shared at the start and at the end: linear, because the names may be anything. */
    private static int commonEnds(String a, String b) {
        int shorter = Math.min(a.length(), b.length());
        int start = 0;
        while (start < shorter && a.charAt(start) == b.charAt(start)) {
            start++;
        }
        int end = 0;
        while (end < shorter - start && a.charAt(a.length() - 1 - end) == b.charAt(b.length() - 1 - end)) {
            end++;
        }
        return start + end;
    }
}
