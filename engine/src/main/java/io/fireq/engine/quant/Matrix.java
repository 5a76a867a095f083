package io.fireq.engine.quant;

/** A float32 matrix {@code [rows, columns]}, row-major, where its {@link MatrixMath} keeps it. Closing gives that back. */
interface Matrix extends AutoCloseable {
    int rows();

    int columns();

    @Override
    void close();

    /** Closes all of them; null is nothing to close. */
    static void closeAll(Iterable<Matrix> matrices) {
        for (Matrix matrix : matrices) {
            if (matrix != null) {
                matrix.close();
            }
        }
    }
}
