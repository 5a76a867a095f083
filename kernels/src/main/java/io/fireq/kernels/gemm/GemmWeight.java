package io.fireq.kernels.gemm;

import io.fireq.kernels.cuda.DeviceBuffer;
import java.util.Optional;

/**
 * A linear layer's weight as {@link Gemm} multiplies with it. Made by {@link Gemm#prepare}; closing frees what was
 * allocated for it, not the weight it was made from.
 */
public final class GemmWeight implements AutoCloseable {
    private final LinearWeight source;
    private final Int4Fp8WeightLayout layout;
    private final DeviceBuffer packed;
    private final DeviceBuffer packedRowScales;
    private final Int4Levels levels;
    private final boolean gated;
    private final String plainReason;

    private GemmWeight(LinearWeight source, Int4Fp8WeightLayout layout, DeviceBuffer packed,
            DeviceBuffer packedRowScales, Int4Levels levels, boolean gated, String plainReason) {
        this.source = source;
        this.layout = layout;
        this.packed = packed;
        this.packedRowScales = packedRowScales;
        this.levels = levels;
        this.gated = gated;
        this.plainReason = plainReason;
    }

    static GemmWeight packed(LinearWeight source, Int4Fp8WeightLayout layout, DeviceBuffer packed,
            DeviceBuffer packedRowScales, Int4Levels levels) {
        return new GemmWeight(source, layout, packed, packedRowScales, levels, layout.gated(), null);
    }

    static GemmWeight asIs(LinearWeight source, boolean gated) {
        return new GemmWeight(source, null, null, null, Int4Levels.NONE, gated, null);
    }

    static GemmWeight plain(LinearWeight source, boolean gated, String reason) {
        return new GemmWeight(source, null, null, null, null, gated, reason);
    }

    /** For messages. */
    public String name() {
        return source.name();
    }

    /** Output channels; for a gated weight gates and ups together. */
    public int n() {
        return source.n();
    }

    /** Channels that a product puts out. */
    int outputs(Epilogue epilogue) {
        return epilogue == Epilogue.SILU_MUL ? n() / 2 : n();
    }

    /** Input channels. */
    public int k() {
        return source.k();
    }

    /** Whether rows are {@code [gate; up]}, so that it goes with {@link Epilogue#SILU_MUL} and with nothing else. */
    public boolean isGated() {
        return gated;
    }

    /** Whether everything was copied, so that the buffers of the weight it was made from may be closed. */
    public boolean ownsItsData() {
        return packed != null;
    }

    /** Why it is multiplied by {@link PlainGemm}; empty where the fast kernel serves it. */
    public Optional<String> plainReason() {
        return Optional.ofNullable(plainReason);
    }

    /** Bytes of device memory that a product reads. */
    public long byteSize() {
        return packed != null
                ? packed.byteSize() + packedRowScales.byteSize()
                : source.codes().byteSize() + source.rowScales().byteSize()
                        + (source.groupScales() == null ? 0 : source.groupScales().byteSize());
    }

    LinearWeight source() {
        return source;
    }

    int bits() {
        return source.bits();
    }

    DeviceBuffer codes() {
        return packed != null ? packed : source.codes();
    }

    DeviceBuffer rowScales() {
        return packed != null ? packedRowScales : source.rowScales();
    }

    /** Rows of {@link #codes()} with padding. */
    int rows() {
        return packed != null ? layout.packedRows() : source.n();
    }

    /** Of int4 codes; nothing in particular for e4m3. */
    Int4Levels levels() {
        return levels;
    }

    @Override
    public void close() {
        if (packed != null) {
            packed.close();
            packedRowScales.close();
        }
    }
}
