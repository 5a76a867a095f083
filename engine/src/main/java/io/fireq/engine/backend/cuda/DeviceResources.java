package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.FireqException;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaProbe;
import java.util.ArrayDeque;
import java.util.Deque;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A context on device 0 and what belongs to it, released last first. After a fault the driver refuses to free what the
 * fault has taken with it; that is logged, not thrown, for the fault itself has been reported.
 */
final class DeviceResources implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DeviceResources.class);

    private final String owner;
    private final CudaContext context;
    /** Last first. */
    private final Deque<AutoCloseable> owned = new ArrayDeque<>();

    private DeviceResources(String owner, CudaContext context) {
        this.owner = owner;
        this.context = context;
        owned.push(context);
    }

    /**
     * Opens the device.
     *
     * @param owner for messages, such as "CUDA backend"
     * @throws FireqException if there is no GPU to use, with the reason
     */
    static DeviceResources open(String owner) {
        CudaProbe probe = CudaProbe.probe();
        return new DeviceResources(owner, CudaContext.open(probe.device().orElseThrow(
                () -> new FireqException("%s: there is no GPU to use: %s".formatted(owner, probe.reason())))));
    }

    CudaContext context() {
        return context;
    }

    /** Takes something to release before all that it has. */
    <T extends AutoCloseable> T own(T resource) {
        owned.push(resource);
        return resource;
    }

    @Override
    public void close() {
        if (owned.isEmpty()) {
            return;
        }
        attempt("the device", () -> {
            context.makeCurrent(); // perhaps this is another thread
            context.synchronize();
        });
        while (!owned.isEmpty()) {
            AutoCloseable resource = owned.pop();
            attempt(resource.getClass().getSimpleName(), resource);
        }
    }

    private void attempt(String what, AutoCloseable release) {
        try {
            release.close();
        } catch (Exception e) {
            LOG.warn("Closing {}: {} could not be released: {}", owner, what, e.getMessage());
        }
    }
}
