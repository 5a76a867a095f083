package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.CUDA_SUCCESS;
import static org.bytedeco.cuda.global.cudart.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
import static org.bytedeco.cuda.global.cudart.cuGraphDestroy;
import static org.bytedeco.cuda.global.cudart.cuGraphExecDestroy;
import static org.bytedeco.cuda.global.cudart.cuGraphExecUpdate;
import static org.bytedeco.cuda.global.cudart.cuGraphInstantiate;
import static org.bytedeco.cuda.global.cudart.cuGraphLaunch;
import static org.bytedeco.cuda.global.cudart.cuStreamBeginCapture;
import static org.bytedeco.cuda.global.cudart.cuStreamEndCapture;

import org.bytedeco.cuda.cudart.CUgraphExecUpdateResultInfo_v1;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;

/**
 * A recorded sequence of launches that is started with one call. Kernel arguments are copied when recorded; what they
 * point to may change between launches.
 */
public final class CudaGraph implements AutoCloseable {
    private final CudaContext context;
    private CUgraphExec_st executable;

    private CudaGraph(CudaContext context, CUgraphExec_st executable) {
        this.context = context;
        this.executable = executable;
    }

    /** Records what {@code work} puts into the stream, without running it. Nothing in it may synchronise or allocate. */
    public static CudaGraph capture(CudaStream stream, Runnable work) {
        try (Recorded recorded = record(stream, work)) {
            return new CudaGraph(stream.context(), recorded.instantiate());
        }
    }

    /**
     * Replaces the recording by a new one. Where only arguments and launch shapes differ the instance is kept, which is
     * much cheaper than a new one.
     *
     * @return whether the instance was kept
     */
    public boolean update(CudaStream stream, Runnable work) {
        try (Recorded recorded = record(stream, work);
                CUgraphExecUpdateResultInfo_v1 info = new CUgraphExecUpdateResultInfo_v1()) {
            if (cuGraphExecUpdate(executable, recorded.graph, info) == CUDA_SUCCESS) {
                return true;
            }
            CUgraphExec_st replacement = recorded.instantiate();
            destroy();
            executable = replacement;
            return false;
        }
    }

    /** Queues the recorded work. */
    public void launch(CudaStream stream) {
        int result = cuGraphLaunch(executable, stream.handle());
        if (result != CUDA_SUCCESS) {
            throw CudaDriver.failure(result, "cuGraphLaunch", context.device().describe());
        }
    }

    @Override
    public void close() {
        destroy();
    }

    private void destroy() {
        CudaDriver.check(cuGraphExecDestroy(executable), "cuGraphExecDestroy", context);
        executable.close();
    }

    private static Recorded record(CudaStream stream, Runnable work) {
        CudaContext context = stream.context();
        CudaDriver.check(cuStreamBeginCapture(stream.handle(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                "cuStreamBeginCapture", context);
        boolean complete = false;
        CUgraph_st graph = new CUgraph_st();
        try {
            work.run();
            complete = true;
        } finally {
            int result = cuStreamEndCapture(stream.handle(), graph);
            // An exception of the work is the cause, and more telling than that its capture is invalid.
            if (complete) {
                CudaDriver.check(result, "cuStreamEndCapture", context);
            } else if (result == CUDA_SUCCESS) {
                cuGraphDestroy(graph);
            }
        }
        return new Recorded(context, graph);
    }

    private record Recorded(CudaContext context, CUgraph_st graph) implements AutoCloseable {
        CUgraphExec_st instantiate() {
            CUgraphExec_st executable = new CUgraphExec_st();
            CudaDriver.check(cuGraphInstantiate(executable, graph, 0), "cuGraphInstantiate", context);
            return executable;
        }

        @Override
        public void close() {
            CudaDriver.check(cuGraphDestroy(graph), "cuGraphDestroy", context);
            graph.close();
        }
    }
}
