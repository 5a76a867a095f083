package io.fireq.kernels.jit;

import io.fireq.kernels.catalog.KernelSpec;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Everything one kernel is compiled from.
 *
 * @param entry          text of the translation unit: the include of the kernel's file and its Config
 * @param nameExpression the instantiation to compile, {@code fireq::silu_mul<fireq::Config>}
 * @param headers        the files it includes, directly or not: name as included to text
 */
public record KernelSource(String entry, String nameExpression, SortedMap<String, String> headers) {
    private static final Pattern INCLUDE = Pattern.compile("(?m)^\\s*#\\s*include\\s+\"([^\"]+)\"");

    /**
     * Collects a kernel's source.
     *
     * @param roots the folders that include names start from
     */
    public static KernelSource read(List<Path> roots, KernelSpec spec) throws IOException {
        String entry = "#include \"fireq/%s\"\nnamespace fireq {\n%s}\n".formatted(spec.source(), spec.config().render());
        return of(roots, entry, "fireq::%s<fireq::Config>".formatted(spec.kernel()));
    }

    /** Collects what a translation unit includes. */
    static KernelSource of(List<Path> roots, String entry, String nameExpression) throws IOException {
        SortedMap<String, String> headers = new TreeMap<>();
        collectIncludes(roots, entry, "the kernel's entry", headers);
        return new KernelSource(entry, nameExpression, headers);
    }

    private static void collectIncludes(List<Path> roots, String text, String from, SortedMap<String, String> headers)
            throws IOException {
        Matcher include = INCLUDE.matcher(text);
        while (include.find()) {
            collect(roots, include.group(1), from, headers);
        }
    }

    private static void collect(List<Path> roots, String name, String from, SortedMap<String, String> headers)
            throws IOException {
        if (headers.containsKey(name)) {
            return;
        }
        Path file = roots.stream().map(root -> root.resolve(name)).filter(Files::isRegularFile).findFirst()
                .orElseThrow(() -> new IOException(
                        "Kernel source: '%s' includes \"%s\", which is not below %s; include names start there"
                                .formatted(from, name, roots)));
        String text = Files.readString(file);
        headers.put(name, text);
        collectIncludes(roots, text, name, headers);
    }

    /** A hash of the source, the compiler's version and its options: equal hashes make equal cubins. */
    public String hash(String compilerVersion, List<String> options) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            update(digest, compilerVersion);
            options.forEach(option -> update(digest, option));
            update(digest, nameExpression);
            update(digest, entry);
            headers.forEach((name, text) -> {
                update(digest, name);
                update(digest, text);
            });
            return HexFormat.of().formatHex(digest.digest(), 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every Java runtime has SHA-256", e);
        }
    }

    private static void update(MessageDigest digest, String text) {
        digest.update(text.getBytes(StandardCharsets.UTF_8));
        digest.update((byte) 0);
    }
}
