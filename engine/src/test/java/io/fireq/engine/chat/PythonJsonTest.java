package io.fireq.engine.chat;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;

/** Expected values are what {@code json.dumps(json.loads(text), ensure_ascii=False)} prints. */
class PythonJsonTest {
    @Test
    void spells_values_like_python() {
        for (var entry : Map.of(
                "{\"b\":1,\"a\":[true,null,{}],\"c\":[]}", "{\"b\": 1, \"a\": [true, null, {}], \"c\": []}",
                "\"\\u00e9\\n\\t\\\"\\\\\\u0001\\u007f/\"", "\"é\\n\\t\\\"\\\\\\u0001\u007f/\"",
                "[1.50,1e5,1e16,1.25e-7,0.0001,0.0,123456789012345678901234567890]",
                "[1.5, 100000.0, 1e+16, 1.25e-07, 0.0001, 0.0, 123456789012345678901234567890]").entrySet()) {
            assertThat(PythonJson.oneLine(PythonJson.parse("test", entry.getKey()))).isEqualTo(entry.getValue());
        }
    }

    @Test
    void indents_like_python() {
        assertThat(PythonJson.indented(PythonJson.parse("test", "{\"a\":{\"b\":[1,2]},\"c\":{},\"d\":[]}"), 2)).isEqualTo("""
                {
                  "a": {
                    "b": [
                      1,
                      2
                    ]
                  },
                  "c": {},
                  "d": []
                }""");
    }
}
