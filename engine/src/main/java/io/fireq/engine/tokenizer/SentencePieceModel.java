package io.fireq.engine.tokenizer;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * A SentencePiece BPE model ({@code tokenizer.model}) rewritten as the {@code tokenizer.json} that Hugging Face makes of
 * it.
 *
 * <p>SentencePiece has no list of merges: of two neighbours it joins those whose joint piece scores best. Every way to
 * cut a piece into two pieces is a merge, and the score of the piece is its rank.
 */
final class SentencePieceModel {
    private static final long MAX_BYTES = 64L << 20;
    private static final Pattern TIKTOKEN_LINE = Pattern.compile("[A-Za-z0-9+/]+={0,2} \\d+\\R.*", Pattern.DOTALL);

    private static final int BPE = 2;
    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;

    private record Piece(String text, float score, int type) {}

    private record Merge(String left, String right, int leftId, int rightId, float score) {}

    private final Path file;
    private final List<Piece> pieces = new ArrayList<>();
    private final Map<String, Integer> idOfPiece = new LinkedHashMap<>();
    private int modelType = 1;
    private boolean byteFallback;
    private long bosId = 1;
    private boolean spaceInFront = true;
    private boolean squeezesSpaces = true;
    private boolean rewritesCharacters;

    private SentencePieceModel(Path file, byte[] bytes) {
        this.file = file;
        ProtobufReader model = new ProtobufReader(file, ByteBuffer.wrap(bytes));
        while (model.hasMore()) {
            switch (model.nextField()) {
                case 1 -> readPiece(model.readMessage());
                case 2 -> readTrainer(model.readMessage());
                case 3 -> readNormalizer(model.readMessage());
                default -> model.skip();
            }
        }
        check();
    }

    /**
     * @throws ModelFormatException the file is broken
     * @throws UnsupportedModelException it is a tiktoken vocabulary or another kind of SentencePiece model
     */
    static ObjectNode toTokenizerJson(Path file) {
        try {
            long sizeBytes = Files.size(file);
            if (sizeBytes > MAX_BYTES) {
                throw new ModelFormatException(file, -1,
                        "file has %,d bytes but at most %,d are read; is this the right file?"
                                .formatted(sizeBytes, MAX_BYTES));
            }
            byte[] bytes = Files.readAllBytes(file);
            String start = new String(bytes, 0, Math.min(bytes.length, 4_096), StandardCharsets.ISO_8859_1);
            if (TIKTOKEN_LINE.matcher(start).matches()) {
                throw new UnsupportedModelException(
                        "%s: a tiktoken vocabulary, which lacks the special tokens and the word rule; put the model's "
                                .formatted(file) + "tokenizer.json beside it");
            }
            return new SentencePieceModel(file, bytes).tokenizerJson();
        } catch (IOException e) {
            throw new UncheckedIOException("%s: cannot be read".formatted(file), e);
        }
    }

    private void readPiece(ProtobufReader message) {
        String text = "";
        float score = 0;
        int type = NORMAL;
        while (message.hasMore()) {
            switch (message.nextField()) {
                case 1 -> text = message.readString();
                case 2 -> score = message.readFloat();
                case 3 -> type = (int) message.readLong();
                default -> message.skip();
            }
        }
        if (idOfPiece.put(text, pieces.size()) != null) {
            throw new ModelFormatException(file, -1,
                    "piece '%s' is there twice, the second time as number %d; fetch the file again"
                            .formatted(text, pieces.size()));
        }
        pieces.add(new Piece(text, score, type));
    }

    private void readTrainer(ProtobufReader message) {
        while (message.hasMore()) {
            switch (message.nextField()) {
                case 3 -> modelType = (int) message.readLong();
                case 35 -> byteFallback = message.readLong() != 0;
                case 41 -> bosId = message.readLong();
                default -> message.skip();
            }
        }
    }

    private void readNormalizer(ProtobufReader message) {
        while (message.hasMore()) {
            switch (message.nextField()) {
                case 2 -> rewritesCharacters = !message.readString().isEmpty();
                case 3 -> spaceInFront = message.readLong() != 0;
                case 4 -> squeezesSpaces = message.readLong() != 0;
                default -> message.skip();
            }
        }
    }

    private void check() {
        if (pieces.isEmpty()) {
            throw new ModelFormatException(file, -1, "no pieces are in it; fetch the file again");
        }
        if (modelType != BPE || rewritesCharacters || squeezesSpaces) {
            throw new UnsupportedModelException(
                    "%s: model type %d, character rewriting %s, space squeezing %s; FireQ reads BPE (2) with neither; put "
                            .formatted(file, modelType, rewritesCharacters, squeezesSpaces)
                            + "the model's tokenizer.json beside it");
        }
    }

    private ObjectNode tokenizerJson() {
        ObjectNode root = JsonFile.MAPPER.createObjectNode();
        ArrayNode added = root.putArray("added_tokens");
        String unk = null;
        for (int id = 0; id < pieces.size(); id++) {
            Piece piece = pieces.get(id);
            unk = piece.type() == UNKNOWN ? piece.text() : unk;
            if (piece.type() == UNKNOWN || piece.type() == CONTROL || piece.type() == USER_DEFINED) {
                added.addObject().put("id", id).put("content", piece.text()).put("single_word", false)
                        .put("lstrip", false).put("rstrip", false).put("normalized", false)
                        .put("special", piece.type() != USER_DEFINED);
            }
        }
        normalizer(root);
        root.putNull("pre_tokenizer");
        if (bosId >= 0 && bosId < pieces.size()) {
            root.putObject("post_processor").put("type", "TemplateProcessing").putArray("single").addObject()
                    .putObject("SpecialToken").put("id", pieces.get((int) bosId).text());
        }
        decoder(root);
        ObjectNode model = root.putObject("model");
        model.put("type", "BPE").put("unk_token", unk).put("fuse_unk", true).put("byte_fallback", byteFallback);
        ObjectNode vocab = model.putObject("vocab");
        idOfPiece.forEach(vocab::put);
        ArrayNode merges = model.putArray("merges");
        for (Merge merge : merges()) {
            merges.addArray().add(merge.left()).add(merge.right());
        }
        return root;
    }

    private void normalizer(ObjectNode root) {
        ArrayNode steps = root.putObject("normalizer").put("type", "Sequence").putArray("normalizers");
        if (spaceInFront) {
            steps.addObject().put("type", "Prepend").put("prepend", "▁");
        }
        ObjectNode replace = steps.addObject().put("type", "Replace").put("content", "▁");
        replace.putObject("pattern").put("String", " ");
    }

    private void decoder(ObjectNode root) {
        ArrayNode steps = root.putObject("decoder").put("type", "Sequence").putArray("decoders");
        ObjectNode replace = steps.addObject().put("type", "Replace").put("content", " ");
        replace.putObject("pattern").put("String", "▁");
        steps.addObject().put("type", "ByteFallback");
        steps.addObject().put("type", "Fuse");
        if (spaceInFront) {
            steps.addObject().put("type", "Strip").put("content", " ").put("start", 1).put("stop", 0);
        }
    }

    /** Best score first; among the cuts of one piece, and pieces of one score, by id. */
    private List<Merge> merges() {
        List<Merge> merges = new ArrayList<>();
        for (Piece piece : pieces) {
            List<Merge> cuts = new ArrayList<>();
            String text = piece.text();
            for (int i = 1; i < text.length(); i++) {
                Integer left = idOfPiece.get(text.substring(0, i));
                Integer right = idOfPiece.get(text.substring(i));
                if (left != null && right != null) {
                    cuts.add(new Merge(text.substring(0, i), text.substring(i), left, right, piece.score()));
                }
            }
            cuts.sort(Comparator.comparingInt(Merge::leftId).thenComparingInt(Merge::rightId));
            merges.addAll(cuts);
        }
        merges.sort(Comparator.comparing(Merge::score).reversed());
        return merges;
    }
}
