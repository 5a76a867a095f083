package io.fireq.kernels.bench;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaEvent;
import io.fireq.kernels.cuda.CudaProbe;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.linalg.DeviceMatrix;
import io.fireq.kernels.linalg.F32Gemm;
import io.fireq.kernels.linalg.GroupRounding;
import io.fireq.kernels.linalg.InverseCholesky;
import io.fireq.kernels.linalg.MatrixOps;
import io.fireq.kernels.linalg.RoundedWeight;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/** Times the quantizer's matrix work at the shapes of Llama-3-8B and prints a table. No arguments. */
public final class LinalgBench {
    private static final int GROUP = 128;

    private final CudaContext context;
    private final CudaStream stream;
    private final F32Gemm gemm;
    private final List<DeviceBuffer> buffers = new ArrayList<>();

    private LinalgBench(CudaContext context, CudaStream stream) {
        this.context = context;
        this.stream = stream;
        gemm = new F32Gemm(context);
    }

    public static void main(String[] args) {
        try (CudaContext context = CudaContext.open(CudaProbe.probe().device().orElseThrow());
                CudaStream stream = context.newStream()) {
            System.out.println(context.device().describe());
            LinalgBench bench = new LinalgBench(context, stream);
            bench.product("x · wT, gate and up", 512, 28672, 4096, false, true);
            bench.product("w · H, gate and up", 28672, 4096, 4096, false, false);
            bench.product("w · H, down", 4096, 14336, 14336, false, false);
            bench.product("gram of a window, down", 14336, 14336, 512, true, false);
            bench.product("group update, down", 4096, 14336, 128, false, false);
            bench.cholesky(4096);
            bench.cholesky(14336);
            bench.feedback(28672, 4096);
            bench.feedback(4096, 14336);
        }
    }

    private void product(String what, int m, int n, int k, boolean aTransposed, boolean bTransposed) {
        DeviceMatrix a = random(aTransposed ? k : m, aTransposed ? m : k);
        DeviceMatrix b = random(bTransposed ? n : k, bTransposed ? k : n);
        DeviceMatrix c = random(m, n);
        double millis = time(5, () -> gemm.add(stream, 1e-3f, new F32Gemm.Operand(a, aTransposed),
                new F32Gemm.Operand(b, bTransposed), c));
        System.out.printf(Locale.ROOT, "%-28s %6d x %6d x %6d  %9.3f ms  %6.1f TFLOP/s%n", what, m, n, k, millis,
                2.0 * m * n * k / millis / 1e9);
        free();
    }

    private void cholesky(int k) {
        DeviceMatrix x = random(512, k);
        DeviceMatrix a = DeviceMatrix.of(allocate(4L * k * k), k, k);
        DeviceMatrix result = DeviceMatrix.of(allocate(4L * k * k), k, k);
        a.values().fillAsync(stream, (byte) 0);
        gemm.add(stream, 1, F32Gemm.transposed(x), F32Gemm.plain(x), a);
        for (int i = 0; i < k; i++) {
            a.values().upload(4L * i * k + 4L * i, floats(new float[] {1024}));
        }
        InverseCholesky cholesky = new InverseCholesky(context, gemm, new MatrixOps(context));
        double millis = time(2, () -> cholesky.run(stream, a, result));
        System.out.printf(Locale.ROOT, "%-28s %6d              %9.1f ms%n", "inverse Cholesky", k, millis);
        free();
    }

    private void feedback(int n, int k) {
        DeviceMatrix rest = random(n, k);
        DeviceMatrix triangle = random(k, k);
        RoundedWeight w = new RoundedWeight(random(n, k), GROUP, random(1, n).values(), allocate((long) n * k / GROUP),
                random(n, k), allocate((long) n * k), allocate(64), allocate(64));
        w.levels().upload(0, floats(new float[] {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7}));
        DeviceMatrix changes = random(n, GROUP);
        GroupRounding rounding = new GroupRounding(context);
        double round = time(3, () -> rounding.roundWithFeedback(stream, w, rest, triangle, null, 0, changes));
        double refine = time(3, () -> rounding.refine(stream, w, rest, triangle, 0, changes));
        System.out.printf(Locale.ROOT, "%-28s %6d x %6d           %9.3f ms a group, refinement %.3f ms%n", "GPTQ rounding", n,
                k, round, refine);
        free();
    }

    private double time(int runs, Runnable work) {
        work.run();
        try (CudaEvent begin = context.newEvent(); CudaEvent end = context.newEvent()) {
            begin.record(stream);
            for (int i = 0; i < runs; i++) {
                work.run();
            }
            end.record(stream);
            end.synchronize();
            return end.millisSince(begin) / runs;
        }
    }

    private DeviceMatrix random(int rows, int columns) {
        long size = (long) rows * columns;
        DeviceBuffer buffer = allocate(4 * size);
        Random random = new Random(7);
        float[] values = new float[(int) Math.min(size, 1 << 20)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        ByteBuffer bytes = floats(values);
        for (long at = 0; at < size; at += values.length) {
            bytes.limit((int) Math.min(bytes.capacity(), 4 * (size - at)));
            buffer.upload(4 * at, bytes);
        }
        return DeviceMatrix.of(buffer, rows, columns);
    }

    private DeviceBuffer allocate(long bytes) {
        DeviceBuffer buffer = context.allocate("bench", bytes);
        buffers.add(buffer);
        return buffer;
    }

    private static ByteBuffer floats(float[] values) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes;
    }

    private void free() {
        buffers.forEach(DeviceBuffer::close);
        buffers.clear();
    }
}
