package io.fireq.kernels.sampling;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import java.util.List;

/** Draws one token from each row of logits, so that only token ids cross to the host. Every row has its own parameters. */
public final class SampleRows {
    private static final String NAME = "SampleRows";
    /** All of an SM's registers: for so few rows that every CTA has an SM to itself. */
    private static final int MANY_THREADS = 1024;
    /** Two CTAs share an SM, and one runs while the other waits at a barrier. */
    private static final int THREADS = 512;
    private static final int CLUSTER = 8;
    private static final int MAX_WIDTH = 1 << 23;

    private final KernelFunction fewRows;
    private final KernelFunction manyRows;
    private final KernelFunction wideRows;
    private final int nSms;
    private final int maxCachedBytes;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT);

    public SampleRows(CudaContext context) {
        fewRows = context.kernel(spec(MANY_THREADS, true));
        manyRows = context.kernel(spec(THREADS, true));
        wideRows = context.kernel(spec(THREADS, false));
        nSms = context.device().nSms();
        maxCachedBytes = Math.min(fewRows.maxDynamicSmemBytes(), manyRows.maxDynamicSmemBytes());
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(spec(MANY_THREADS, true), spec(THREADS, true), spec(THREADS, false));
    }

    private static KernelSpec spec(int threads, boolean cached) {
        return new KernelSpec("sampling/sample_rows.cuh", "sample_rows", KernelConfig.empty().with("THREADS", threads)
                .with("CLUSTER", CLUSTER).with("CACHED", cached), true);
    }

    /**
     * Queues the draw.
     *
     * @param logits    {@code [nRows, width]} f32; penalties overwrite the logits of rows that are too wide for shared
     *                  memory, more than about 430,000
     * @param rows      {@code [nRows]} of {@link SamplingRow}
     * @param penalties {@code [all rows' penalties]} pairs of i32, token and count
     * @param out       {@code [nRows]} i32: a token each, -1 where a logit is NaN or the largest is infinite
     */
    public void launch(CudaStream stream, DeviceBuffer logits, DeviceBuffer rows, DeviceBuffer penalties, int nRows,
            int width, DeviceBuffer out) {
        if (nRows < 1 || width < 1 || width > MAX_WIDTH) {
            throw new IllegalArgumentException("%s: nRows=%d width=%,d; required nRows 1 or more, width 1 to %,d"
                    .formatted(NAME, nRows, width, MAX_WIDTH));
        }
        args.set(0, logits.require(NAME, "logits [nRows, width]", (long) nRows * width, 4));
        args.set(1, rows.require(NAME, "rows [nRows, %d]".formatted(SamplingRow.INTS), (long) nRows * SamplingRow.INTS, 4));
        args.set(2, penalties);
        args.set(3, out.require(NAME, "out [nRows]", nRows, 4));
        args.set(4, width);
        int cachedBytes = (width + CLUSTER - 1) / CLUSTER * Float.BYTES;
        int ctas = Math.multiplyExact(nRows, CLUSTER);
        if (cachedBytes > maxCachedBytes) {
            wideRows.launch(stream, LaunchShape.of(ctas, THREADS).cluster(CLUSTER), args);
        } else if (ctas > nSms) {
            manyRows.launch(stream, LaunchShape.of(ctas, THREADS).cluster(CLUSTER).smem(cachedBytes), args);
        } else {
            fewRows.launch(stream, LaunchShape.of(ctas, MANY_THREADS).cluster(CLUSTER).smem(cachedBytes), args);
        }
    }
}
