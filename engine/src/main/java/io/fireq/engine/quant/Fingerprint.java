package io.fireq.engine.quant;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.weights.Checkpoint;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/** Tells whether an unfinished quantization is the one that is asked for now. */
final class Fingerprint {
    /** Raised when the same options come to mean something else. */
    private static final int VERSION = 1;

    private Fingerprint() {}

    /** Of the source's files by name, size and time, the options, the device and the calibration tokens. */
    static String of(Path source, Checkpoint checkpoint, QuantizerOptions options, QuantizerDevice device,
            List<int[]> windows) {
        MessageDigest digest = sha256();
        update(digest, "%d %s %s %s".formatted(VERSION, checkpoint.directory().toAbsolutePath().normalize(), options, device));
        try (Stream<Path> files = Files.list(source)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                update(digest, "%s %d %s".formatted(file.getFileName(), Files.size(file),
                        Files.getLastModifiedTime(file)));
            }
        } catch (IOException | UncheckedIOException e) {
            throw new FireqException("Model directory %s cannot be read: %s".formatted(source, e), e);
        }
        for (int[] window : windows) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * (1 + window.length)).putInt(window.length);
            for (int token : window) {
                bytes.putInt(token);
            }
            digest.update(bytes.flip());
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static void update(MessageDigest digest, String text) {
        digest.update((text + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every JDK has it
        }
    }
}
