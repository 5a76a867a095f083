package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend.Rows;
import io.fireq.engine.backend.Backend.Vector;
import io.fireq.engine.backend.Backend.Weight;
import io.fireq.engine.backend.TestMatrices;
import io.fireq.engine.batch.Batch;
import io.fireq.kernels.DeviceException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A kernel that faults takes its context with it, so it runs in a process of its own. */
@GpuTest
class CudaFaultTest {
    @Test
    void a_kernel_fault_is_one_exception_and_the_process_goes_on() throws Exception {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-classpath", System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                FaultProgram.class.getName()).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor()).as(output).isZero();
        assertThat(output).contains("fault: cu").contains("CUDA_ERROR_").contains("device 0 '").contains("alive");
    }

    /** Lets a token id change between the check and the kernel, which traps. */
    static final class FaultProgram {
        private FaultProgram() {}

        public static void main(String[] args) {
            CudaBackend backend = CudaBackend.open(Numerics.QUANTIZED, false);
            Weight weight = backend.weight(List.of(TestMatrices.e4m3(11, 16, 1)));
            Vector norm = backend.vector(new float[16]);
            Rows rows = backend.rows(1, 16);
            int[] tokenIds = {11};
            backend.begin(new Batch(tokenIds, new int[1], new int[1], new int[] {0, 1}, new int[] {1}, new int[1][1],
                    new int[1]));
            tokenIds[0] = 0;
            try { // the fault surfaces in the first call after it
                backend.embed(weight, rows);
                backend.logits(rows, norm, 1e-5f, weight).copyRow(0, new float[11]);
            } catch (DeviceException e) {
                System.out.println("fault: " + e.getMessage());
            }
            backend.close();
            System.out.println("alive");
        }
    }
}
