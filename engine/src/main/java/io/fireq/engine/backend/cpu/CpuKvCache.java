package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.backend.KvCacheSpec;

/** The paged KV cache: one {@link KvStore} each for K and V of every layer, indexed by layer. */
record CpuKvCache(KvCacheSpec spec, KvStore[] k, KvStore[] v) implements Backend.KvCache {

    static CpuKvCache allocate(KvCacheSpec spec) {
        BackendChecks.kvCache(spec);
        KvStore[] k = new KvStore[spec.nLayers()];
        KvStore[] v = new KvStore[spec.nLayers()];
        for (int layer = 0; layer < spec.nLayers(); layer++) {
            k[layer] = new KvStore(spec, KvLayout.K);
            v[layer] = new KvStore(spec, KvLayout.V);
        }
        return new CpuKvCache(spec, k, v);
    }
}
