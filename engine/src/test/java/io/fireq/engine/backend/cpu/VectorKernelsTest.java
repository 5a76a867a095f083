package io.fireq.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VectorKernelsTest {

    @Test
    void agree_with_the_plain_kernels() {
        KernelAgreement agreement = new KernelAgreement();
        agreement.check();
        assertThat(agreement.comparisons()).isGreaterThan(500);
    }

    /** Vector shapes are constants of a JVM, so shorter ones need a JVM of their own. */
    @ParameterizedTest
    @ValueSource(ints = {16, 32})
    void agree_with_the_plain_kernels_where_vectors_are_shorter(int vectorBytes) throws Exception {
        Process process = agreementWith(vectorBytes);
        String output = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor(120, TimeUnit.SECONDS)).as(output).isTrue();
        assertThat(process.exitValue()).as(output).isZero();
        assertThat(output).containsPattern("Vector API \\d+ bits: \\d+ comparisons agree");
        System.out.println(output.strip());
    }

    private static Process agreementWith(int vectorBytes) throws IOException {
        return new ProcessBuilder(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+IgnoreUnrecognizedVMOptions", "-XX:MaxVectorSize=" + vectorBytes, "--add-modules",
                "jdk.incubator.vector", "-cp", System.getProperty("java.class.path"),
                KernelAgreement.class.getName())).redirectErrorStream(true).start();
    }
}
