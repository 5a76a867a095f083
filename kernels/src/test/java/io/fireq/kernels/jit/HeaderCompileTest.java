package io.fireq.kernels.jit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class HeaderCompileTest {

    @Test
    void every_instruction_wrapper_compiles_without_findings_or_local_memory() throws Exception {
        assumeTrue(NvrtcLibrary.isAvailable(), "NVRTC is not on the class path of this host");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-classpath", System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                HeaderCompiler.class.getName(), "src/main/cuda", "target/nvrtc").redirectErrorStream(true).start();
        List<String> lines = lines(process);
        assertThat(process.waitFor()).as(String.join("\n", lines)).isZero();
        assertThat(lines).containsExactlyElementsOf(HeaderCompiler.bodies().keySet().stream()
                .map(header -> header + " 0 bytes of local memory ").toList());
    }

    private static List<String> lines(Process process) throws IOException {
        return new String(process.getInputStream().readAllBytes()).lines().toList();
    }
}
