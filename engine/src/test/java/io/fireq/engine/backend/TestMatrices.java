package io.fireq.engine.backend;

import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;

/** Random weights and activations from a seed. */
public final class TestMatrices {
    /** Two's complement values whose products with a scale need every kind of rounding. */
    public static final float[] UNEVEN_VALUES =
            Int4Matrix.twosComplement(0.7f, 1.5f, 2.3f, 3.1f, 4.2f, 5.6f, 7.3f, 9.9f);
    /** Likewise, of codes that are a sign and an index. */
    public static final float[] SIGNED_VALUES =
            Int4Matrix.signMagnitude(0.4f, 1.2f, 2.1f, 3, 4.1f, 5.3f, 6.9f, 9.2f);
    /** Values in no order, which no fast kernel of the GPU knows. */
    public static final float[] ODD_VALUES =
            {3, -1.5f, 0.25f, 7, -9, 0, 2.2f, -0.3f, 11, -12, 5.5f, 1, -4.25f, 6, -7.75f, 0.1f};

    private TestMatrices() {}

    public static Int4Matrix int4(int n, int k, int groupSize, float[] values, long seed) {
        Random random = new Random(seed);
        byte[] packed = new byte[n * ((k + 1) / 2)];
        random.nextBytes(packed);
        byte[] scales = new byte[n * (k / groupSize)];
        for (int i = 0; i < scales.length; i++) {
            float scale = (float) Math.exp(random.nextGaussian() * 2); // subnormals to saturating products
            scales[i] = E4m3.encode(random.nextInt(4) == 0 ? -scale : scale);
        }
        return new Int4Matrix("int4", n, k, groupSize, direct(packed), direct(scales), rowScales(n, random), values);
    }

    public static E4m3Matrix e4m3(int n, int k, long seed) {
        Random random = new Random(seed);
        byte[] codes = new byte[n * k];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = E4m3.encode((float) random.nextGaussian() * 40);
        }
        return new E4m3Matrix("e4m3", n, k, direct(codes), rowScales(n, random));
    }

    public static FloatMatrix bf16(int n, int k, long seed) {
        Random random = new Random(seed);
        ByteBuffer data = ByteBuffer.allocateDirect(n * k * 2).order(ByteOrder.LITTLE_ENDIAN);
        while (data.hasRemaining()) {
            data.putShort(Bf16.encode((float) random.nextGaussian()));
        }
        return new FloatMatrix(new HostTensor("bf16", DType.BF16, List.of(n, k), data.flip()));
    }

    public static FloatMatrix float32(int n, int k, long seed) {
        Random random = new Random(seed);
        float[] values = new float[n * k];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return new FloatMatrix(HostTensor.ofFloats("float32", List.of(n, k), values));
    }

    /** Normal variates that are bfloat16 numbers. */
    public static float[] bf16Values(int count, long seed) {
        Random random = new Random(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = Bf16.round((float) random.nextGaussian());
        }
        return values;
    }

    private static float[] rowScales(int n, Random random) {
        float[] scales = new float[n];
        for (int i = 0; i < n; i++) {
            scales[i] = 0.001f + random.nextFloat() * 0.01f;
        }
        return scales;
    }

    private static ByteBuffer direct(byte[] bytes) {
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }
}
