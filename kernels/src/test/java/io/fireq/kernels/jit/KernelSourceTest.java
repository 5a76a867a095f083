package io.fireq.kernels.jit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelSourceTest {
    private static final KernelSpec SPEC = new KernelSpec("gemm/k.cuh", "k", KernelConfig.empty().with("TILE_M", 64), true);

    @TempDir
    private Path root;

    @BeforeEach
    void writeSources() throws IOException {
        write("fireq/gemm/k.cuh", "#include \"fireq/common/a.cuh\"\ntemplate <class C> __global__ void k() {}\n");
        write("fireq/common/a.cuh", "#pragma once\n#include \"fireq/common/b.cuh\"\n");
        write("fireq/common/b.cuh", "#pragma once\n");
        write("fireq/common/unused.cuh", "#pragma once\n");
    }

    @Test
    void collects_the_files_that_are_included() throws IOException {
        KernelSource source = KernelSource.read(List.of(root), SPEC);
        assertThat(source.headers()).containsOnlyKeys("fireq/gemm/k.cuh", "fireq/common/a.cuh", "fireq/common/b.cuh");
        assertThat(source.nameExpression()).isEqualTo("fireq::k<fireq::Config>");
        assertThat(source.entry()).isEqualTo("""
                #include "fireq/gemm/k.cuh"
                namespace fireq {
                struct Config {
                    static constexpr int TILE_M = 64;
                };
                }
                """);
    }

    @Test
    void hash_changes_with_everything_that_changes_the_cubin_and_nothing_else() throws IOException {
        String hash = hash(SPEC);
        write("fireq/common/unused.cuh", "// other\n");
        assertThat(hash(SPEC)).isEqualTo(hash);
        assertThat(KernelSource.read(List.of(root), SPEC).hash("12.8", List.of("-O3"))).isNotEqualTo(hash);
        assertThat(KernelSource.read(List.of(root), SPEC).hash("12.9", List.of("-O2"))).isNotEqualTo(hash);
        assertThat(hash(new KernelSpec("gemm/k.cuh", "k", KernelConfig.empty().with("TILE_M", 32), true)))
                .isNotEqualTo(hash);
        write("fireq/common/b.cuh", "#pragma once\n// changed\n");
        assertThat(hash(SPEC)).isNotEqualTo(hash);
    }

    @Test
    void names_the_file_with_a_wrong_include() throws IOException {
        write("fireq/common/b.cuh", "#include \"fireq/common/missing.cuh\"\n");
        assertThatThrownBy(() -> KernelSource.read(List.of(root), SPEC)).isInstanceOf(IOException.class)
                .hasMessageContaining("'fireq/common/b.cuh' includes \"fireq/common/missing.cuh\"");
    }

    private String hash(KernelSpec spec) throws IOException {
        return KernelSource.read(List.of(root), spec).hash("12.9", List.of("-O3"));
    }

    private void write(String name, String text) throws IOException {
        Path file = root.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
    }
}
