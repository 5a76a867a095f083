package io.fireq.kernels.build;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.fireq.kernels.catalog.CubinIndex;
import io.fireq.kernels.catalog.KernelInfo;
import io.fireq.kernels.catalog.KernelSpec;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class KernelManifestTest {
    private static final int EM_CUDA = 190;

    @Test
    void kernels_have_distinct_ids_and_existing_sources() {
        assertThat(KernelManifest.kernels()).extracting(KernelSpec::id).doesNotHaveDuplicates();
        assertThat(KernelManifest.kernels()).allSatisfy(spec ->
                assertThat(Path.of("src/main/cuda/fireq", spec.source())).exists());
    }

    @Test
    void every_kernel_of_the_manifests_is_built_and_nothing_else() {
        CubinIndex index = builtIndex();
        assertThat(index.kernels()).extracting(KernelInfo::id).containsExactlyInAnyOrderElementsOf(
                Stream.concat(KernelManifest.kernels().stream(), SelfTestKernels.kernels().stream())
                        .map(KernelSpec::id).toList());
    }

    @Test
    void cubins_are_cuda_elf_files_with_their_kernel() {
        for (KernelInfo kernel : builtIndex().kernels()) {
            byte[] cubin = CubinIndex.cubin(kernel.id());
            ByteBuffer elf = ByteBuffer.wrap(cubin).order(ByteOrder.LITTLE_ENDIAN);
            assertThat(elf.getInt(0)).as("ELF magic of " + kernel.id()).isEqualTo(0x464c457f);
            assertThat(elf.getShort(18)).as("machine of " + kernel.id()).isEqualTo((short) EM_CUDA);
            assertThat(new String(cubin, StandardCharsets.ISO_8859_1)).contains(".text." + kernel.symbol());
        }
    }

    @Test
    void the_cuda_runtime_lies_where_javacpp_looks() {
        builtIndex();
        assertThat(Path.of("target/classes/org/bytedeco/cuda/linux-x86_64/libcudart.so.12")).satisfies(file ->
                assertThat(Files.size(file)).isBetween(400_000L, 2_000_000L));
    }

    private static CubinIndex builtIndex() {
        CubinIndex index = CubinIndex.fromClassPath();
        assumeFalse(index.kernels().isEmpty(), "this build has no cubins: no NVRTC for this host");
        return index;
    }
}
