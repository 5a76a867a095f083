package io.fireq.engine.quant.imports;

import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.F16;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** A safetensors file of any element formats, written straight from the definition of that format. */
final class RawTensors {
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    record Tensor(String dtype, int[] shape, byte[] data) {}

    RawTensors int32(String name, int[] values, int... shape) {
        ByteBuffer data = buffer(values.length * 4);
        data.asIntBuffer().put(values);
        return put(name, "I32", data, shape);
    }

    RawTensors int64(String name, long[] values, int... shape) {
        ByteBuffer data = buffer(values.length * 8);
        data.asLongBuffer().put(values);
        return put(name, "I64", data, shape);
    }

    RawTensors int8(String name, byte[] values, int... shape) {
        return put(name, "I8", ByteBuffer.wrap(values), shape);
    }

    RawTensors f32(String name, float[] values, int... shape) {
        ByteBuffer data = buffer(values.length * 4);
        data.asFloatBuffer().put(values);
        return put(name, "F32", data, shape);
    }

    RawTensors f16(String name, float[] values, int... shape) {
        ByteBuffer data = buffer(values.length * 2);
        for (float value : values) {
            data.putShort(F16.encode(value));
        }
        return put(name, "F16", data, shape);
    }

    RawTensors bf16(String name, float[] values, int... shape) {
        ByteBuffer data = buffer(values.length * 2);
        for (float value : values) {
            data.putShort(Bf16.encode(value));
        }
        return put(name, "BF16", data, shape);
    }

    RawTensors remove(String name) {
        if (tensors.remove(name) == null) {
            throw new IllegalArgumentException("There is no tensor " + name);
        }
        return this;
    }

    private RawTensors put(String name, String dtype, ByteBuffer data, int... shape) {
        tensors.put(name, new Tensor(dtype, shape, data.array()));
        return this;
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    void write(Path file) {
        long begin = 0;
        StringBuilder header = new StringBuilder("{");
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
            Tensor tensor = entry.getValue();
            String shape = Arrays.stream(tensor.shape).mapToObj(Integer::toString).collect(Collectors.joining(","));
            header.append(header.length() == 1 ? "" : ",").append("\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],".formatted(
                    entry.getKey(), tensor.dtype, shape));
            header.append("\"data_offsets\":[%d,%d]}".formatted(begin, begin + tensor.data.length));
            begin += tensor.data.length;
            data.writeBytes(tensor.data);
        }
        byte[] json = header.append("}").toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer file8 = buffer(8 + json.length + data.size());
        file8.putLong(json.length).put(json).put(data.toByteArray());
        try {
            Files.write(file, file8.array());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
