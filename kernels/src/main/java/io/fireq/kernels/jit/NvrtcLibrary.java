package io.fireq.kernels.jit;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/**
 * The native libraries of NVRTC, from the class path of the build.
 *
 * <p>JavaCPP would initialise the CUDA runtime before NVRTC, and with it load libcuda, which only a machine with an
 * NVIDIA driver has. NVRTC itself does not need it. So JavaCPP is told to load nothing, and the four libraries are
 * loaded here, each after those it needs.
 */
public final class NvrtcLibrary {
    private static final String CUDA = "org/bytedeco/cuda/linux-x86_64/";
    private static final List<String> IN_LOAD_ORDER = List.of(
            "org/bytedeco/javacpp/linux-x86_64/libjnijavacpp.so",
            CUDA + "libnvrtc-builtins.so.12.9",
            CUDA + "libnvrtc.so.12",
            CUDA + "libjninvrtc.so");
    /** The CUDA runtime: what a host with a driver lacks. The path is where JavaCPP looks for it. */
    public static final String CUDART = CUDA + "libcudart.so.12";

    private NvrtcLibrary() {}

    /** Whether this host can run the compiler and the class path has it. */
    public static boolean isAvailable() {
        boolean linux = System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64");
        return linux && IN_LOAD_ORDER.stream().allMatch(name -> resource(name) != null);
    }

    /**
     * Loads NVRTC into this process.
     *
     * @param folder where the libraries are unpacked, once (120 MB)
     */
    static synchronized void load(Path folder) {
        System.setProperty("org.bytedeco.javacpp.loadlibraries", "false");
        for (String name : IN_LOAD_ORDER) {
            Path library = folder.resolve(name.substring(name.lastIndexOf('/') + 1));
            unpack(name, library);
            System.load(library.toAbsolutePath().toString());
        }
    }

    /** Copies a library from the class path to a file, unless the file is already that long. */
    public static void unpack(String name, Path target) {
        try {
            URL resource = resource(name);
            if (resource == null) {
                throw new IOException("Library " + name + " is not on the class path; add org.bytedeco:cuda-redist");
            }
            if (Files.exists(target) && Files.size(target) == resource.openConnection().getContentLengthLong()) {
                return;
            }
            Files.createDirectories(target.getParent());
            Path partial = target.resolveSibling(target.getFileName() + ".partial");
            try (InputStream in = resource.openStream()) {
                Files.copy(in, partial, StandardCopyOption.REPLACE_EXISTING);
            }
            Files.move(partial, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new UncheckedIOException("Unpacking " + name + " to " + target, e);
        }
    }

    private static URL resource(String name) {
        return NvrtcLibrary.class.getClassLoader().getResource(name);
    }
}
