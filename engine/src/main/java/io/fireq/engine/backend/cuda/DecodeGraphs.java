package io.fireq.engine.backend.cuda;

import io.fireq.kernels.cuda.CudaGraph;
import io.fireq.kernels.cuda.CudaStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Recorded decode steps by {@link InputLayout}. A step of a new layout, or of other operations than last time, is
 * launched kernel by kernel, which also makes all memory it needs; the second of its kind is recorded and replayed; from
 * then on one call starts the whole step. Recordings hold addresses, so memory that moves clears them.
 */
final class DecodeGraphs implements AutoCloseable {
    private final CudaStream stream;
    private final Map<InputLayout, Recording> recordings = new HashMap<>();

    DecodeGraphs(CudaStream stream) {
        this.stream = stream;
    }

    /** {@code graph} is null until the second step. */
    private record Recording(List<Operation> operations, CudaGraph graph) {}

    /**
     * Runs a step.
     *
     * @param operations what the step consists of
     * @param launchAll  launches them one by one
     */
    void run(InputLayout layout, List<Operation> operations, Runnable launchAll) {
        Recording known = recordings.get(layout);
        if (known == null || !known.operations.equals(operations)) {
            forget(layout);
            launchAll.run();
            recordings.put(layout, new Recording(List.copyOf(operations), null));
            return;
        }
        CudaGraph graph = known.graph;
        if (graph == null) {
            graph = CudaGraph.capture(stream, launchAll);
            recordings.put(layout, new Recording(known.operations, graph));
        }
        graph.launch(stream);
    }

    private void forget(InputLayout layout) {
        Recording recording = recordings.remove(layout);
        if (recording != null && recording.graph != null) {
            stream.synchronize();
            recording.graph.close();
        }
    }

    /** Layouts that have a graph. */
    long size() {
        return recordings.values().stream().filter(r -> r.graph != null).count();
    }

    /** Forgets all recordings. */
    void clear() {
        List.copyOf(recordings.keySet()).forEach(this::forget);
    }

    @Override
    public void close() {
        clear();
    }
}
