package io.fireq.kernels.elementwise;

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

/** {@code out[t,:] = table[tokenIds[t],:]}: rows of a bf16 table, or of an e4m3 or int4 table times its scales. */
public final class EmbeddingGather {
    private static final String NAME = "EmbeddingGather";
    private static final int THREADS = 128;
    private static final KernelSpec INT4 = new KernelSpec("elementwise/embedding_gather_int4.cuh",
            "embedding_gather_int4", KernelConfig.empty().with("THREADS", THREADS), true);

    private final KernelFunction wideBf16;
    private final KernelFunction narrowBf16;
    private final KernelFunction wideE4m3;
    private final KernelFunction narrowE4m3;
    private final KernelFunction int4;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT);
    private final KernelArgs int4Args =
            new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT);

    public EmbeddingGather(CudaContext context) {
        wideBf16 = context.kernel(spec(RowVector.WIDE, false));
        narrowBf16 = context.kernel(spec(RowVector.NARROW, false));
        wideE4m3 = context.kernel(spec(RowVector.WIDE, true));
        narrowE4m3 = context.kernel(spec(RowVector.NARROW, true));
        int4 = context.kernel(INT4);
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(spec(RowVector.WIDE, false), spec(RowVector.NARROW, false), spec(RowVector.WIDE, true),
                spec(RowVector.NARROW, true), INT4);
    }

    private static KernelSpec spec(int vector, boolean tableE4m3) {
        return new KernelSpec("elementwise/embedding_gather.cuh", "embedding_gather", KernelConfig.empty()
                .with("THREADS", THREADS).with("VECTOR", vector).with("TABLE_E4M3", tableE4m3), true);
    }

    /**
     * Queues the gather of a bf16 table.
     *
     * @param tokenIds {@code [nTokens]} i32, below vocabSize; another id ends the context with a trap
     * @param table    {@code [vocabSize, width]} bf16
     * @param out      {@code [nTokens, width]} bf16
     */
    public void launchBf16(CudaStream stream, DeviceBuffer tokenIds, DeviceBuffer table, int nTokens, int vocabSize,
            int width, DeviceBuffer out) {
        table.require(NAME, "table [vocabSize, width]", (long) vocabSize * width, 2);
        args.setNull(2);
        launch(stream, tokenIds, table, nTokens, vocabSize, width, out, wideBf16, narrowBf16);
    }

    /**
     * Queues the gather of an e4m3 table.
     *
     * @param tokenIds {@code [nTokens]} i32, below vocabSize; another id ends the context with a trap
     * @param table    {@code [vocabSize, width]} e4m3
     * @param rowScale {@code [vocabSize]} f32
     * @param out      {@code [nTokens, width]} bf16
     */
    public void launchE4m3(CudaStream stream, DeviceBuffer tokenIds, DeviceBuffer table, DeviceBuffer rowScale,
            int nTokens, int vocabSize, int width, DeviceBuffer out) {
        table.require(NAME, "table [vocabSize, width]", (long) vocabSize * width, 1);
        args.set(2, rowScale.require(NAME, "rowScale [vocabSize]", vocabSize, 4));
        launch(stream, tokenIds, table, nTokens, vocabSize, width, out, wideE4m3, narrowE4m3);
    }

    /**
     * Queues the gather of an int4 table in checkpoint order.
     *
     * @param tokenIds    {@code [nTokens]} i32, below vocabSize; another id ends the context with a trap
     * @param codes       {@code [vocabSize, ceil(width/2)]} bytes, low nibble = even column
     * @param groupScales {@code [vocabSize, width/groupSize]} e4m3
     * @param rowScale    {@code [vocabSize]} f32
     * @param values      {@code [16]} f32, the values behind the nibbles 0..15
     * @param out         {@code [nTokens, width]} bf16
     */
    public void launchInt4(CudaStream stream, DeviceBuffer tokenIds, DeviceBuffer codes, DeviceBuffer groupScales,
            DeviceBuffer rowScale, DeviceBuffer values, int nTokens, int vocabSize, int width, int groupSize,
            DeviceBuffer out) {
        if (groupSize < 1 || width % groupSize != 0) {
            throw new IllegalArgumentException("%s: width=%d is not a multiple of groupSize=%d".formatted(NAME, width,
                    groupSize));
        }
        int4Args.set(0, tokenIds.require(NAME, "tokenIds [nTokens]", nTokens, 4));
        int4Args.set(1, codes.require(NAME, "codes [vocabSize, ceil(width/2)]", vocabSize * ((width + 1L) / 2), 1));
        int4Args.set(2, groupScales.require(NAME, "groupScales [vocabSize, width/groupSize]",
                (long) vocabSize * (width / groupSize), 1));
        int4Args.set(3, rowScale.require(NAME, "rowScale [vocabSize]", vocabSize, 4));
        int4Args.set(4, values.require(NAME, "values [16]", 16, 4));
        int4Args.set(5, out.require(NAME, "out [nTokens, width]", (long) nTokens * width, 2));
        int4Args.set(6, width).set(7, groupSize).set(8, vocabSize);
        int4.launch(stream, LaunchShape.of(nTokens, THREADS).overlapping(), int4Args);
    }

    private void launch(CudaStream stream, DeviceBuffer tokenIds, DeviceBuffer table, int nTokens, int vocabSize,
            int width, DeviceBuffer out, KernelFunction wide, KernelFunction narrow) {
        args.set(0, tokenIds.require(NAME, "tokenIds [nTokens]", nTokens, 4));
        args.set(1, table);
        args.set(3, out.require(NAME, "out [nTokens, width]", (long) nTokens * width, 2));
        args.set(4, width).set(5, vocabSize);
        boolean isWide = RowVector.isWide(width) && table.isAligned(16) && out.isAligned(16);
        (isWide ? wide : narrow).launch(stream, LaunchShape.of(nTokens, THREADS).overlapping(), args);
    }
}
