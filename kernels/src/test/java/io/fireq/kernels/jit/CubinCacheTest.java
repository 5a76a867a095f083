package io.fireq.kernels.jit;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.catalog.CubinIndex;
import io.fireq.kernels.catalog.KernelInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CubinCacheTest {
    private static final KernelInfo INFO = new KernelInfo("a", "_Z1a", "hash1", 32, 0, 0, 0, 0);

    @TempDir
    private Path temp;

    @Test
    void knows_a_stored_kernel_by_its_hash() throws IOException {
        Path folder = temp.resolve("cubin");
        new CubinCache(folder).store(List.of(new CompiledKernel(INFO, new byte[] {1, 2}, "")), List.of(INFO));
        CubinCache reopened = new CubinCache(folder);
        assertThat(reopened.upToDate("a", "hash1")).contains(INFO);
        assertThat(reopened.upToDate("a", "hash2")).isEmpty();
        assertThat(reopened.upToDate("b", "hash1")).isEmpty();
        assertThat(folder.resolve("a.cubin")).hasBinaryContent(new byte[] {1, 2});
    }

    @Test
    void compiles_again_where_the_cubin_is_gone_or_the_index_is_of_another_version() throws IOException {
        new CubinCache(temp).store(List.of(new CompiledKernel(INFO, new byte[1], "")), List.of(INFO));
        Files.delete(temp.resolve("a.cubin"));
        assertThat(new CubinCache(temp).upToDate("a", "hash1")).isEmpty();
        Files.write(temp.resolve("a.cubin"), new byte[1]);
        Files.writeString(temp.resolve(CubinIndex.FILE), "fireq-cubins 0\n");
        assertThat(new CubinCache(temp).upToDate("a", "hash1")).isEmpty();
    }

    @Test
    void deletes_cubins_that_no_kernel_names() throws IOException {
        Files.write(temp.resolve("old.cubin"), new byte[1]);
        new CubinCache(temp).store(List.of(new CompiledKernel(INFO, new byte[1], "")), List.of(INFO));
        assertThat(temp.resolve("old.cubin")).doesNotExist();
        assertThat(temp.resolve("a.cubin")).exists();
    }

    @Test
    void knows_whether_it_has_kernels_that_are_no_longer_wanted() throws IOException {
        new CubinCache(temp).store(List.of(new CompiledKernel(INFO, new byte[1], "")), List.of(INFO));
        assertThat(new CubinCache(temp).hasOthersThan(Set.of("a", "b"))).isFalse();
        assertThat(new CubinCache(temp).hasOthersThan(Set.of("b"))).isTrue();
    }
}
