package io.fireq.engine.quant.imports;

import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.JsonObject;

/** What several layouts refuse, with the same words. */
final class Refusals {
    static final String REMEDY = "start from the unquantized checkpoint, 'fireq quantize' does the rest";

    private Refusals() {}

    static UnsupportedModelException unsupported(JsonObject json, String actual, String supported) {
        return new UnsupportedModelException("Importing %s: %s; supported: %s; %s"
                .formatted(json.path(), actual, supported, REMEDY));
    }

    static void requireFourBits(JsonObject json, int bits) {
        if (bits != 4) {
            throw unsupported(json, "the weights have %d bits".formatted(bits), "4");
        }
    }

    /** Layouts that pack rows and columns by eight have no others. */
    static void requireWholeWords(LayerTensors tensors, int n, int k) {
        if (n % Nibbles.PER_WORD != 0 || k % Nibbles.PER_WORD != 0) {
            throw new UnsupportedModelException(("Importing '%s': its weight is [%d, %d] by config.json, and this layout "
                    + "packs rows and columns by 8; %s").formatted(tensors, n, k, REMEDY));
        }
    }
}
