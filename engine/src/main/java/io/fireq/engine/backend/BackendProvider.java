package io.fireq.engine.backend;

import io.fireq.engine.api.EngineOptions;
import java.util.Optional;

/** One kind of backend: whether it can run here, and how to make it. */
public interface BackendProvider {

    /** "cpu" or "cuda". */
    String name();

    /** Why this backend cannot run here with these options, in a clause; empty if it can. */
    Optional<String> whyNot(EngineOptions options);

    /** Makes the backend; only called if {@link #whyNot} is empty. */
    Backend create(EngineOptions options);
}
