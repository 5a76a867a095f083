package io.fireq.kernels.gemm;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.TensorMap;
import io.fireq.kernels.cuda.TensorMap.Element;
import io.fireq.kernels.cuda.TensorMap.Layout;
import io.fireq.kernels.cuda.TensorMap.Swizzle;
import java.util.LinkedHashMap;
import java.util.Map;

/** TMA descriptors by address and shape: layers come back with the same buffers step after step. */
final class TensorMapCache {
    private static final int CAPACITY = 1024;

    private final CudaContext context;
    private final Map<Key, TensorMap> maps = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, TensorMap> eldest) {
            return size() > CAPACITY;
        }
    };

    TensorMapCache(CudaContext context) {
        this.context = context;
    }

    private record Key(long address, Element element, int rows, int columns, int boxRows, int boxColumns) {}

    /** A row-major e4m3 matrix read in boxes of 128 columns. */
    TensorMap e4m3(DeviceBuffer buffer, int rows, int columns, int boxRows) {
        return map(buffer, new Key(buffer.address(), Element.U8, rows, columns, boxRows, GemmConfig.TILE_K), Swizzle.B128);
    }

    /** A row-major bf16 matrix exchanged in boxes of 32 or 64 columns. */
    TensorMap bf16(DeviceBuffer buffer, int rows, int columns, int boxRows, int boxColumns) {
        return map(buffer, new Key(buffer.address(), Element.BF16, rows, columns, boxRows, boxColumns),
                boxColumns == 64 ? Swizzle.B128 : Swizzle.B64);
    }

    private TensorMap map(DeviceBuffer buffer, Key key, Swizzle swizzle) {
        return maps.computeIfAbsent(key, k -> TensorMap.encode(context, buffer,
                Layout.matrix(k.element, k.rows, k.columns, k.boxRows, k.boxColumns, swizzle)));
    }
}
