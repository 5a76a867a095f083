package io.fireq.engine.quant;

import io.fireq.engine.backend.cpu.CpuMath;
import io.fireq.engine.backend.cuda.CudaMath;
import io.fireq.engine.backend.cuda.CudaMatrix;
import io.fireq.engine.backend.cuda.CudaRounding;
import io.fireq.engine.tensor.Int4Matrix;

/** Matrix work on the GPU, where the matrices stay. What is left to the host runs on its threads. */
final class CudaMatrixMath implements MatrixMath {
    private final CudaMath cuda;
    private final CpuMath host;

    /** Owns both. */
    CudaMatrixMath(CudaMath cuda, CpuMath host) {
        this.cuda = cuda;
        this.host = host;
    }

    private record OnDevice(CudaMatrix matrix) implements Matrix {
        @Override
        public int rows() {
            return matrix.rows();
        }

        @Override
        public int columns() {
            return matrix.columns();
        }

        @Override
        public void close() {
            matrix.close();
        }
    }

    private static CudaMatrix of(Matrix matrix) {
        return ((OnDevice) matrix).matrix;
    }

    @Override
    public String description() {
        return cuda.description();
    }

    @Override
    public Matrix zeros(int rows, int columns) {
        return new OnDevice(cuda.zeros(rows, columns));
    }

    @Override
    public Matrix upload(float[] values, int columns) {
        return new OnDevice(cuda.upload(values, columns));
    }

    @Override
    public float[] download(Matrix a) {
        return cuda.download(of(a));
    }

    @Override
    public Matrix everyRow(Matrix a, int step) {
        return new OnDevice(cuda.everyRow(of(a), step));
    }

    @Override
    public Matrix rows(Matrix a, int from, int count) {
        return new OnDevice(cuda.rows(of(a), from, count));
    }

    @Override
    public Matrix permuted(Matrix a, int[] order) {
        return new OnDevice(cuda.permuted(of(a), order));
    }

    @Override
    public Matrix timesColumns(Matrix a, double[] scales) {
        return new OnDevice(cuda.scaled(of(a), null, scales));
    }

    @Override
    public Matrix overPairs(Matrix a, double[] scales) {
        double[] inverse = new double[scales.length];
        for (int i = 0; i < scales.length; i++) {
            inverse[i] = 1 / scales[i];
        }
        return new OnDevice(cuda.scaled(of(a), inverse, inverse));
    }

    @Override
    public float[] diagonal(Matrix a) {
        return cuda.diagonal(of(a));
    }

    @Override
    public Matrix withDiagonal(Matrix a, float[] diagonal) {
        return new OnDevice(cuda.withDiagonal(of(a), diagonal));
    }

    @Override
    public void addGram(float[] x, int nTokens, Matrix sum) {
        cuda.addGram(x, nTokens, of(sum));
    }

    @Override
    public void addCross(float[] y, float[] x, int nTokens, Matrix sum) {
        cuda.addCross(y, x, nTokens, of(sum));
    }

    @Override
    public void mirror(Matrix a) {
        cuda.mirror(of(a));
    }

    @Override
    public void add(Matrix to, Matrix from) {
        cuda.add(of(to), of(from));
    }

    @Override
    public double dot(Matrix a, Matrix b) {
        return cuda.dot(of(a), 1, of(b), null);
    }

    @Override
    public double gain(Matrix step, Matrix missing, Matrix product) {
        return cuda.dot(of(step), 2, of(missing), of(product));
    }

    @Override
    public void addProduct(Matrix a, Matrix b, Matrix c) {
        cuda.addProduct(1, of(a), of(b), of(c));
    }

    @Override
    public void subtractProduct(Matrix a, Matrix b, Matrix c) {
        cuda.addProduct(-1, of(a), of(b), of(c));
    }

    @Override
    public Matrix timesInverse(Matrix a, Matrix triangle) {
        return new OnDevice(cuda.timesInverse(of(a), of(triangle)));
    }

    @Override
    public Matrix inverseCholesky(Matrix a, double relative) {
        return new OnDevice(cuda.inverseCholesky(of(a), relative));
    }

    @Override
    public WeightRounding rounding(Matrix weights, int groupSize, float[] values) {
        return new Rounding(cuda.rounding(of(weights), groupSize, values, WeightRounding::rowScale));
    }

    private record Rounding(CudaRounding rounding) implements WeightRounding {
        @Override
        public void roundWithFeedback(Matrix triangle, int[] order) {
            rounding.roundWithFeedback(of(triangle), order);
        }

        @Override
        public void round(float[] importance) {
            rounding.round(importance);
        }

        @Override
        public void refine(Matrix gram) {
            rounding.refine(of(gram));
        }

        @Override
        public void fitRowScales(Matrix gram) {
            rounding.fitRowScales(of(gram));
        }

        @Override
        public double outputError(Matrix gram) {
            return rounding.outputError(of(gram));
        }

        @Override
        public double squaredError() {
            return rounding.squaredError();
        }

        @Override
        public double clipShare() {
            return rounding.clipShare();
        }

        @Override
        public Int4Matrix toMatrix(String name) {
            return rounding.toMatrix(name);
        }

        @Override
        public void close() {
            rounding.close();
        }
    }

    @Override
    public void parallelFor(int n, int grain, RowBody body) {
        host.parallelFor(n, grain, body::run);
    }

    @Override
    public void close() {
        cuda.close();
        host.close();
    }
}
