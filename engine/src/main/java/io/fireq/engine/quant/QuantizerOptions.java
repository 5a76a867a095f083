package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.EngineOptions.Device;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;

/**
 * How a model is quantized.
 *
 * @param profile     the method for the linear layers
 * @param groupSize   columns that share a scale, where k is a multiple of it; else the largest of 64, 32 and 16 that
 *                    divides k, else the whole row
 * @param kvGroupSize channels of a head that share scale and zero in the KV cache; 0 for the whole head
 * @param embedding   format of the embedding table
 * @param head        format of the output head; {@link TableFormat#E4M3} for both shares one table in a tied model
 * @param parts       of profile {@code best}; no other looks at them
 * @param damping     added to the diagonal of the second moments of a layer's inputs, relative to it; of profile
 *                    {@code best}
 * @param paper       constants of profile {@code paper}
 * @param calibration what the model reads
 * @param device      what it is computed on; {@link Device#AUTO} takes a GPU where there is one to use
 * @param threads     CPU threads of the heavy work; 0 takes all processors, as simple loops over weights always do
 * @param kernels     the inner loops; with {@link CpuKernelChoice#PLAIN} every machine writes the same bytes
 */
public record QuantizerOptions(Profile profile, int groupSize, int kvGroupSize, TableFormat embedding, TableFormat head,
        Set<Part> parts, double damping, PaperConstants paper, CalibrationOptions calibration, Device device,
        int threads, CpuKernelChoice kernels) {

    /** Formats of embedding and head. */
    public enum TableFormat {
        BF16,
        E4M3,
        INT4
    }

    /** Profile {@code best}, group size 128, embedding and head e4m3. */
    public static final QuantizerOptions DEFAULT = builder().build();

    public QuantizerOptions {
        Objects.requireNonNull(profile, "profile");
        Objects.requireNonNull(paper, "paper");
        Objects.requireNonNull(calibration, "calibration");
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(kernels, "kernels");
        // In a fixed order, so that equal options have equal texts.
        parts = Collections.unmodifiableSet(new TreeSet<>(parts));
        if (groupSize < 2 || groupSize % 2 != 0) {
            throw new IllegalArgumentException(
                    "Quantizer options: group size is %d; it must be even and 2 or more".formatted(groupSize));
        }
        if (kvGroupSize < 0) {
            throw new IllegalArgumentException(
                    "Quantizer options: the KV cache's group size is %d; it must be 0 or more".formatted(kvGroupSize));
        }
        if (head == TableFormat.BF16) {
            throw new IllegalArgumentException(
                    "Quantizer options: the head cannot be bf16, it would dominate decoding; choose e4m3 or int4");
        }
        if (embedding == TableFormat.INT4) {
            throw new IllegalArgumentException("Quantizer options: the embedding cannot be int4; choose bf16 or e4m3");
        }
        if (!(damping >= 0 && damping < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException(
                    "Quantizer options: damping is %s; it must be 0 or more".formatted(damping));
        }
        if (threads < 0) {
            throw new IllegalArgumentException(
                    "Quantizer options: threads is %d; it must be 0 or more".formatted(threads));
        }
    }

    /** Starts from the defaults. */
    public static Builder builder() {
        return new Builder();
    }

    boolean has(Part part) {
        return parts.contains(part);
    }

    int groupSizeFor(int k) {
        for (int candidate : new int[] {groupSize, 64, 32, 16}) {
            if (candidate <= groupSize && k % candidate == 0) {
                return candidate;
            }
        }
        return k;
    }

    /** Options by name. */
    public static final class Builder {
        private Profile profile = Profile.BEST;
        private int groupSize = 128;
        private int kvGroupSize;
        private TableFormat embedding = TableFormat.E4M3;
        private TableFormat head = TableFormat.E4M3;
        private final Set<Part> parts = EnumSet.copyOf(Part.DEFAULT);
        private double damping = 0.1;
        private PaperConstants paper = PaperConstants.DEFAULT;
        private CalibrationOptions calibration = CalibrationOptions.DEFAULT;
        private Device device = Device.AUTO;
        private int threads;
        private CpuKernelChoice kernels = CpuKernelChoice.AUTO;

        private Builder() {}

        public Builder profile(Profile value) {
            profile = value;
            return this;
        }

        public Builder groupSize(int value) {
            groupSize = value;
            return this;
        }

        public Builder kvGroupSize(int value) {
            kvGroupSize = value;
            return this;
        }

        public Builder embedding(TableFormat value) {
            embedding = value;
            return this;
        }

        public Builder head(TableFormat value) {
            head = value;
            return this;
        }

        public Builder with(Part part) {
            parts.add(part);
            return this;
        }

        public Builder without(Part part) {
            parts.remove(part);
            return this;
        }

        public Builder damping(double value) {
            damping = value;
            return this;
        }

        public Builder paper(PaperConstants value) {
            paper = value;
            return this;
        }

        public Builder calibration(CalibrationOptions value) {
            calibration = value;
            return this;
        }

        public Builder device(Device value) {
            device = value;
            return this;
        }

        public Builder threads(int value) {
            threads = value;
            return this;
        }

        public Builder kernels(CpuKernelChoice value) {
            kernels = value;
            return this;
        }

        /** @throws IllegalArgumentException for values that do not go together */
        public QuantizerOptions build() {
            return new QuantizerOptions(profile, groupSize, kvGroupSize, embedding, head, parts, damping, paper,
                    calibration, device, threads, kernels);
        }
    }
}
