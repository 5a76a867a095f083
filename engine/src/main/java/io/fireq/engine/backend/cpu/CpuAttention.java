package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;

/** One layer's attention constants; on this backend the specification is all there is. */
record CpuAttention(AttentionSpec spec) implements Backend.Attention {}
