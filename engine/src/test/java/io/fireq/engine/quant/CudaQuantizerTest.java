package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.api.EngineOptions.Device;
import io.fireq.engine.backend.cuda.GpuTest;
import io.fireq.engine.tokenizer.TestModels;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A whole model quantized on the GPU comes out as it does on the CPU, but for the order of sums. */
@GpuTest
class CudaQuantizerTest {
    /** Decibels by which a tensor may differ; measures are rounded to 0.01. */
    private static final double TENSOR_DB = 0.6;
    private static final double MEAN_DB = 0.1;

    @TempDir
    Path directory;

    @ParameterizedTest
    @EnumSource(Profile.class)
    void error_tables_agree(Profile profile) {
        List<TensorReport> cpu = quantize(profile, Device.CPU, "cpu");
        List<TensorReport> cuda = quantize(profile, Device.CUDA, "cuda");
        assertThat(cuda).extracting(TensorReport::name)
                .containsExactlyElementsOf(cpu.stream().map(TensorReport::name).toList());
        for (String measure : List.of(TensorReport.SQNR_DB, "output_sqnr_db")) {
            double total = 0;
            int count = 0;
            for (int i = 0; i < cpu.size(); i++) {
                Map<String, Double> expected = cpu.get(i).measures();
                if (expected.containsKey(measure)) {
                    double actual = cuda.get(i).measures().get(measure);
                    assertThat(actual).as("%s of %s", measure, cpu.get(i).name())
                            .isCloseTo(expected.get(measure), within(TENSOR_DB));
                    total += actual - expected.get(measure);
                    count++;
                }
            }
            if (count > 0) {
                assertThat(total / count).as("mean difference of " + measure).isCloseTo(0, within(MEAN_DB));
            }
        }
    }

    @Test
    void the_same_call_writes_the_same_bytes() throws IOException {
        quantize(Profile.BEST, Device.CUDA, "first");
        quantize(Profile.BEST, Device.CUDA, "second");
        assertThat(Files.mismatch(directory.resolve("first/model.safetensors"),
                directory.resolve("second/model.safetensors"))).isEqualTo(-1);
    }

    private List<TensorReport> quantize(Profile profile, Device device, String name) {
        QuantizerOptions options = QuantizerOptions.builder().profile(profile).device(device)
                .calibration(new CalibrationOptions(Optional.empty(), 16, 256, 1)).build();
        return new OfflineQuantizer(options, (report, done, total) -> {})
                .quantize(TestModels.stories260k(), directory.resolve(name));
    }
}
