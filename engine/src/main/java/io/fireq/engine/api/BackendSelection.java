package io.fireq.engine.api;

import java.util.List;

/**
 * Which backend runs the model, and why.
 *
 * @param chosen   "cpu" or "cuda"
 * @param device   the device and the code path on it, in words
 * @param reason   why it was chosen
 * @param rejected the others, each with its reason
 */
public record BackendSelection(String chosen, String device, String reason, List<Rejected> rejected) {

    public BackendSelection {
        rejected = List.copyOf(rejected);
    }

    /** A backend that was not chosen. */
    public record Rejected(String name, String reason) {}
}
