package io.fireq.engine.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    private static final JsonLimits SMALL = new JsonLimits(1000, 50, 5, 20);

    @TempDir
    private Path directory;

    @Test
    void typed_getters_read_values_and_defaults() {
        JsonObject json = read("""
                {"i": 7, "whole": 8.0, "d": 1e-5, "s": "text", "b": true, "none": null, "one": 3, "many": [3, 4],
                 "names": ["a", "b"], "o": {"i": 9}, "list": [{"i": 1}, {"i": 2}]}""", JsonLimits.CONFIG);
        assertThat(json.requireInt("i", 7, 7)).isEqualTo(7);
        assertThat(json.requireInt("whole", 0, 9)).isEqualTo(8);
        assertThat(json.intOr("none", 5, 6, 7)).isEqualTo(5);
        assertThat(json.requireDouble("d", 0, 1)).isEqualTo(1e-5);
        assertThat(json.requireString("s")).isEqualTo("text");
        assertThat(json.string("none")).isEmpty();
        assertThat(json.booleanOr("b", false)).isTrue();
        assertThat(json.booleanOr("c", true)).isTrue();
        assertThat(json.ints("one", 0, 9)).containsExactly(3);
        assertThat(json.ints("many", 0, 9)).containsExactly(3, 4);
        assertThat(json.ints("none", 0, 9)).isEmpty();
        assertThat(json.strings("names")).containsExactly("a", "b");
        assertThat(json.requireObject("o").requireInt("i", 0, 9)).isEqualTo(9);
        assertThat(json.objects("list").get(1).requireInt("i", 0, 9)).isEqualTo(2);
        assertThat(json.keys()).startsWith("i", "whole", "d").hasSize(11);
    }

    @Test
    void a_wrong_value_is_reported_with_its_byte_offset() {
        String text = "{\"ä\": 1, \"outer\": {\"list\": [{\"x\": 1}, {\"x\": \"no\"}]}}";
        JsonObject second = read(text, JsonLimits.CONFIG).requireObject("outer").objects("list").get(1);
        ModelFormatException wrong = formatError(() -> second.requireInt("x", 0, 9));
        assertThat(wrong).hasMessageContaining("'outer.list.1.x' is \"no\"; required is an integer from 0 to 9");
        assertThat(wrong.offset()).isEqualTo(byteOffset(text, "\"no\""));
        assertThat(wrong.path()).isEqualTo(directory.resolve("f.json"));

        ModelFormatException missing = formatError(() -> second.requireString("y"));
        assertThat(missing).hasMessageContaining("'outer.list.1.y' is missing");
        assertThat(missing.offset()).isEqualTo(byteOffset(text, "{\"x\": \"no\""));
    }

    @ParameterizedTest
    @ValueSource(strings = {"1.5", "\"7\"", "-1", "10", "12345678901234567890", "1e400", "true", "[]", "{}"})
    void an_integer_is_nothing_else(String value) {
        JsonObject json = read("{\"x\": " + value + "}", JsonLimits.CONFIG);
        assertThat(formatError(() -> json.requireInt("x", 0, 9)).offset()).isEqualTo(6);
    }

    @ParameterizedTest
    @ValueSource(strings = {"1e400", "-0.1", "2", "\"1\"", "null"})
    void a_number_is_finite_and_in_range(String value) {
        JsonObject json = read("{\"x\": " + value + "}", JsonLimits.CONFIG);
        formatError(() -> json.requireDouble("x", 0, 1));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " ", "[1]", "7", "{", "{\"a\": 1", "{\"a\" 1}", "{\"a\": NaN}", "{\"a\": 01}",
        "{\"a\": 1} {\"b\": 2}", "{\"a\": 1,}", "{'a': 1}", "{\"a\": 1, \"a\": 2}", "{\"o\": {\"a\": 1, \"a\": 2}}",
        "<html>not found</html>"})
    void what_is_not_one_json_object_is_refused(String text) {
        assertThat(formatError(() -> read(text, JsonLimits.CONFIG))).hasMessageContaining("f.json")
                .hasMessageContaining("fetch it again");
    }

    @Test
    void a_syntax_error_has_its_byte_offset() {
        assertThat(formatError(() -> read("{\"ä\": 1, oops}", JsonLimits.CONFIG)).offset())
                .isEqualTo("{\"ä\": 1, ".getBytes(StandardCharsets.UTF_8).length);
    }

    @Test
    void invalid_utf8_is_refused() throws IOException {
        Path file = Files.write(directory.resolve("f.json"), new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'});
        formatError(() -> Json.readObject(file, JsonLimits.CONFIG));
    }

    @Test
    void limits_hold() {
        assertThat(read("{\"a\": [[[\"" + "x".repeat(20) + "\"]]]}", SMALL).keys()).containsExactly("a");
        formatError(() -> read("{\"a\": \"" + "x".repeat(21) + "\"}", SMALL));
        formatError(() -> read("{\"a\": [[[[[1]]]]]}", SMALL));
        formatError(() -> read("{\"a\": [" + "1,".repeat(50) + "1]}", SMALL));
        formatError(() -> read("{\"a\": 1" + "0".repeat(200) + "}", SMALL));
        formatError(() -> read("{\"" + "n".repeat(20_000) + "\": 1}", JsonLimits.CONFIG));
        assertThat(formatError(() -> read("{}" + " ".repeat(1000), SMALL)))
                .hasMessageContaining("longer than %,d bytes".formatted(1000));
    }

    @Test
    void a_file_that_cannot_be_read_is_named() {
        assertThatExceptionOfType(FireqException.class)
                .isThrownBy(() -> Json.readObject(directory.resolve("absent.json"), SMALL))
                .withMessageContaining("absent.json");
        assertThatExceptionOfType(FireqException.class).isThrownBy(() -> Json.readObject(directory, SMALL))
                .withMessageContaining(directory.toString());
    }

    @Test
    void written_text_reads_back_and_is_the_same_everywhere() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("z", 1e-5);
        map.put("a", List.of(1, true, "ü"));
        map.put("o", Map.of("k", 4_000_000_000L));
        String text = Json.write(map);
        assertThat(text).isEqualTo("""
                {
                  "z" : 1.0E-5,
                  "a" : [ 1, true, "ü" ],
                  "o" : {
                    "k" : 4000000000
                  }
                }
                """);
        assertThat(read(text, JsonLimits.CONFIG).toMap()).isEqualTo(map);
    }

    private JsonObject read(String text, JsonLimits limits) {
        try {
            return Json.readObject(Files.writeString(directory.resolve("f.json"), text), limits);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static ModelFormatException formatError(ThrowingCallable call) {
        ModelFormatException thrown = catchThrowableOfType(ModelFormatException.class, call);
        assertThat(thrown).as("a ModelFormatException").isNotNull();
        return thrown;
    }

    private static int byteOffset(String text, String part) {
        return text.substring(0, text.indexOf(part)).getBytes(StandardCharsets.UTF_8).length;
    }
}
