package io.fireq.engine.backend.cuda;

import io.fireq.engine.batch.Batch;
import io.fireq.kernels.cuda.CudaGraph;
import io.fireq.kernels.cuda.CudaStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

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

    /**
     * What a step consists of.
     *
     * @param program    what queued it; null if that is not known
     * @param operations what it queued
     * @param checks     what a batch must pass for these operations
     * @param vocabSize  values of a row of its logits
     */
    record Step(Object program, List<Operation> operations, List<Consumer<Batch>> checks, int vocabSize) {
        Step {
            operations = List.copyOf(operations);
            checks = List.copyOf(checks);
        }
    }

    /** {@code graph} is null until the second step. */
    private record Recording(Step step, CudaGraph graph) {}

    /**
     * Runs a step.
     *
     * @param launchAll launches its operations one by one
     */
    void run(InputLayout layout, Step step, Runnable launchAll) {
        Recording known = recordings.get(layout);
        if (known == null || !known.step.operations.equals(step.operations)) {
            forget(layout);
            launchAll.run();
            recordings.put(layout, new Recording(step, null));
            return;
        }
        CudaGraph graph = known.graph;
        if (graph == null) {
            graph = CudaGraph.capture(stream, launchAll);
        }
        recordings.put(layout, new Recording(step, graph));
        graph.launch(stream);
    }

    /**
     * Replays the recording of this program, if there is one.
     *
     * @param batch what the caller gave, without padding
     * @return the step, or null if it must be queued
     * @throws IllegalArgumentException if the operations cannot work on the batch
     */
    Step replay(InputLayout layout, Object program, Batch batch) {
        Recording known = recordings.get(layout);
        if (known == null || known.graph == null || known.step.program != program) {
            return null;
        }
        for (Consumer<Batch> check : known.step.checks) {
            check.accept(batch);
        }
        known.graph.launch(stream);
        return known.step;
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
