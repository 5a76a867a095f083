package io.fireq.engine.quant;

import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;

/**
 * What a model reads while it is quantized.
 *
 * @param text      a UTF-8 text, or JSON lines with a {@code text} each; empty for the text that FireQ brings along
 * @param windows   most windows of it; 0 for the profile's default
 * @param windowLen tokens of a window; 0 for the profile's default, or the model's context where that is shorter
 * @param seed      of the choice of windows where the text has more, and of a rotation
 */
public record CalibrationOptions(Optional<Path> text, int windows, int windowLen, long seed) {

    /** The built-in text, as much as the profile wants. */
    public static final CalibrationOptions DEFAULT = new CalibrationOptions(Optional.empty(), 0, 0, 1);

    public CalibrationOptions {
        Objects.requireNonNull(text, "text");
        if (windows < 0 || windowLen < 0) {
            throw new IllegalArgumentException("Calibration options: %d windows of %d tokens; both must be 0 or more"
                    .formatted(windows, windowLen));
        }
    }
}
