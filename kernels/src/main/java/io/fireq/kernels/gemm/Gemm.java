package io.fireq.kernels.gemm;

import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Linear layers of any shape: the fast kernel where it can, {@link PlainGemm} elsewhere, decided once when a weight is
 * prepared. Launches of one object share a workspace: they belong on one stream.
 */
public final class Gemm implements AutoCloseable {
    private static final String NAME = "Gemm";

    private final CudaContext context;
    private final RepackInt4 repack;
    private final Int4Fp8Gemm fast;
    private final SkinnyGemm skinny;
    private final NarrowGemm narrow;
    private final PlainGemm plain;

    public Gemm(CudaContext context) {
        this.context = context;
        this.repack = new RepackInt4(context);
        this.fast = new Int4Fp8Gemm(context);
        this.skinny = new SkinnyGemm(context);
        this.narrow = new NarrowGemm(context);
        this.plain = new PlainGemm(context);
    }

    /** The kernels to build, without those of {@link PlainGemm}. */
    public static List<KernelSpec> specs() {
        return Stream.of(RepackInt4.specs(), Int4Fp8Gemm.specs(), SkinnyGemm.specs(), NarrowGemm.specs())
                .flatMap(List::stream).toList();
    }

    /**
     * Puts a weight into the order that the fast kernel reads, into new buffers; waits for the device.
     *
     * @param gated whether its rows are {@code [gate; up]} for {@link Epilogue#SILU_MUL}
     */
    public GemmWeight prepare(CudaStream stream, LinearWeight source, boolean gated) {
        Optional<String> unsupported = unsupported(source, gated);
        if (unsupported.isPresent()) {
            return GemmWeight.plain(source, gated, unsupported.get());
        }
        if (source.bits() == 8) {
            return GemmWeight.asIs(source, gated);
        }
        Optional<Int4Levels> levels = Int4Levels.of(values(source));
        if (levels.isEmpty()) {
            return GemmWeight.plain(source, gated, "values %s come neither in pairs of opposites nor as two's complement"
                    .formatted(Arrays.toString(values(source))));
        }
        Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(source.n(), source.k(), source.groupSize(), gated,
                levels.get().isSignMagnitude());
        DeviceBuffer packed = context.allocate(source.name() + " packed", layout.byteSize());
        try {
            DeviceBuffer rowScales = context.allocate(source.name() + " row scales", 4L * layout.packedRows());
            repack.launch(stream, source, layout, packed, rowScales);
            // The product may start to read weights before the kernel ahead of it has ended.
            stream.synchronize();
            return GemmWeight.packed(source, layout, packed, rowScales, levels.get());
        } catch (RuntimeException e) {
            packed.close();
            throw e;
        }
    }

    private static Optional<String> unsupported(LinearWeight source, boolean gated) {
        if (source.bits() == 4) {
            return Int4Fp8WeightLayout.unsupported(source.n(), source.k(), source.groupSize(), gated);
        }
        if (gated) {
            return Optional.of("e4m3 rows of gates and ups are not interleaved");
        }
        if (source.k() % 16 != 0 || !source.codes().isAligned(16)) {
            return Optional.of("e4m3 rows of k=%d at %s are not aligned to 16 bytes".formatted(source.k(), source.codes()));
        }
        return Optional.empty();
    }

    private static float[] values(LinearWeight source) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(16 * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        source.values().download(0, bytes);
        float[] values = new float[16];
        bytes.asFloatBuffer().get(values);
        return values;
    }

    /**
     * Queues a layer with a bf16 result.
     *
     * @param x      {@code [m, k]} e4m3, aligned to 16 bytes
     * @param xScale {@code [m]} f32
     * @param out    {@code [m, n]} bf16; {@code [m, n/2]} with {@link Epilogue#SILU_MUL}
     */
    public void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight,
            Epilogue epilogue, DeviceBuffer out) {
        if ((epilogue == Epilogue.SILU_MUL) != weight.isGated()) {
            throw new IllegalArgumentException("%s: weight '%s' was prepared %s gates, which does not go with %s"
                    .formatted(NAME, weight.name(), weight.isGated() ? "with" : "without", epilogue));
        }
        if (weight.plainReason().isPresent()) {
            plain.launch(stream, x, xScale, m, weight.source(), epilogue, out);
        } else {
            launchFast(stream, x, xScale, m, weight, epilogue, false, out);
        }
    }

    /**
     * Queues a layer with its float32 result as it is.
     *
     * @param out {@code [m, n]} f32
     */
    public void launchFloat(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight,
            DeviceBuffer out) {
        if (weight.isGated()) {
            throw new IllegalArgumentException("%s: weight '%s' was prepared with gates, which only SILU_MUL combines"
                    .formatted(NAME, weight.name()));
        }
        if (weight.plainReason().isPresent()) {
            plain.launchFloat(stream, x, xScale, m, weight.source(), out);
        } else {
            launchFast(stream, x, xScale, m, weight, Epilogue.STORE, true, out);
        }
    }

    private void launchFast(CudaStream stream, DeviceBuffer x, DeviceBuffer xScale, int m, GemmWeight weight,
            Epilogue epilogue, boolean outF32, DeviceBuffer out) {
        if (m <= SkinnyGemm.MAX_TOKENS && weight.bits() == 8) {
            skinny.launch(stream, x, xScale, m, weight, epilogue, outF32, out);
        } else if (m <= NarrowGemm.MAX_TOKENS && weight.bits() == 4) {
            narrow.launch(stream, x, xScale, m, weight, epilogue, outF32, out);
        } else {
            fast.launch(stream, x, xScale, m, weight, epilogue, outF32, out);
        }
    }

    /** The launcher for e4m3 weights and few tokens, for tests and benchmarks. */
    SkinnyGemm skinny() {
        return skinny;
    }

    /** The launcher for int4 weights and few tokens, likewise. */
    NarrowGemm narrow() {
        return narrow;
    }

    /** The fast kernel's launcher, for tests and benchmarks that pick the kernel themselves. */
    Int4Fp8Gemm fast() {
        return fast;
    }

    @Override
    public void close() {
        fast.close();
    }
}
