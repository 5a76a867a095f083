package io.fireq.kernels.linalg;

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

/** The passes that round a {@link RoundedWeight}, a group of columns of every row at a time. */
public final class GroupRounding {
    private static final String NAME = "GroupRounding";
    private static final int THREADS = 256;
    private static final int WARP = 32;
    private static final int MAX_WARPS = 8;
    private static final int GRID_BYTES = 128;
    private static final int BYTES_PER_COLUMN = 12;
    private static final int MAX_GRID_Y = 65_535;

    private final KernelFunction round;
    private final KernelFunction roundWithFeedback;
    private final KernelFunction refine;
    private final KernelFunction errors;
    private final KernelFunction residual;
    private final KernelFunction pack;
    private final KernelArgs roundArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT);
    private final KernelArgs refineArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, INT, INT, INT, INT);
    private final KernelArgs errorArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT);
    private final KernelArgs residualArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT);
    private final KernelArgs packArgs = new KernelArgs(ADDRESS, ADDRESS, INT, INT);

    public GroupRounding(CudaContext context) {
        round = context.kernel(roundSpec(false));
        roundWithFeedback = context.kernel(roundSpec(true));
        refine = context.kernel(refineSpec());
        errors = context.kernel(spec("rounding_errors"));
        residual = context.kernel(spec("weight_residual"));
        pack = context.kernel(spec("pack_codes"));
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(roundSpec(false), roundSpec(true), refineSpec(), spec("rounding_errors"), spec("weight_residual"),
                spec("pack_codes"));
    }

    private static KernelSpec roundSpec(boolean feedback) {
        return new KernelSpec("linalg/round_group.cuh", "round_group", KernelConfig.empty()
                .with("MAX_THREADS", MAX_WARPS * WARP).with("FEEDBACK", feedback), true);
    }

    private static KernelSpec refineSpec() {
        return new KernelSpec("linalg/refine_group.cuh", "refine_group",
                KernelConfig.empty().with("MAX_THREADS", MAX_WARPS * WARP), true);
    }

    private static KernelSpec spec(String kernel) {
        return new KernelSpec("linalg/" + kernel + ".cuh", kernel, KernelConfig.empty().with("THREADS", THREADS), true);
    }

    /**
     * Queues the rounding of all groups, each weight by itself.
     *
     * @param rest       {@code [n, k]}, the weights divided by their row scale
     * @param importance {@code [k]} f32 of an error's square; null for 1
     */
    public void round(CudaStream stream, RoundedWeight w, DeviceMatrix rest, DeviceBuffer importance) {
        roundArgs.set(0, rest.values()).setNull(1);
        setOptional(roundArgs, 2, importance, "importance [k]", w.k());
        roundArgs.setNull(3).setNull(9);
        launchRound(round, stream, w, 0, w.k() / w.groupSize());
    }

    /**
     * Queues the rounding of one group, with the errors of its columns taken back from those behind them in it.
     *
     * @param rest     {@code [n, k]} what is left to round, columns in {@code order}
     * @param triangle {@code [k, k]} U with {@code UᵀU = H⁻¹}, in that order
     * @param order    {@code [k]} i32, the column that is j-th; null for j
     * @param changes  {@code [n, groupSize]} f32, the negative errors: what is behind the group gets
     *                 {@code changes · triangle}
     */
    public void roundWithFeedback(CudaStream stream, RoundedWeight w, DeviceMatrix rest, DeviceMatrix triangle,
            DeviceBuffer order, int group, DeviceMatrix changes) {
        requireSquare(triangle, w);
        requireChanges(changes, w);
        roundArgs.set(0, rest.values()).set(1, triangle.values()).setNull(2);
        setOptional(roundArgs, 3, order, "order [k]", w.k());
        roundArgs.set(9, changes.values());
        launchRound(roundWithFeedback, stream, w, group, 1);
    }

    private void launchRound(KernelFunction kernel, CudaStream stream, RoundedWeight w, int firstGroup, int groups) {
        roundArgs.set(4, w.levels()).set(5, w.codeOf()).set(6, w.codes()).set(7, w.rounded().values()).set(8, w.scales());
        roundArgs.set(10, w.n()).set(11, w.k()).set(12, w.groupSize()).set(13, firstGroup);
        kernel.launch(stream, shape(kernel, w, groups), roundArgs);
    }

    /**
     * Queues a sweep over one group.
     *
     * @param gradient {@code [n, k]}, {@code (w/rowScale − rounded) · gram} of the state before
     * @param gram     {@code [k, k]}
     * @param changes  {@code [n, groupSize]} f32, before minus after: what is behind the group gets {@code changes · gram}
     */
    public void refine(CudaStream stream, RoundedWeight w, DeviceMatrix gradient, DeviceMatrix gram, int group,
            DeviceMatrix changes) {
        requireSquare(gram, w);
        requireChanges(changes, w);
        refineArgs.set(0, gradient.values()).set(1, gram.values()).set(2, w.levels()).set(3, w.codeOf())
                .set(4, w.scales()).set(5, w.codes()).set(6, w.rounded().values()).set(7, changes.values());
        refineArgs.set(8, w.n()).set(9, w.k()).set(10, w.groupSize()).set(11, group);
        refine.launch(stream, shape(refine, w, 1), refineArgs);
    }

    /** Queues, per row, {@code Σ (w − rowScale·rounded)²} and how many weights were clipped; out is {@code [n, 2]} f64. */
    public void errors(CudaStream stream, RoundedWeight w, DeviceBuffer out) {
        errorArgs.set(0, w.weights().values()).set(1, w.rounded().values()).set(2, w.rowScales()).set(3, w.scales())
                .set(4, w.levels()).set(5, out.require(NAME, "out [n, 2]", 2L * w.n(), Double.BYTES));
        errorArgs.set(6, w.k()).set(7, w.groupSize());
        errors.launch(stream, LaunchShape.of(w.n(), THREADS), errorArgs);
    }

    /**
     * Queues {@code out = w/rowScale}, its columns in {@code order}.
     *
     * @param order {@code [k]} i32; null for as they are
     */
    public void scaled(CudaStream stream, RoundedWeight w, DeviceBuffer order, DeviceMatrix out) {
        residualArgs.setNull(2);
        setOptional(residualArgs, 3, order, "order [k]", w.k());
        launchResidual(stream, w, out);
    }

    /** Queues {@code out = w/rowScale − rounded}. */
    public void differences(CudaStream stream, RoundedWeight w, DeviceMatrix out) {
        residualArgs.set(2, w.rounded().values()).setNull(3);
        launchResidual(stream, w, out);
    }

    private void launchResidual(CudaStream stream, RoundedWeight w, DeviceMatrix out) {
        if (out.rows() != w.n() || out.columns() != w.k() || !out.isContiguous()) {
            throw new IllegalArgumentException("%s: the result is [%d, %d], required [%d, %d], contiguous"
                    .formatted(NAME, out.rows(), out.columns(), w.n(), w.k()));
        }
        residualArgs.set(0, w.weights().values()).set(1, w.rowScales()).set(4, out.values()).set(5, w.n()).set(6, w.k());
        residual.launch(stream, LaunchShape.of(1, THREADS)
                .grid((w.k() + THREADS - 1) / THREADS, Math.min(w.n(), MAX_GRID_Y), 1), residualArgs);
    }

    /** Queues the codes in checkpoint order, two to a byte; packed is {@code [n, ceil(k/2)]} bytes. */
    public void pack(CudaStream stream, RoundedWeight w, DeviceBuffer packed) {
        long bytes = (long) w.n() * ((w.k() + 1) / 2);
        packArgs.set(0, w.codes()).set(1, packed.require(NAME, "packed [n, ceil(k/2)]", bytes, 1)).set(2, w.n())
                .set(3, w.k());
        pack.launch(stream, LaunchShape.of(Math.toIntExact((bytes + THREADS - 1) / THREADS), THREADS), packArgs);
    }

    /** As many warps to a CTA as shared memory holds groups. */
    private static LaunchShape shape(KernelFunction kernel, RoundedWeight w, int groups) {
        int warpBytes = GRID_BYTES + BYTES_PER_COLUMN * w.groupSize();
        int warps = Math.min(MAX_WARPS, kernel.maxDynamicSmemBytes() / warpBytes);
        if (warps == 0) {
            throw new IllegalArgumentException(
                    "%s: groupSize=%d needs %,d bytes of shared memory, the device has %,d; choose a smaller one"
                            .formatted(NAME, w.groupSize(), warpBytes, kernel.maxDynamicSmemBytes()));
        }
        return LaunchShape.of(1, warps * WARP).grid((w.n() + warps - 1) / warps, groups, 1).smem(warps * warpBytes);
    }

    private static void setOptional(KernelArgs args, int index, DeviceBuffer buffer, String operand, int count) {
        if (buffer == null) {
            args.setNull(index);
        } else {
            args.set(index, buffer.require(NAME, operand, count, 4));
        }
    }

    private static void requireSquare(DeviceMatrix matrix, RoundedWeight w) {
        if (matrix.rows() != w.k() || matrix.columns() != w.k() || !matrix.isContiguous()) {
            throw new IllegalArgumentException("%s: the moments' matrix is [%d, %d], required [k, k] with k=%d, contiguous"
                    .formatted(NAME, matrix.rows(), matrix.columns(), w.k()));
        }
    }

    private static void requireChanges(DeviceMatrix changes, RoundedWeight w) {
        if (changes.rows() != w.n() || changes.columns() != w.groupSize() || !changes.isContiguous()) {
            throw new IllegalArgumentException("%s: changes are [%d, %d], required [n, groupSize] = [%d, %d], contiguous"
                    .formatted(NAME, changes.rows(), changes.columns(), w.n(), w.groupSize()));
        }
    }
}
