package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.kernels.attention.PagedKv;
import io.fireq.kernels.attention.PagedKvLayout;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * The paged INT4 KV cache of all layers in one allocation. It has one KV block more than its specification, which no
 * sequence owns: the rows that pad a decode step to its bucket write and read there.
 *
 * @param layers K and V of each layer
 */
record CudaKvCache(KvCacheSpec spec, List<PagedKv> layers) implements Backend.KvCache {

    static CudaKvCache allocate(KvCacheSpec spec, DeviceMemory memory, CudaStream stream) {
        BackendChecks.kvCache(spec);
        if (spec.format().kind() == KvFormat.Kind.FLOAT32) {
            throw new IllegalArgumentException("KV cache: format FLOAT32 runs on the CPU only; the GPU stores %s or %s"
                    .formatted(KvFormat.Kind.ASYMMETRIC, KvFormat.Kind.SYMMETRIC));
        }
        PagedKvLayout layout = new PagedKvLayout(Math.addExact(spec.nBlocks(), 1), spec.nKvHeads(), spec.headDim(),
                spec.format().groupSize(), spec.kvBlockSize());
        long codeBytes = align(layout.codeBytes());
        long paramBytes = align(layout.paramBytes());
        long layerBytes = Math.multiplyExact(2, Math.addExact(codeBytes, paramBytes));
        DeviceBuffer all = memory.allocate("KV cache of %,d tokens, %d layers".formatted(
                (long) spec.nBlocks() * spec.kvBlockSize(), spec.nLayers()),
                Math.multiplyExact(layerBytes, (long) spec.nLayers()));
        // A kernel may read a whole tile and mask what lies past the end, and NaN times zero is NaN.
        all.fillAsync(stream, (byte) 0);
        List<PagedKv> layers = new ArrayList<>();
        for (int layer = 0; layer < spec.nLayers(); layer++) {
            long at = layer * layerBytes;
            layers.add(new PagedKv(layout,
                    all.slice(at, codeBytes, "K codes " + layer),
                    all.slice(at + codeBytes, paramBytes, "K params " + layer),
                    all.slice(at + codeBytes + paramBytes, codeBytes, "V codes " + layer),
                    all.slice(at + 2 * codeBytes + paramBytes, paramBytes, "V params " + layer)));
        }
        return new CudaKvCache(spec, List.copyOf(layers));
    }

    private static long align(long bytes) {
        return Math.addExact(bytes, DeviceMemory.ALIGNMENT - 1L) / DeviceMemory.ALIGNMENT * DeviceMemory.ALIGNMENT;
    }

    /** The KV block that no sequence owns. */
    int paddingBlock() {
        return spec.nBlocks();
    }

    boolean isSymmetric() {
        return spec.format().kind() == KvFormat.Kind.SYMMETRIC;
    }
}
