package io.fireq.spring;

import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.springframework.boot.context.properties.bind.UnboundConfigurationPropertiesException;
import org.springframework.boot.context.properties.source.ConfigurationProperty;
import org.springframework.boot.context.properties.source.ConfigurationPropertyName;
import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;

/** Names an unknown property below {@code fireq} and the known one that it resembles most. */
@Order(Ordered.HIGHEST_PRECEDENCE)
final class UnknownPropertyFailureAnalyzer extends AbstractFailureAnalyzer<UnboundConfigurationPropertiesException> {
    private static final ConfigurationPropertyName PREFIX = ConfigurationPropertyName.of(FireqProperties.PREFIX);

    @Override
    protected FailureAnalysis analyze(Throwable rootFailure, UnboundConfigurationPropertiesException cause) {
        List<ConfigurationProperty> unknown = cause.getUnboundProperties().stream()
                .filter(property -> PREFIX.isAncestorOf(property.getName()))
                .toList();
        if (unknown.isEmpty()) {
            return null;
        }
        List<String> known = knownProperties();
        StringBuilder description = new StringBuilder("FireQ has no such property:%n".formatted());
        for (ConfigurationProperty property : unknown) {
            String name = property.getName().toString();
            description.append("%n    %s: %s%n    from %s; did you mean %s?%n".formatted(name, property.getValue(),
                    property.getOrigin() == null ? "an unknown place" : property.getOrigin(), closest(name, known)));
        }
        return new FailureAnalysis(description.toString(),
                "Correct or remove it. FireQ knows %s.".formatted(String.join(", ", known)), cause);
    }

    static String closest(String name, List<String> known) {
        return known.stream().min(Comparator.comparingInt(candidate -> edits(name, candidate))).orElseThrow();
    }

    static List<String> knownProperties() {
        return names(FireqProperties.PREFIX, FireqProperties.class).sorted().toList();
    }

    private static Stream<String> names(String prefix, Class<?> type) {
        List<String> names = new ArrayList<>();
        for (RecordComponent component : type.getRecordComponents()) {
            String name = prefix + "." + kebab(component.getName());
            if (component.getType().isRecord()) {
                names(name, component.getType()).forEach(names::add);
            } else {
                names.add(name);
            }
        }
        return names.stream();
    }

    private static String kebab(String camel) {
        StringBuilder kebab = new StringBuilder();
        for (char c : camel.toCharArray()) {
            if (Character.isUpperCase(c)) {
                kebab.append('-');
            }
            kebab.append(Character.toLowerCase(c));
        }
        return kebab.toString();
    }

    /** Levenshtein distance: characters to insert, delete or replace. */
    static int edits(String from, String to) {
        int[] row = new int[to.length() + 1];
        for (int column = 0; column < row.length; column++) {
            row[column] = column;
        }
        for (int i = 1; i <= from.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int replaced = diagonal + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(replaced, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[to.length()];
    }
}
