package io.fireq.kernels.attention;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * The work of one prefill batch, as {@code sm90_fp8_prefill} and {@code expand_kv} read it. It depends on lengths only,
 * so one plan serves all layers of a step.
 *
 * <p>An item is a run of new tokens of one sequence, with the KV tiles that its last token sees; items with many tiles
 * come first, so that the short ones fill the gaps at the end. A tile is a run of positions of one sequence.
 */
final class PrefillPlan {
    /** Words of an item: first token, tokens, position of the first, first tile, tiles, and three unused. */
    static final int ITEM_WORDS = 8;
    /** Words of a tile: sequence, first position, positions, and one unused. */
    static final int TILE_WORDS = 4;

    private record Item(int firstToken, int nTokens, int firstPosition, int firstTile, int nTiles) {}

    private record Tile(int sequence, int firstPosition, int nPositions) {}

    private final List<Item> items = new ArrayList<>();
    private final List<Tile> tiles = new ArrayList<>();

    private PrefillPlan() {}

    /**
     * Plans a batch in as few launches as the workspace allows; a launch serves whole sequences.
     *
     * @param cuSeqlens     {@code [nSeqs + 1]} first token row of each sequence
     * @param kvLens        {@code [nSeqs]} positions of each sequence, its new tokens included
     * @param tokensPerItem new tokens of an item
     * @param tilePositions positions of a tile
     * @param maxTiles      tiles that the workspace holds
     * @return one plan per launch; sequences without new tokens are in none
     */
    static List<PrefillPlan> of(int[] cuSeqlens, int[] kvLens, int tokensPerItem, int tilePositions, int maxTiles) {
        List<PrefillPlan> plans = new ArrayList<>();
        PrefillPlan plan = new PrefillPlan();
        for (int s = 0; s < kvLens.length; s++) {
            int nTokens = cuSeqlens[s + 1] - cuSeqlens[s];
            if (nTokens < 0 || kvLens[s] < nTokens) {
                throw new IllegalArgumentException(("PrefillPlan: sequence %d has %d new tokens and %d positions; "
                        + "required 0 or more, and no more tokens than positions").formatted(s, nTokens, kvLens[s]));
            }
            if (nTokens == 0) {
                continue;
            }
            int nTiles = ceilDiv(kvLens[s], tilePositions);
            if (nTiles > maxTiles) {
                throw new IllegalArgumentException(("PrefillPlan: sequence %d has %,d positions, which are %,d tiles, but "
                        + "the workspace holds %,d; make it for longer sequences").formatted(s, kvLens[s], nTiles, maxTiles));
            }
            if (plan.tiles.size() + nTiles > maxTiles) {
                plans.add(plan);
                plan = new PrefillPlan();
            }
            plan.add(s, cuSeqlens[s], nTokens, kvLens[s], tokensPerItem, tilePositions);
        }
        if (!plan.items.isEmpty()) {
            plans.add(plan);
        }
        plans.forEach(p -> p.items.sort(Comparator.comparingInt(Item::nTiles).reversed()));
        return plans;
    }

    private void add(int sequence, int firstToken, int nTokens, int kvLen, int tokensPerItem, int tilePositions) {
        int firstTile = tiles.size();
        for (int position = 0; position < kvLen; position += tilePositions) {
            tiles.add(new Tile(sequence, position, Math.min(tilePositions, kvLen - position)));
        }
        int prefix = kvLen - nTokens;
        for (int token = 0; token < nTokens; token += tokensPerItem) {
            int count = Math.min(tokensPerItem, nTokens - token);
            items.add(new Item(firstToken + token, count, prefix + token, firstTile,
                    ceilDiv(prefix + token + count, tilePositions)));
        }
    }

    int nItems() {
        return items.size();
    }

    int nTiles() {
        return tiles.size();
    }

    /** Words of {@link #words}. */
    int nWords() {
        return nItems() * ITEM_WORDS + nTiles() * TILE_WORDS;
    }

    /** All items, then all tiles. */
    int[] words() {
        int[] words = new int[nWords()];
        int at = 0;
        for (Item item : items) {
            words[at] = item.firstToken();
            words[at + 1] = item.nTokens();
            words[at + 2] = item.firstPosition();
            words[at + 3] = item.firstTile();
            words[at + 4] = item.nTiles();
            at += ITEM_WORDS;
        }
        for (Tile tile : tiles) {
            words[at] = tile.sequence();
            words[at + 1] = tile.firstPosition();
            words[at + 2] = tile.nPositions();
            at += TILE_WORDS;
        }
        return words;
    }

    @Override
    public String toString() {
        return "PrefillPlan" + Arrays.toString(words());
    }

    private static int ceilDiv(int a, int b) {
        return (a + b - 1) / b;
    }
}
