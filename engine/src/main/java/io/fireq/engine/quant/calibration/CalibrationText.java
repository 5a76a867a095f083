package io.fireq.engine.quant.calibration;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.tokenizer.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;

/**
 * Text that a quantizer watches a model read.
 *
 * @param name      where it is from
 * @param documents texts of their own
 */
public record CalibrationText(String name, List<String> documents) {
    /** Excerpts of OpenStax textbooks and Wikinews; NOTICE.md beside it names their licences. */
    private static final String BUILT_IN = "/io/fireq/engine/quant/calibration/calibration.txt.gz";
    /** Calibration needs a hundred thousand tokens or so; a file far beyond that is a mistake. */
    private static final long MAX_BYTES = 256L << 20;

    public CalibrationText {
        documents = documents.stream().filter(document -> !document.isBlank()).toList();
        if (documents.isEmpty()) {
            throw new FireqException("Calibration text %s: it holds no text; name a UTF-8 text file, or JSON lines with a "
                    .formatted(name) + "\"text\"");
        }
    }

    /** The text of a file, or the one that FireQ brings along. */
    public static CalibrationText load(Optional<Path> file) {
        return file.isPresent() ? read(file.get()) : builtIn();
    }

    private static CalibrationText builtIn() {
        try (InputStream in = CalibrationText.class.getResourceAsStream(BUILT_IN)) {
            if (in == null) {
                throw new FireqException("Calibration text: %s is not in the engine's jar, which is incomplete; name a "
                        .formatted(BUILT_IN) + "text file");
            }
            byte[] bytes = new GZIPInputStream(in).readAllBytes();
            return new CalibrationText("built-in", List.of(new String(bytes, StandardCharsets.UTF_8)));
        } catch (IOException e) {
            throw new FireqException("Calibration text %s: %s; name a text file".formatted(BUILT_IN, e), e);
        }
    }

    /** Reads a file: JSON lines where its name ends in {@code .jsonl}, else one UTF-8 text. */
    private static CalibrationText read(Path file) {
        try {
            if (!Files.isRegularFile(file)) {
                throw new FireqException("Calibration text %s: there is no such file".formatted(file));
            }
            if (Files.size(file) > MAX_BYTES) {
                throw new FireqException("Calibration text %s: it has %,d bytes, at most %,d are read; cut an excerpt"
                        .formatted(file, Files.size(file), MAX_BYTES));
            }
            String name = file.getFileName().toString();
            return new CalibrationText(name, name.toLowerCase(Locale.ROOT).endsWith(".jsonl")
                    ? jsonLines(file)
                    : List.of(Files.readString(file)));
        } catch (CharacterCodingException e) {
            throw new FireqException("Calibration text %s: it is not UTF-8; convert it".formatted(file), e);
        } catch (IOException e) {
            throw new FireqException("Calibration text %s: %s".formatted(file, e), e);
        }
    }

    private static List<String> jsonLines(Path file) throws IOException {
        List<String> documents = new ArrayList<>();
        List<String> lines = Files.readAllLines(file);
        for (int i = 0; i < lines.size(); i++) {
            if (lines.get(i).isBlank()) {
                continue;
            }
            try {
                documents.add(Json.readObject(file, lines.get(i).getBytes(StandardCharsets.UTF_8), JsonLimits.LINE)
                        .requireString("text"));
            } catch (ModelFormatException e) {
                throw new FireqException("Calibration text, line %d: %s".formatted(i + 1, e.getMessage()), e);
            }
        }
        return documents;
    }

    /**
     * The text as windows of token ids. Every other one begins with the beginning-of-text token, as prompts do, the rest
     * in the middle of a text, as the second window of a long one does.
     *
     * @param count     most windows; where the text has more, a choice of them in the order of the text
     * @param windowLen most tokens of a window; a text shorter than a window makes one of its own length
     * @param seed      of the choice
     */
    public List<int[]> windows(Tokenizer tokenizer, int count, int windowLen, long seed) {
        int[] tokens = tokens(tokenizer);
        OptionalInt bos = tokenizer.bosId();
        List<int[]> windows = new ArrayList<>();
        for (int at = 0; at < tokens.length;) {
            int prefix = bos.isPresent() && windows.size() % 2 == 0 && windowLen > 1 ? 1 : 0;
            int taken = Math.min(windowLen - prefix, tokens.length - at);
            if (prefix + taken < windowLen && !windows.isEmpty()) {
                break; // the rest is shorter than a window
            }
            int[] window = new int[prefix + taken];
            if (prefix == 1) {
                window[0] = bos.getAsInt();
            }
            System.arraycopy(tokens, at, window, prefix, taken);
            windows.add(window);
            at += taken;
        }
        return choose(windows, count, seed);
    }

    private int[] tokens(Tokenizer tokenizer) {
        IntStream tokens = IntStream.empty();
        for (String document : documents) {
            tokens = IntStream.concat(tokens, Arrays.stream(tokenizer.encode(document)));
        }
        return tokens.toArray();
    }

    private static List<int[]> choose(List<int[]> windows, int count, long seed) {
        if (windows.size() <= count) {
            return windows;
        }
        int[] order = IntStream.range(0, windows.size()).toArray();
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < count; i++) {
            int other = random.nextInt(i, order.length);
            int swapped = order[i];
            order[i] = order[other];
            order[other] = swapped;
        }
        return Arrays.stream(order, 0, count).sorted().mapToObj(windows::get).toList();
    }
}
