package io.fireq.kernels.gemm;

import java.util.Optional;

/**
 * Kernel order of an int4 weight: the readable definition of what {@link RepackInt4} does on the device, and
 * its inverse.
 *
 * <p>Packed rows are the weight's rows, or for a gated weight (rows {@code [gate; up]}) eight gates, their eight ups, the
 * next eight gates and so on; zero rows follow up to a multiple of {@link #ROW_ALIGNMENT}, zero columns up to a multiple
 * of 128. A chunk of {@link #CHUNK_BYTES} holds 64 rows of 128 columns as four strips of 16 rows with their group scales,
 * in the order of the tensor core's operand; chunks are stored {@code [rows / 64, k / 128]}.
 *
 * @param n         rows of the weight
 * @param k         columns of the weight
 * @param groupSize columns that share a scale: a multiple of 128, or at least k
 * @param gated     whether rows of gates and ups are interleaved
 * @param signMagnitude whether codes are a sign and an index; else two's complement, whose indices are counted down
 */
public record Int4Fp8WeightLayout(int n, int k, int groupSize, boolean gated, boolean signMagnitude) {
    /** Packed rows are a multiple of this: whole tiles of every kernel. */
    public static final int ROW_ALIGNMENT = 256;
    /** Columns of a chunk. */
    public static final int TILE_K = 128;
    /** Rows of a chunk. */
    static final int CHUNK_ROWS = 64;
    /** Rows of a strip, which is one warp's part of a chunk. */
    static final int STRIP_ROWS = 16;
    /** Codes, then one scale for each row. */
    static final int STRIP_BYTES = STRIP_ROWS * TILE_K / 2 + STRIP_ROWS;
    /** Strips one after another. */
    static final int CHUNK_BYTES = CHUNK_ROWS / STRIP_ROWS * STRIP_BYTES;

    private static final int HALF_BYTES = STRIP_ROWS * TILE_K / 4;
    private static final int CODE_BYTES = 2 * HALF_BYTES;
    private static final int INDEX = 7;
    private static final int GATE_RUN = 8;
    private static final int ROW_BYTES_ALIGNMENT = 16;

    public Int4Fp8WeightLayout {
        unsupported(n, k, groupSize, gated).ifPresent(reason -> {
            throw new IllegalArgumentException("Int4Fp8WeightLayout: " + reason);
        });
    }

    /** Why a weight cannot have this layout; empty where it can. */
    public static Optional<String> unsupported(int n, int k, int groupSize, boolean gated) {
        if (n < 1 || k < 1 || groupSize < 1) {
            return Optional.of("n=%d, k=%d, groupSize=%d; required 1 or more".formatted(n, k, groupSize));
        }
        if (k % ROW_BYTES_ALIGNMENT != 0) {
            return Optional.of("k=%d is not a multiple of %d, so rows of x are not aligned for TMA"
                    .formatted(k, ROW_BYTES_ALIGNMENT));
        }
        if (groupSize % TILE_K != 0 && groupSize < k) {
            return Optional.of("groupSize=%d is neither a multiple of %d nor the whole row of %d"
                    .formatted(groupSize, TILE_K, k));
        }
        if (gated && n % 2 != 0) {
            return Optional.of("n=%d is not an even number of gate and up rows".formatted(n));
        }
        return Optional.empty();
    }

    /** Rows including padding. */
    public int packedRows() {
        int rows = gated ? roundUp(n / 2, GATE_RUN) * 2 : n;
        return roundUp(rows, ROW_ALIGNMENT);
    }

    /** Chunks along k. */
    public int kBlocks() {
        return (k + TILE_K - 1) / TILE_K;
    }

    /** Bytes of the packed weight. */
    public long byteSize() {
        return (long) packedRows() / CHUNK_ROWS * kBlocks() * CHUNK_BYTES;
    }

    /** Group scales of a row in checkpoint order. */
    public int groups() {
        return (k + groupSize - 1) / groupSize;
    }

    /** The row of the weight that a packed row holds, -1 for padding. */
    public int sourceRow(int packedRow) {
        if (!gated) {
            return packedRow < n ? packedRow : -1;
        }
        int inside = packedRow % (2 * GATE_RUN);
        int channel = packedRow / (2 * GATE_RUN) * GATE_RUN + inside % GATE_RUN;
        if (channel >= n / 2) {
            return -1;
        }
        return inside < GATE_RUN ? channel : n / 2 + channel;
    }

    /**
     * Packs a weight.
     *
     * @param codes       {@code [n, ceil(k/2)]} bytes, low nibble = even column
     * @param groupScales {@code [n, ceil(k/groupSize)]} e4m3
     * @return {@link #byteSize()} bytes
     */
    public byte[] pack(byte[] codes, byte[] groupScales) {
        byte[] packed = new byte[Math.toIntExact(byteSize())];
        int rowBytes = (k + 1) / 2;
        for (int p = 0; p < packedRows(); p++) {
            int row = sourceRow(p);
            if (row < 0) {
                continue;
            }
            for (int column = 0; column < k; column++) {
                int code = codes[row * rowBytes + column / 2] >> column % 2 * 4 & 15;
                set(packed, word(p, column), indexBit(column), index(code));
                set(packed, word(p, column), signBit(column), code >> 3);
            }
            for (int block = 0; block < kBlocks(); block++) {
                packed[Math.toIntExact(scaleByte(p, block))] = groupScales[row * groups() + block * TILE_K / groupSize];
            }
        }
        return packed;
    }

    /** A weight in checkpoint order. */
    public record Unpacked(byte[] codes, byte[] groupScales) {}

    /** The inverse of {@link #pack}. */
    public Unpacked unpack(byte[] packed) {
        int rowBytes = (k + 1) / 2;
        byte[] codes = new byte[n * rowBytes];
        byte[] scales = new byte[n * groups()];
        for (int p = 0; p < packedRows(); p++) {
            int row = sourceRow(p);
            if (row < 0) {
                continue;
            }
            for (int column = 0; column < k; column++) {
                int index = get(packed, word(p, column), indexBit(column), INDEX);
                int sign = get(packed, word(p, column), signBit(column), 1);
                int code = sign << 3 | (signMagnitude || sign == 1 ? index : flip(index));
                codes[row * rowBytes + column / 2] |= (byte) (code << column % 2 * 4);
            }
            for (int block = 0; block < kBlocks(); block++) {
                scales[row * groups() + block * TILE_K / groupSize] = packed[Math.toIntExact(scaleByte(p, block))];
            }
        }
        return new Unpacked(codes, scales);
    }

    private long strip(int packedRow, int block) {
        return ((long) packedRow / CHUNK_ROWS * kBlocks() + block) * CHUNK_BYTES
                + packedRow % CHUNK_ROWS / STRIP_ROWS * STRIP_BYTES;
    }

    /** The first byte of the word that holds a code: lane, step and fragment register of the tensor core's operand. */
    private int word(int packedRow, int column) {
        int row = packedRow % STRIP_ROWS;
        int inBlock = column % TILE_K;
        int step = inBlock / 32;
        int lane = row % 8 * 4 + inBlock % 16 / 4;
        int word = step % 2 * 2 + row / 8;
        return Math.toIntExact(strip(packedRow, column / TILE_K) + (long) step / 2 * HALF_BYTES + lane * 16 + word * 4);
    }

    /** Place of a column in its word, 0..7. */
    private static int position(int column) {
        return column % 32 / 16 * 4 + column % 4;
    }

    private static int indexBit(int column) {
        return 4 * position(column);
    }

    /** Signs lie where a shift by 0 or 4 puts them at the top of their byte. */
    private static int signBit(int column) {
        int position = position(column);
        return position < 4 ? 8 * position + 7 : 8 * (position - 4) + 3;
    }

    private static void set(byte[] packed, int word, int bit, int value) {
        packed[word + bit / 8] |= (byte) (value << bit % 8);
    }

    private static int get(byte[] packed, int word, int bit, int mask) {
        return packed[word + bit / 8] >> bit % 8 & mask;
    }

    private long scaleByte(int packedRow, int block) {
        int row = packedRow % STRIP_ROWS;
        return strip(packedRow, block) + CODE_BYTES + row % 8 * 2 + row / 8;
    }

    private int index(int code) {
        return (signMagnitude ? code : flip(code)) & INDEX;
    }

    /** Positive codes q become 8 - q, so that the low bits index magnitudes in one order for both signs. */
    private static int flip(int nibble) {
        return nibble >= 1 && nibble <= 7 ? 8 - nibble : nibble;
    }

    private static int roundUp(int value, int unit) {
        return (value + unit - 1) / unit * unit;
    }
}
