package io.fireq.engine.backend.cpu;

/** Buffers that one thread lends to the kernels it runs. They grow and hold nothing between calls. */
public final class KernelScratch {
    /** Sixteen vectors of up to 64 lanes. */
    private static final int MAX_LANES = 16 * 64;

    private float[] floats = {};
    private float[][] panel = {};
    private byte[] bytes = {};
    private byte[] scales = {};
    private byte[] tables = {};
    private int[] ints = {};
    private short[] shorts = {};
    private final float[] lanes = new float[MAX_LANES];

    /** At least {@code size} floats of any content. */
    public float[] floats(int size) {
        if (floats.length < size) {
            floats = new float[size];
        }
        return floats;
    }

    /** At least {@code rows} arrays, all of at least {@code columns} floats if asked for the same number each time. */
    public float[][] panel(int rows, int columns) {
        if (panel.length < rows || panel[0].length < columns) {
            panel = new float[rows][columns];
        }
        return panel;
    }

    /** Room for sixteen float vectors of any size, beside {@link #floats}. */
    public float[] lanes() {
        return lanes;
    }

    /** At least {@code size} bytes of any content. */
    public byte[] bytes(int size) {
        if (bytes.length < size) {
            bytes = new byte[size];
        }
        return bytes;
    }

    /** At least {@code size} bytes of any content, for scales beside {@link #bytes}. */
    public byte[] scales(int size) {
        if (scales.length < size) {
            scales = new byte[size];
        }
        return scales;
    }

    /** At least {@code size} bytes of any content, for value tables beside {@link #bytes}. */
    public byte[] tables(int size) {
        if (tables.length < size) {
            tables = new byte[size];
        }
        return tables;
    }

    /** At least {@code size} shorts of any content. */
    public short[] shorts(int size) {
        if (shorts.length < size) {
            shorts = new short[size];
        }
        return shorts;
    }

    /** At least {@code size} ints of any content. */
    public int[] ints(int size) {
        if (ints.length < size) {
            ints = new int[size];
        }
        return ints;
    }
}
