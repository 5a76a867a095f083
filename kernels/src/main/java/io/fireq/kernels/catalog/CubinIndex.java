package io.fireq.kernels.catalog;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The list of compiled kernels beside their cubins. Text: a line {@code fireq-cubins 1 sm_90a}, then one line per kernel
 * with the fields of {@link KernelInfo} in order, separated by tabs.
 */
public final class CubinIndex {
    /** Resource folder of the index and the cubins. */
    public static final String FOLDER = "io/fireq/kernels/cubin/";
    /** File name of the index. */
    public static final String FILE = "index.tsv";
    /** Architecture the cubins are for. */
    public static final String ARCHITECTURE = "sm_90a";

    private static final String HEADER = "fireq-cubins 1 " + ARCHITECTURE;

    private final SortedMap<String, KernelInfo> kernels = new TreeMap<>();

    /** An index of these kernels. */
    public CubinIndex(Collection<KernelInfo> kernels) {
        kernels.forEach(kernel -> this.kernels.put(kernel.id(), kernel));
    }

    /** The kernels of all indexes on the class path; none where the jar was built without cubins. */
    public static CubinIndex fromClassPath() {
        List<KernelInfo> kernels = new ArrayList<>();
        try {
            for (URL url : Collections.list(CubinIndex.class.getClassLoader().getResources(FOLDER + FILE))) {
                try (InputStream in = url.openStream()) {
                    String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
                    kernels.addAll(parse(url.toString(), text).kernels());
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("Reading resource " + FOLDER + FILE, e);
        }
        return new CubinIndex(kernels);
    }

    /** Parses the text form; {@code name} is for messages. */
    public static CubinIndex parse(String name, String text) {
        List<String> lines = text.lines().toList();
        if (lines.isEmpty() || !lines.get(0).equals(HEADER)) {
            throw new IllegalStateException("Cubin index %s: starts with '%s', required '%s'; rebuild the kernels module"
                    .formatted(name, lines.isEmpty() ? "" : lines.get(0), HEADER));
        }
        List<KernelInfo> kernels = new ArrayList<>();
        for (String line : lines.subList(1, lines.size())) {
            String[] f = line.split("\t");
            if (f.length != 8) {
                throw new IllegalStateException("Cubin index %s: line '%s' has %d fields, required 8; rebuild the kernels"
                        .formatted(name, line, f.length));
            }
            kernels.add(new KernelInfo(f[0], f[1], f[2], Integer.parseInt(f[3]), Integer.parseInt(f[4]),
                    Integer.parseInt(f[5]), Integer.parseInt(f[6]), Integer.parseInt(f[7])));
        }
        return new CubinIndex(kernels);
    }

    /** The text form. */
    public String format() {
        StringBuilder text = new StringBuilder(HEADER).append('\n');
        for (KernelInfo k : kernels.values()) {
            text.append(String.join("\t", k.id(), k.symbol(), k.sourceHash(), "" + k.registers(), "" + k.stackBytes(),
                    "" + k.spillStoreBytes(), "" + k.spillLoadBytes(), "" + k.smemBytes())).append('\n');
        }
        return text.toString();
    }

    /** The kernel of a spec, if it was built. */
    public Optional<KernelInfo> find(String id) {
        return Optional.ofNullable(kernels.get(id));
    }

    /** All kernels, by id. */
    public Collection<KernelInfo> kernels() {
        return kernels.values();
    }

    /** The bytes of a kernel's cubin on the class path. */
    public static byte[] cubin(String id) {
        String resource = FOLDER + id + ".cubin";
        try (InputStream in = CubinIndex.class.getClassLoader().getResourceAsStream(resource)) {
            if (in == null) {
                throw new IllegalStateException("Resource " + resource + " is missing although the index names it; "
                        + "rebuild the kernels module");
            }
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException("Reading resource " + resource, e);
        }
    }
}
