package io.fireq.kernels.build;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import io.fireq.kernels.catalog.KernelSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The comment at the top of a kernel file is complete and names what exists. */
class KernelHeaderTest {
    private static final List<String> HEADINGS = List.of("Computes", "Operands", "Numerics", "Work", "Pipeline", "Smem map",
            "Barriers", "Requires", "Not for", "Launcher", "Notes");

    static Stream<KernelSpec> kernels() {
        return KernelManifest.kernels().stream().collect(java.util.stream.Collectors.toMap(KernelSpec::source, k -> k,
                (first, second) -> first, java.util.TreeMap::new)).values().stream();
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void has_every_heading_and_names_existing_classes(KernelSpec kernel) throws IOException {
        String text = Files.readString(Path.of("src/main/cuda/fireq", kernel.source()));
        assertThat(text).startsWith("/*\n * " + kernel.kernel() + "\n");
        String header = text.substring(0, text.indexOf("*/"));
        int position = 0;
        for (String heading : HEADINGS) {
            int found = header.indexOf("\n * " + heading + " ", position);
            assertThat(found).as("heading '%s' of %s, in order", heading, kernel.source()).isPositive();
            position = found;
        }
        assertExists(header, "Launcher");
        assertExists(header, "Oracle");
        Matcher notes = Pattern.compile("Notes\\s+(\\S+)").matcher(header);
        assertThat(notes.find()).isTrue();
        assertThat(notes.group(1)).satisfiesAnyOf(
                note -> assertThat(note).isEqualTo("none"),
                note -> assertThat(Path.of("..", note)).exists());
    }

    private static void assertExists(String header, String heading) {
        Matcher name = Pattern.compile(heading + "\\s+(io\\.fireq\\.[\\w.]+)").matcher(header);
        assertThat(name.find()).as(heading).isTrue();
        assertThatCode(() -> Class.forName(name.group(1))).as(heading).doesNotThrowAnyException();
    }
}
