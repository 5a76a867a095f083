package io.fireq.engine;

import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendProvider;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Picks the backend that a model runs on, and remembers why the others were not picked. */
final class BackendSelector {
    private final List<BackendProvider> providers;

    /** @param providers fastest first */
    BackendSelector(List<BackendProvider> providers) {
        this.providers = List.copyOf(providers);
    }

    /**
     * @throws FireqException if the wanted device cannot be used, with its reason
     */
    Selected select(EngineOptions options) {
        Optional<String> wanted = options.device() == EngineOptions.Device.AUTO
                ? Optional.empty()
                : Optional.of(options.device().name().toLowerCase(Locale.ROOT));
        List<BackendSelection.Rejected> rejected = new ArrayList<>();
        for (BackendProvider provider : providers) {
            if (wanted.isPresent() && !wanted.get().equals(provider.name())) {
                rejected.add(new BackendSelection.Rejected(provider.name(), "device is set to " + wanted.get()));
                continue;
            }
            Optional<String> whyNot = provider.whyNot(options);
            if (whyNot.isEmpty()) {
                Backend backend = provider.create(options);
                String reason = wanted.isPresent() ? "device is set to " + wanted.get() : autoReason(rejected);
                return new Selected(backend,
                        new BackendSelection(provider.name(), backend.description(), reason, rejected));
            }
            if (wanted.isPresent()) {
                throw new FireqException("Device %s cannot be used: %s; set the device to auto to run on what there is"
                        .formatted(provider.name(), whyNot.get()));
            }
            rejected.add(new BackendSelection.Rejected(provider.name(), whyNot.get()));
        }
        throw new IllegalStateException("No backend can run: " + rejected);
    }

    private static String autoReason(List<BackendSelection.Rejected> rejected) {
        return rejected.isEmpty()
                ? "it is the fastest here"
                : "%s cannot be used: %s".formatted(rejected.get(0).name(), rejected.get(0).reason());
    }

    /** A backend and why it is it. */
    record Selected(Backend backend, BackendSelection selection) {}
}
