package io.fireq.engine.tokenizer;

import java.util.Collection;
import java.util.List;
import java.util.Optional;

/**
 * Lets text through until a stop string is complete, and never any part of one. The stop string that is complete first
 * counts; of several that end at the same character, the longest. How the text is cut into pieces makes no difference.
 *
 * <p>One sequence, one thread.
 */
public final class StopSequences {
    private final List<String> stops;
    /** Text that may be the start of a stop string. */
    private final StringBuilder held = new StringBuilder();
    private String matched;

    /** @throws IllegalArgumentException a stop string is empty */
    public StopSequences(Collection<String> stops) {
        this.stops = List.copyOf(stops);
        if (this.stops.contains("")) {
            throw new IllegalArgumentException("Stop strings: one of %d is empty; leave it out".formatted(stops.size()));
        }
    }

    /**
     * @param text the next piece
     * @return text that cannot be part of a stop string any more; empty once {@link #stopped}
     */
    public String feed(String text) {
        if (matched != null) {
            return "";
        }
        if (stops.isEmpty()) {
            return text;
        }
        int alreadyChecked = held.length();
        held.append(text);
        for (int end = alreadyChecked + 1; end <= held.length(); end++) {
            Optional<String> stop = longestEndingAt(end);
            if (stop.isPresent()) {
                matched = stop.get();
                String before = held.substring(0, end - matched.length());
                held.setLength(0);
                return before;
            }
        }
        return release(possibleStart());
    }

    private Optional<String> longestEndingAt(int end) {
        String longest = null;
        for (String stop : stops) {
            int start = end - stop.length();
            if (start >= 0 && (longest == null || stop.length() > longest.length()) && heldHas(stop, start, end)) {
                longest = stop;
            }
        }
        return Optional.ofNullable(longest);
    }

    /** @return where the earliest stop string that could still be completed starts, or the end */
    private int possibleStart() {
        int longestStop = stops.stream().mapToInt(String::length).max().orElse(0);
        for (int start = Math.max(0, held.length() - longestStop + 1); start < held.length(); start++) {
            for (String stop : stops) {
                if (held.length() - start < stop.length() && heldHas(stop, start, held.length())) {
                    return start;
                }
            }
        }
        return held.length();
    }

    /** @return whether {@code held[start, end)} is how the stop string begins */
    private boolean heldHas(String stop, int start, int end) {
        for (int i = start; i < end; i++) {
            if (held.charAt(i) != stop.charAt(i - start)) {
                return false;
            }
        }
        return true;
    }

    private String release(int length) {
        String text = held.substring(0, length);
        held.delete(0, length);
        return text;
    }

    /** @return whether a stop string is complete; nothing more comes out */
    public boolean stopped() {
        return matched != null;
    }

    /** @return the stop string that was found */
    public Optional<String> matched() {
        return Optional.ofNullable(matched);
    }

    /** @return the text still held, when the sequence ends without a stop string */
    public String flush() {
        return release(held.length());
    }
}
