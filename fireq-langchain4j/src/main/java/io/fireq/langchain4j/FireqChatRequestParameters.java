package io.fireq.langchain4j;

import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.DefaultChatRequestParameters;
import java.util.Objects;

/**
 * LangChain4j's common parameters and those that only FireQ has. Whatever is null is taken from the model's defaults,
 * then from the model's generation_config.json, then it is off.
 */
public final class FireqChatRequestParameters extends DefaultChatRequestParameters {
    private final Long seed;
    private final Double minP;
    private final Double repetitionPenalty;

    private FireqChatRequestParameters(Builder builder) {
        super(builder);
        this.seed = builder.seed;
        this.minP = builder.minP;
        this.repetitionPenalty = builder.repetitionPenalty;
    }

    public static Builder builder() {
        return new Builder();
    }

    /** Same seed and request give the same answer; null draws a fresh seed. */
    public Long seed() {
        return seed;
    }

    /** Tokens less likely than this share of the most likely one are dropped; in [0, 1). */
    public Double minP() {
        return minP;
    }

    /** Divides the positive logits of tokens seen in prompt or answer, multiplies the negative ones; 1 is off. */
    public Double repetitionPenalty() {
        return repetitionPenalty;
    }

    @Override
    public FireqChatRequestParameters overrideWith(ChatRequestParameters that) {
        return builder().overrideWith(this).overrideWith(that).build();
    }

    @Override
    public FireqChatRequestParameters defaultedBy(ChatRequestParameters that) {
        return builder().overrideWith(that).overrideWith(this).build();
    }

    @Override
    public boolean equals(Object other) {
        return this == other || super.equals(other) && other instanceof FireqChatRequestParameters that
                && Objects.equals(seed, that.seed) && Objects.equals(minP, that.minP)
                && Objects.equals(repetitionPenalty, that.repetitionPenalty);
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), seed, minP, repetitionPenalty);
    }

    @Override
    public String toString() {
        return "FireqChatRequestParameters{seed=%s, minP=%s, repetitionPenalty=%s, common=%s}"
                .formatted(seed, minP, repetitionPenalty, super.toString());
    }

    /** Collects parameters; unset ones stay null. */
    public static final class Builder extends DefaultChatRequestParameters.Builder<Builder> {
        private Long seed;
        private Double minP;
        private Double repetitionPenalty;

        private Builder() {}

        public Builder seed(Long value) {
            seed = value;
            return this;
        }

        public Builder minP(Double value) {
            minP = value;
            return this;
        }

        public Builder repetitionPenalty(Double value) {
            repetitionPenalty = value;
            return this;
        }

        @Override
        public Builder overrideWith(ChatRequestParameters parameters) {
            super.overrideWith(parameters);
            if (parameters instanceof FireqChatRequestParameters that) {
                seed = that.seed != null ? that.seed : seed;
                minP = that.minP != null ? that.minP : minP;
                repetitionPenalty = that.repetitionPenalty != null ? that.repetitionPenalty : repetitionPenalty;
            }
            return this;
        }

        @Override
        public FireqChatRequestParameters build() {
            return new FireqChatRequestParameters(this);
        }
    }
}
