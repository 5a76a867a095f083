package io.fireq.engine.bench;

import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.WeightSource;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Random quantized weights of any shape: INT4 for the layers, e4m3 for embedding and head, norms of one. They live in
 * direct memory, as a mapped checkpoint would, and keep activations finite through any number of layers.
 */
public final class SyntheticWeights implements WeightSource {
    /** Equal steps of both signs, as the default profile makes them. */
    private static final float[] VALUES = Int4Matrix.signMagnitude(0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f);
    private static final int GROUP_SIZE = 128;
    /** σ from 1.0 to 1.875: e4m3 codes 0x38..0x3f. */
    private static final int LOWEST_SCALE_CODE = 0x38;
    /** Root mean square of a uniform int4 code times the mean σ. */
    private static final float TYPICAL_WEIGHT = 4.6f * 1.44f;

    private final SplittableRandom random;
    private long byteSize;

    public SyntheticWeights(long seed) {
        this.random = new SplittableRandom(seed);
    }

    /** Bytes of all weights made so far. */
    public long byteSize() {
        return byteSize;
    }

    @Override
    public boolean hasLinear(String layerName) {
        return true; // a tied model gets a head of its own: more work, never less
    }

    @Override
    public WeightMatrix linear(String layerName, int n, int k) {
        float[] rowScale = new float[n];
        if (layerName.equals("model.embed_tokens") || layerName.equals("lm_head")) {
            Arrays.fill(rowScale, 1 / 64f);
            ByteBuffer codes = randomBytes((long) n * k);
            for (int i = 0; i < codes.capacity(); i++) {
                codes.put(i, (byte) (codes.get(i) & 0xbf)); // magnitudes below 2, no NaN
            }
            return new E4m3Matrix(layerName, n, k, codes, rowScale);
        }
        Arrays.fill(rowScale, (float) (1 / (TYPICAL_WEIGHT * Math.sqrt(k))));
        int groupSize = k % GROUP_SIZE == 0 ? GROUP_SIZE : k;
        ByteBuffer scales = randomBytes((long) n * (k / groupSize));
        for (int i = 0; i < scales.capacity(); i++) {
            scales.put(i, (byte) (LOWEST_SCALE_CODE + (scales.get(i) & 7)));
        }
        return new Int4Matrix(layerName, n, k, groupSize, randomBytes((long) n * ((k + 1) / 2)), scales, rowScale,
                VALUES);
    }

    @Override
    public boolean has(String tensorName) {
        return false;
    }

    @Override
    public HostTensor tensor(String tensorName, int... shape) {
        List<Integer> dims = IntStream.of(shape).boxed().toList();
        int size = IntStream.of(shape).reduce(1, Math::multiplyExact);
        ByteBuffer ones = ByteBuffer.allocate(size * DType.F32.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < size; i++) {
            ones.putFloat(i * 4, 1);
        }
        return new HostTensor(tensorName, DType.F32, dims, ones);
    }

    private ByteBuffer randomBytes(long size) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(Math.toIntExact(size));
        byteSize += size;
        int i = 0;
        for (; i + 8 <= bytes.capacity(); i += 8) {
            bytes.putLong(i, random.nextLong());
        }
        for (; i < bytes.capacity(); i++) {
            bytes.put(i, (byte) random.nextInt());
        }
        return bytes;
    }
}
