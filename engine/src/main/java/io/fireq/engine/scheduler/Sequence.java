package io.fireq.engine.scheduler;

import io.fireq.engine.kv.KvBlockTable;
import java.util.Arrays;

/**
 * One request's tokens and how far they are computed. The tokens known are the prompt and what was generated; the tokens
 * computed are those whose K and V are in the cache. Not thread-safe; the engine loop owns it.
 */
public final class Sequence {
    private final long id;
    private final int promptLen;
    private final int maxLen;
    private final KvBlockTable blockTable = new KvBlockTable();
    private int[] tokens;
    private int nKnown;
    private int nComputed;

    /**
     * @param id           unique within the engine
     * @param promptTokens the prompt, at least one token
     * @param maxLen       most tokens of prompt and answer together
     */
    public Sequence(long id, int[] promptTokens, int maxLen) {
        this.id = id;
        this.promptLen = promptTokens.length;
        this.maxLen = maxLen;
        this.tokens = Arrays.copyOf(promptTokens, Math.min(maxLen, promptLen + 64));
        this.nKnown = promptLen;
    }

    public long id() {
        return id;
    }

    public int promptLen() {
        return promptLen;
    }

    /** Prompt and generated tokens. */
    public int nKnown() {
        return nKnown;
    }

    /** Tokens whose K and V are in the cache. */
    public int nComputed() {
        return nComputed;
    }

    /** Tokens generated so far. */
    public int nGenerated() {
        return nKnown - promptLen;
    }

    /** Whether no further token may be generated. */
    public boolean isFull() {
        return nKnown >= maxLen;
    }

    /** Token {@code index} of prompt and answer. */
    public int token(int index) {
        return tokens[index];
    }

    /** A copy of the generated tokens. */
    public int[] generatedTokens() {
        return Arrays.copyOfRange(tokens, promptLen, nKnown);
    }

    public KvBlockTable blockTable() {
        return blockTable;
    }

    void append(int token) {
        if (nKnown == tokens.length) {
            tokens = Arrays.copyOf(tokens, Math.min(maxLen, nKnown * 2));
        }
        tokens[nKnown++] = token;
    }

    void advance(int nTokens) {
        nComputed += nTokens;
    }

    /** Forgets what is computed; the caller has released the blocks. */
    void restart() {
        nComputed = 0;
    }
}
