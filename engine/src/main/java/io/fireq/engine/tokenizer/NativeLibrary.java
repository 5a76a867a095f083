package io.fireq.engine.tokenizer;

import ai.djl.engine.EngineException;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import io.fireq.engine.api.FireqException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;

/**
 * Runs DJL's tokenizers library without the network and without CUDA.
 *
 * <p>Left alone, DJL fetches a CUDA build of the library on a host with a GPU, and reports its use when it makes a
 * tokenizer. It is told otherwise through system properties, which are taken back at once: other parts of the program
 * may use DJL too.
 */
final class NativeLibrary {
    private static final List<String> NVIDIA_DRIVER_FILES =
            List.of("/dev/nvidiactl", "/dev/dxg", "/proc/driver/nvidia/version", "/Windows/System32/nvcuda.dll");

    private NativeLibrary() {}

    /**
     * @param action makes a native object; encoding with it afterwards needs none of this
     * @throws FireqException there is no library for this machine, or it cannot be loaded
     */
    static synchronized <T> T offline(Supplier<T> action) {
        return with("RUST_FLAVOR", "cpu", () -> with("ai.djl.offline", "true", () -> {
            load();
            return action.get();
        }));
    }

    private static void load() {
        try {
            answerGpuProbeWithoutDriver();
            LibUtils.checkStatus();
        } catch (EngineException | LinkageError | ClassNotFoundException e) {
            throw new FireqException(("Loading the tokenizers library on %s %s: %s; there are builds for Linux (x86_64, "
                    + "aarch64), macOS (aarch64) and Windows (x86_64), unpacked to the directory that DJL_CACHE_DIR names")
                    .formatted(System.getProperty("os.name"), System.getProperty("os.arch"), e.getMessage()), e);
        }
    }

    /**
     * A CUDA toolkit without a driver makes DJL warn that it cannot count the GPUs. There are none in any case, and
     * this property, set while the class is initialised, makes it answer so without a look at the toolkit.
     */
    private static void answerGpuProbeWithoutDriver() throws ClassNotFoundException {
        if (NVIDIA_DRIVER_FILES.stream().map(Path::of).anyMatch(Files::exists)) {
            return;
        }
        String fork = "ai.djl.util.cuda.fork";
        String before = System.getProperty(fork);
        System.setProperty(fork, "true");
        try {
            Class.forName("ai.djl.util.cuda.CudaUtils");
        } finally {
            restore(fork, before);
        }
    }

    private static <T> T with(String property, String value, Supplier<T> action) {
        String before = System.getProperty(property);
        if (before == null) {
            System.setProperty(property, value);
        }
        try {
            return action.get();
        } finally {
            restore(property, before);
        }
    }

    private static void restore(String property, String before) {
        if (before == null) {
            System.clearProperty(property);
        } else {
            System.setProperty(property, before);
        }
    }
}
