package io.fireq.engine.tokenizer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.tokenizer.SpecialTokens.Piece;
import io.fireq.engine.tokenizer.SpecialTokens.SpecialToken;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Text to token ids and back, exactly as Hugging Face's tokenizers library has it.
 *
 * <p>Immutable; any number of threads may use one tokenizer at a time. It holds native memory: {@link #close} it when
 * no thread uses it any more.
 */
public final class Tokenizer implements AutoCloseable {
    private static final byte[] NO_BYTES = {};

    private final NativeEncoder first;
    /** For text after a special token; the same object where that makes no difference. */
    private final NativeEncoder afterSpecial;
    private final SpecialTokens specials;
    private final BitSet specialIds = new BitSet();
    private final Map<String, Integer> idOfToken;
    private final TokenBytes bytes;
    private final TokenizerConfig config;
    private final Optional<String> firstToken;

    private Tokenizer(Path file, ObjectNode root, TokenizerConfig config) {
        TokenizerJson json = new TokenizerJson(file, root);
        this.config = config;
        firstToken = json.firstToken();
        idOfToken = Map.copyOf(json.idOfToken());
        specials = new SpecialTokens(json.specials());
        specials.all().forEach(token -> specialIds.set(token.id()));
        bytes = TokenBytes.of(file, json);
        first = new NativeEncoder(file, json.withoutSpecials());
        String otherJson = json.withoutSpecialsAfterFirst();
        afterSpecial = otherJson == null ? first : new NativeEncoder(file, otherJson);
    }

    /**
     * Reads {@code tokenizer.json}, or {@code tokenizer.model} where there is none, and the token names in
     * {@code tokenizer_config.json}. Nothing is written to the directory and nothing is fetched.
     *
     * @throws ModelNotFoundException no tokenizer file is there
     * @throws io.fireq.engine.api.ModelFormatException a file is broken
     * @throws io.fireq.engine.api.UnsupportedModelException a kind of tokenizer that FireQ does not read
     */
    public static Tokenizer load(Path modelDir) {
        TokenizerConfig config = TokenizerConfig.read(modelDir);
        Path json = modelDir.resolve("tokenizer.json");
        if (Files.exists(json)) {
            return new Tokenizer(json, JsonFile.read(json), config);
        }
        Path sentencePiece = modelDir.resolve("tokenizer.model");
        if (Files.exists(sentencePiece)) {
            return new Tokenizer(sentencePiece, SentencePieceModel.toTokenizerJson(sentencePiece), config);
        }
        throw new ModelNotFoundException(
                "%s: neither tokenizer.json nor tokenizer.model is there; copy it from where the model came from"
                        .formatted(modelDir));
    }

    /**
     * @param text any text; what looks like a special token is ordinary characters, an unpaired surrogate is U+FFFD
     * @return token ids, without BOS
     */
    public int[] encode(String text) {
        return first.encode(wellFormed(text));
    }

    /**
     * @param text trusted text such as a rendered chat template; the text of a special token becomes that token
     * @return token ids, without a BOS that the text does not spell
     */
    public int[] encodeWithSpecials(String text) {
        return encodeWithSpecials(text, UnaryOperator.identity());
    }

    /**
     * As {@link #encodeWithSpecials(String)}, with a last change to the text between the special tokens. What the
     * change brings about is ordinary text, even where it spells a special token.
     *
     * @param textBetween applied to every stretch of text between special tokens
     */
    public int[] encodeWithSpecials(String text, UnaryOperator<String> textBetween) {
        List<Piece> pieces = specials.split(wellFormed(text));
        return IntStream.range(0, pieces.size()).flatMap(i -> {
            Piece piece = pieces.get(i);
            return piece.token() != null
                    ? IntStream.of(piece.token().id())
                    : IntStream.of((i == 0 ? first : afterSpecial).encode(textBetween.apply(piece.text())));
        }).toArray();
    }

    /** @return how many tokens {@link #encode} gives, without BOS */
    public int tokenCount(String text) {
        return encode(text).length;
    }

    /** @return the text of a sequence; special tokens and ids without a token have none */
    public String decode(int[] tokenIds) {
        StreamingDetokenizer detokenizer = StreamingDetokenizer.forWholeText(this);
        StringBuilder text = new StringBuilder();
        for (int id : tokenIds) {
            text.append(detokenizer.push(id));
        }
        return text.append(detokenizer.finish()).toString();
    }

    /**
     * @param tokenId from 0; a model may have more rows than its tokenizer has tokens, those stand for nothing
     * @return a copy of the bytes the token stands for, possibly part of a character; empty for special tokens
     */
    public byte[] tokenBytes(int tokenId) {
        return bytesOf(tokenId).clone();
    }

    byte[] bytesOf(int tokenId) {
        if (tokenId < 0) {
            throw new IllegalArgumentException("Token id is %d but ids start at 0".formatted(tokenId));
        }
        return tokenId < vocabSize() ? bytes.byId()[tokenId] : NO_BYTES;
    }

    int leadingSpaces() {
        return bytes.leadingSpaces();
    }

    /** @return id of a token by its text as the vocabulary spells it */
    public OptionalInt idOf(String token) {
        Integer id = idOfToken.get(token);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    public boolean isSpecial(int tokenId) {
        return tokenId >= 0 && specialIds.get(tokenId);
    }

    /** @return ids of the special tokens by their text */
    public Map<String, Integer> specialTokens() {
        return specials.all().stream().collect(Collectors.toUnmodifiableMap(SpecialToken::content, SpecialToken::id));
    }

    /** @return largest id + 1; the model's embedding may have more rows */
    public int vocabSize() {
        return bytes.byId().length;
    }

    /** @return id of the token that starts a sequence, where the tokenizer names one */
    public OptionalInt bosId() {
        return idOfNamed(config.bosToken().or(() -> firstToken));
    }

    /** @return id of the token that the tokenizer names as end; a model may stop on others too */
    public OptionalInt eosId() {
        return idOfNamed(config.eosToken());
    }

    private OptionalInt idOfNamed(Optional<String> token) {
        return token.isPresent() ? idOf(token.get()) : OptionalInt.empty();
    }

    /** Unpaired surrogates have no UTF-8, and the native library would refuse the whole text for one. */
    private static String wellFormed(String text) {
        StringBuilder fixed = null;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!Character.isSurrogate(c)) {
                continue;
            }
            if (Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
                continue;
            }
            fixed = fixed == null ? new StringBuilder(text) : fixed;
            fixed.setCharAt(i, '\uFFFD');
        }
        return fixed == null ? text : fixed.toString();
    }

    @Override
    public void close() {
        first.close();
        if (afterSpecial != first) {
            afterSpecial.close();
        }
    }
}
