package io.fireq.engine.tokenizer;

import io.fireq.engine.api.ModelFormatException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Walks over the fields of one protobuf message. A field is a varint key {@code number << 3 | wireType} and a value:
 * wire type 0 is a varint, 1 eight bytes, 2 a length and as many bytes, 5 four bytes, little-endian.
 */
final class ProtobufReader {
    private final Path file;
    private final ByteBuffer bytes;
    private int wireType;

    /** @param bytes the message from position to limit; positions are those of the file */
    ProtobufReader(Path file, ByteBuffer bytes) {
        this.file = file;
        this.bytes = bytes.order(ByteOrder.LITTLE_ENDIAN);
    }

    boolean hasMore() {
        return bytes.hasRemaining();
    }

    /** @return number of the next field, whose value must be read or skipped then */
    int nextField() {
        long key = varint();
        wireType = (int) (key & 7);
        if (key >>> 3 == 0 || key >>> 3 > Integer.MAX_VALUE) {
            throw broken("field number %d".formatted(key >>> 3));
        }
        return (int) (key >>> 3);
    }

    long readLong() {
        expect(0);
        return varint();
    }

    float readFloat() {
        expect(5);
        return slice(4).getFloat();
    }

    String readString() {
        expect(2);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(slice(varint())).toString();
        } catch (CharacterCodingException e) {
            throw broken("a string that is not UTF-8");
        }
    }

    ProtobufReader readMessage() {
        expect(2);
        return new ProtobufReader(file, slice(varint()));
    }

    void skip() {
        switch (wireType) {
            case 0 -> varint();
            case 1 -> slice(8);
            case 2 -> slice(varint());
            case 5 -> slice(4);
            default -> throw broken("wire type %d".formatted(wireType));
        }
    }

    private void expect(int required) {
        if (wireType != required) {
            throw broken("wire type %d where %d is required".formatted(wireType, required));
        }
    }

    private long varint() {
        long value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            if (!bytes.hasRemaining()) {
                throw broken("the end inside a number");
            }
            byte next = bytes.get();
            value |= (long) (next & 0x7F) << shift;
            if (next >= 0) {
                return value;
            }
        }
        throw broken("a number of more than ten bytes");
    }

    private ByteBuffer slice(long lengthBytes) {
        if (lengthBytes < 0 || lengthBytes > bytes.remaining()) {
            throw broken("a value of %,d bytes where %,d are left".formatted(lengthBytes, bytes.remaining()));
        }
        ByteBuffer slice = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        slice.limit(bytes.position() + (int) lengthBytes);
        bytes.position(slice.limit());
        return slice;
    }

    private ModelFormatException broken(String found) {
        return new ModelFormatException(file, bytes.position(),
                "not a SentencePiece model: found %s; fetch the file again".formatted(found));
    }
}
