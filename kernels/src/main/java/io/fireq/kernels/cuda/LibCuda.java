package io.fireq.kernels.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Looks for the driver's library, libcuda.so.1, where the dynamic linker would, without loading anything: a host
 * without it must not load a CUDA class, because that would fail in a static initialiser.
 */
final class LibCuda {
    private static final String FILE = "libcuda.so.1";
    private static final List<String> DEFAULT_FOLDERS =
            List.of("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu");

    private LibCuda() {}

    /** Where the library is on this host. */
    static Optional<String> find() {
        return find(System.getenv(), Path.of("/etc/ld.so.cache"), DEFAULT_FOLDERS);
    }

    static Optional<String> find(Map<String, String> environment, Path linkerCache, List<String> defaultFolders) {
        Stream<String> userFolders = Stream.of(environment.getOrDefault("LD_LIBRARY_PATH", "").split(":"))
                .filter(folder -> !folder.isBlank());
        return Stream.concat(userFolders, defaultFolders.stream())
                .map(folder -> Path.of(folder, FILE))
                .filter(Files::exists)
                .map(Path::toString)
                .findFirst()
                .or(() -> findInLinkerCache(linkerCache));
    }

    // The cache is a binary table with all paths as text; the library is in it as a path that ends with its name.
    private static Optional<String> findInLinkerCache(Path linkerCache) {
        try {
            String text = Files.exists(linkerCache)
                    ? new String(Files.readAllBytes(linkerCache), StandardCharsets.ISO_8859_1)
                    : "";
            return Stream.of(text.split("\0"))
                    .filter(entry -> entry.endsWith("/" + FILE) && Files.exists(Path.of(entry)))
                    .findFirst();
        } catch (IOException unreadable) {
            return Optional.empty();
        }
    }
}
