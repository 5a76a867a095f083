package io.fireq.kernels.jit;

import io.fireq.kernels.catalog.CubinIndex;
import io.fireq.kernels.catalog.KernelInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The folder of cubins and their index: which are up to date, and replacing those that are not. */
public final class CubinCache {
    private final Path folder;
    private final CubinIndex index;

    /** Opens a folder, which need not exist. An index of another version counts as none. */
    public CubinCache(Path folder) throws IOException {
        this.folder = folder;
        this.index = readIndex(folder.resolve(CubinIndex.FILE));
    }

    private static CubinIndex readIndex(Path file) throws IOException {
        if (!Files.exists(file)) {
            return new CubinIndex(List.of());
        }
        try {
            return CubinIndex.parse(file.toString(), Files.readString(file));
        } catch (IllegalStateException otherVersion) {
            return new CubinIndex(List.of());
        }
    }

    /** The kernel, where its cubin exists and was made from a source of this hash. */
    public Optional<KernelInfo> upToDate(String id, String hash) {
        return index.find(id).filter(info -> info.sourceHash().equals(hash) && Files.exists(file(id)));
    }

    /** Whether the index names kernels that {@code ids} does not. */
    public boolean hasOthersThan(Set<String> ids) {
        return index.kernels().stream().anyMatch(kernel -> !ids.contains(kernel.id()));
    }

    /**
     * Writes the changed cubins and an index of {@code kernels}, and deletes cubins that the index does not name. While
     * it runs there is no index, so that an interrupted build is not taken for a finished one.
     */
    public void store(Collection<CompiledKernel> changed, Collection<KernelInfo> kernels) throws IOException {
        Files.createDirectories(folder);
        Path indexFile = folder.resolve(CubinIndex.FILE);
        Files.deleteIfExists(indexFile);
        for (CompiledKernel kernel : changed) {
            Files.write(file(kernel.info().id()), kernel.cubin());
        }
        Set<Path> named = kernels.stream().map(kernel -> file(kernel.id())).collect(Collectors.toSet());
        try (Stream<Path> files = Files.list(folder)) {
            for (Path stale : files.filter(f -> f.toString().endsWith(".cubin") && !named.contains(f)).toList()) {
                Files.delete(stale);
            }
        }
        Files.writeString(indexFile, new CubinIndex(kernels).format());
    }

    private Path file(String id) {
        return folder.resolve(id + ".cubin");
    }
}
