package io.fireq.engine.quant;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What goes along with the weights from one checkpoint to the next: tokenizer, chat template, licence. */
public final class CompanionFiles {
    private static final List<String> NAMES = List.of("tokenizer.json", "tokenizer.model", "tokenizer_config.json",
            "special_tokens_map.json", "chat_template.jinja", "generation_config.json", "LICENSE", "LICENSE.txt");

    private CompanionFiles() {}

    /** Those that a model directory has. */
    public static List<Path> of(Path directory) {
        return NAMES.stream().map(directory::resolve).filter(Files::isRegularFile).toList();
    }
}
