package io.fireq.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.fireq.kernels.DeviceException;
import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.elementwise.SiluMul;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.GuardedBuffer;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

@GpuTest
class DriverGpuTest {
    private static final int FFN_SIZE = 40;

    @Test
    void pinned_copies_run_in_stream_order() {
        try (Gpu gpu = Gpu.open();
                PinnedBuffer from = gpu.context().allocatePinned("from", 64);
                PinnedBuffer to = gpu.context().allocatePinned("to", 64)) {
            DeviceBuffer first = gpu.empty("first", 96);
            DeviceBuffer second = gpu.empty("second", 96);
            for (int i = 0; i < 64; i++) {
                from.bytes().put(i, (byte) (i * 3));
            }
            first.fillAsync(gpu.stream(), (byte) 9);
            first.uploadAsync(gpu.stream(), 8, from, 64);
            second.copyAsync(gpu.stream(), 16, first, 8, 64);
            second.downloadAsync(gpu.stream(), 16, to, 64);
            gpu.stream().synchronize();
            assertThat(to.bytes()).isEqualTo(from.bytes());
            assertThat(gpu.bytes(first)).startsWith(9, 9, 9, 9, 9, 9, 9, 9, 0, 3, 6).endsWith(9, 9, 9);
            gpu.finish();
        }
    }

    @Test
    void a_graph_repeats_what_was_recorded_and_can_be_updated() {
        try (Gpu gpu = Gpu.open()) {
            SiluMul kernel = new SiluMul(gpu.context());
            float[] ones = new float[6 * FFN_SIZE];
            java.util.Arrays.fill(ones, 20f); // silu(20) · 20 rounds to 400
            DeviceBuffer input = gpu.upload("input", ones);
            DeviceBuffer one = gpu.empty("one", 2L * FFN_SIZE);
            DeviceBuffer three = gpu.empty("three", 2L * 3 * FFN_SIZE);
            try (CudaGraph graph = CudaGraph.capture(gpu.stream(),
                    () -> kernel.launch(gpu.stream(), input, 1, FFN_SIZE, one))) {
                gpu.context().synchronize();
                assertThat(gpu.shorts(one)).as("recording does not run").doesNotContain(Formats.bf16(400));
                graph.launch(gpu.stream());
                gpu.finish();
                assertThat(gpu.shorts(one)).containsOnly(Formats.bf16(400));
                graph.update(gpu.stream(), () -> kernel.launch(gpu.stream(), input, 3, FFN_SIZE, three));
                graph.launch(gpu.stream());
                gpu.finish();
                assertThat(gpu.shorts(three)).containsOnly(Formats.bf16(400));
            }
        }
    }

    @Test
    void an_exception_while_recording_ends_the_recording() {
        try (Gpu gpu = Gpu.open(); CudaEvent start = gpu.context().newEvent(); CudaEvent end = gpu.context().newEvent()) {
            assertThatThrownBy(() -> CudaGraph.capture(gpu.stream(), () -> {
                throw new IllegalStateException("mine");
            })).hasMessage("mine");
            start.record(gpu.stream());
            end.record(gpu.stream());
            gpu.stream().waitFor(end);
            end.synchronize();
            assertThat(end.millisSince(start)).isNotNegative();
        }
    }

    @Test
    void running_out_of_memory_says_what_was_asked_and_what_is_free() {
        try (Gpu gpu = Gpu.open()) {
            DeviceException e = catchThrowableOfType(DeviceException.class,
                    () -> gpu.context().allocate("KV cache", 1L << 45));
            assertThat(e.isOutOfMemory()).isTrue();
            assertThat(e).hasMessageStartingWith(
                    "cuMemAlloc('KV cache', 35,184,372,088,832 bytes): CUDA_ERROR_OUT_OF_MEMORY (2); device 0 '")
                    .hasMessageContaining("bytes free");
            assertThat(gpu.context().freeBytes()).isPositive();
        }
    }

    @Test
    void copies_outside_a_buffer_and_uses_after_close_are_refused() {
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer buffer = gpu.context().allocate("scratch", 100);
            assertThat(gpu.context().liveBuffers()).contains("'scratch' (100 bytes)");
            assertThatThrownBy(() -> buffer.upload(90, ByteBuffer.allocate(11)))
                    .hasMessage("DeviceBuffer 'scratch': upload of 11 bytes at 90, but it has 100");
            assertThatThrownBy(() -> buffer.slice(Long.MAX_VALUE, 1, "x")).isInstanceOf(IndexOutOfBoundsException.class);
            DeviceBuffer slice = buffer.slice(50, 50, "slice");
            buffer.close();
            assertThatThrownBy(slice::address).hasMessageContaining("'slice' (50 bytes) is used after it was closed");
            assertThat(gpu.context().liveBuffers()).isEmpty();
        }
    }

    @Test
    void a_guard_sees_one_byte_too_many() {
        try (Gpu gpu = Gpu.open(); GuardedBuffer guarded = new GuardedBuffer(gpu.context(), "victim", 64)) {
            guarded.verify();
            DeviceBuffer inner = guarded.buffer();
            DeviceBuffer neighbour = gpu.context().allocate("source", 65);
            neighbour.fillAsync(gpu.stream(), (byte) 1);
            guarded.overrun(gpu.stream(), neighbour);
            assertThatThrownBy(guarded::verify).isInstanceOf(AssertionError.class)
                    .hasMessageContaining("byte 64 relative to its start was overwritten with 0x01");
            assertThat(inner.byteSize()).isEqualTo(64);
            neighbour.close();
        }
    }

    @Test
    void arguments_are_typed_and_operands_are_measured() {
        try (Gpu gpu = Gpu.open()) {
            assertThatThrownBy(() -> new KernelArgs(KernelArgs.Type.INT).set(0, 1f))
                    .hasMessageContaining("argument 0 is FLOAT, required INT");
            DeviceBuffer small = gpu.empty("small", 8);
            assertThatThrownBy(() -> new SiluMul(gpu.context()).launch(gpu.stream(), small, 3, FFN_SIZE, small))
                    .hasMessageStartingWith("SiluMul: gateUp [nTokens, 2·ffnSize] needs 240 elements of 4 bytes");
            assertThatThrownBy(() -> gpu.context().kernel(new KernelSpec("x.cuh", "x", KernelConfig.empty(), false)))
                    .hasMessageStartingWith("Kernel x is not among the ");
        }
    }
}
