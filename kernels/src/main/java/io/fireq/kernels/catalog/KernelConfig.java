package io.fireq.kernels.catalog;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The compile-time constants of one kernel, by name and in the order given. Rendered as a C++ struct that the kernel
 * takes as its only template argument, so that no two values can be swapped unnoticed.
 */
public final class KernelConfig {
    private static final KernelConfig EMPTY = new KernelConfig(Map.of());

    private final Map<String, Object> constants;

    private KernelConfig(Map<String, Object> constants) {
        this.constants = constants;
    }

    /** A configuration without constants. */
    public static KernelConfig empty() {
        return EMPTY;
    }

    /** This configuration and one more {@code int} constant. */
    public KernelConfig with(String name, int value) {
        return plus(name, value);
    }

    /** This configuration and one more {@code bool} constant. */
    public KernelConfig with(String name, boolean value) {
        return plus(name, value);
    }

    private KernelConfig plus(String name, Object value) {
        if (!name.matches("[A-Z][A-Z0-9_]*")) {
            throw new IllegalArgumentException("KernelConfig: constant '" + name + "' is not UPPER_SNAKE_CASE");
        }
        Map<String, Object> extended = new LinkedHashMap<>(constants);
        if (extended.put(name, value) != null) {
            throw new IllegalArgumentException("KernelConfig: constant " + name + " is given twice");
        }
        return new KernelConfig(extended);
    }

    /** The value of an {@code int} constant. */
    public int intValue(String name) {
        if (constants.get(name) instanceof Integer value) {
            return value;
        }
        throw new IllegalArgumentException("KernelConfig: no int constant " + name + " in " + this);
    }

    /** The C++ text of the struct. */
    public String render() {
        return constants.entrySet().stream()
                .map(c -> "    static constexpr %s %s = %s;\n".formatted(
                        c.getValue() instanceof Boolean ? "bool" : "int", c.getKey(), c.getValue()))
                .collect(Collectors.joining("", "struct Config {\n", "};\n"));
    }

    /** A short text for file names, {@code threads256-vector8-symmetric}; a constant that is false is left out. */
    public String slug() {
        return constants.entrySet().stream()
                .filter(c -> !Boolean.FALSE.equals(c.getValue()))
                .map(c -> c.getValue() instanceof Boolean ? c.getKey() : c.getKey() + c.getValue())
                .map(part -> part.toLowerCase(Locale.ROOT))
                .collect(Collectors.joining("-"));
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof KernelConfig c && constants.equals(c.constants);
    }

    @Override
    public int hashCode() {
        return constants.hashCode();
    }

    @Override
    public String toString() {
        return "Config" + constants;
    }
}
