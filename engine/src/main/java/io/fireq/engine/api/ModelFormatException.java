package io.fireq.engine.api;

import java.nio.file.Path;

/** A model file does not hold what its format promises. */
public final class ModelFormatException extends FireqException {
    private final transient Path path;
    private final long offset;

    /**
     * @param path    the file
     * @param offset  byte offset in the file at which it went wrong, or -1 where none applies
     * @param problem what is wrong, actual and required, and what to do
     */
    public ModelFormatException(Path path, long offset, String problem) {
        this(path, offset, problem, null);
    }

    public ModelFormatException(Path path, long offset, String problem, Throwable cause) {
        super(offset < 0 ? "%s: %s".formatted(path, problem) : "%s at byte %,d: %s".formatted(path, offset, problem),
                cause);
        this.path = path;
        this.offset = offset;
    }

    public Path path() {
        return path;
    }

    /** Byte offset in the file, or -1. */
    public long offset() {
        return offset;
    }
}
