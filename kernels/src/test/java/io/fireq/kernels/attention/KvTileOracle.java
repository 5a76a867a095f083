package io.fireq.kernels.attention;

import io.fireq.kernels.testing.Formats;
import java.nio.ByteBuffer;

/**
 * An expanded KV record by its meaning: where the tensor core's instruction finds a channel of a token, from the layouts
 * of wgmma rather than from the kernel's formulas.
 */
final class KvTileOracle {
    private KvTileOracle() {}

    /**
     * Fails unless the record holds the tokens, and zero behind them.
     *
     * @param rows  K and V of the sequence's positions 0..first + count - 1
     * @param first position of the record's first token
     * @param count tokens that exist
     */
    static void check(String what, KvTileLayout tile, AttentionOracle.Rows rows, int first, int count,
            ByteBuffer record) {
        double largest = 0;
        for (int t = 0; t < tile.tokens(); t++) {
            boolean exists = t < count;
            double kScale = exists ? rows.kScale()[first + t][0] : 0;
            double vScale = exists ? rows.vScale()[first + t][0] : 0;
            largest = Math.max(largest, vScale);
            float actualKScale = record.getFloat(tile.kScalesOffset() + 4 * scaleOfColumn(t));
            float actualVScale = record.getFloat(tile.vScalesOffset() + 4 * scaleOfColumn(t));
            require(actualKScale == kScale, "%s: K scale of token %d is %s, expected %s", what, t, actualKScale, kScale);
            require(actualVScale == vScale, "%s: V scale of token %d is %s, expected %s", what, t, actualVScale, vScale);
            for (int c = 0; c < tile.headDim(); c++) {
                double k = exists ? rows.kCodes()[first + t][c] - rows.kZero()[first + t][0] : 0;
                double v = exists ? rows.vCodes()[first + t][c] - rows.vZero()[first + t][0] : 0;
                float actualK = Formats.fromE4m3(record.get(swizzled(tile.headDim(), t, c)));
                float actualV = Formats.fromE4m3(record.get(
                        tile.vOffset() + swizzled(tile.tokens(), outputColumn(c), fragmentByte(t))));
                require(actualK == k, "%s: K token %d channel %d is %s, expected %s", what, t, c, actualK, k);
                require(actualV == v, "%s: V token %d channel %d is %s, expected %s", what, t, c, actualV, v);
            }
        }
        double bound = Math.log(largest / 448) / Math.log(2);
        require(Math.abs(record.getFloat(tile.boundOffset()) - bound) < 1e-5, "%s: bound is %s, expected %s", what,
                record.getFloat(tile.boundOffset()), bound);
    }

    /** Hardware swizzle: 16-byte pieces are permuted by the address bits above the row's width. */
    private static int swizzled(int rowBytes, int row, int column) {
        int address = row * rowBytes + column;
        int mask = rowBytes / 16 - 1;
        return address ^ (address >> 7 & mask) << 4;
    }

    /** Lane q of a quad reads 16-byte pieces q, q + 4, ..: the scales of its columns 8i + 2q, 8i + 2q + 1, in order. */
    private static int scaleOfColumn(int token) {
        int lane = token % 8 / 2;
        int order = token / 8 * 2 + token % 2;
        return (order / 4 * 4 + lane) * 4 + order % 4;
    }

    /**
     * The byte of a V row that meets token t's probability: a lane's accumulators for tokens 8i + 2q, 8i + 2q + 1 become
     * its A fragment, whose bytes are k = 4q .. 4q + 3 and 16 + 4q .. of 32.
     */
    private static int fragmentByte(int token) {
        int lane = token % 8 / 2;
        int order = token % 32 / 8 * 2 + token % 2;
        return token / 32 * 32 + order / 4 * 16 + 4 * lane + order % 4;
    }

    /** The output column of a channel: lane q of a quad is to hold channels 32j + 8q .. 8q + 7 in eight accumulators. */
    private static int outputColumn(int channel) {
        int lane = channel % 32 / 8;
        int accumulator = channel % 8;
        return channel / 32 * 32 + accumulator / 2 * 8 + 2 * lane + accumulator % 2;
    }

    private static void require(boolean condition, String message, Object... values) {
        if (!condition) {
            throw new AssertionError(message.formatted(values));
        }
    }
}
