package io.fireq.engine;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.quant.OfflineQuantizer;
import io.fireq.engine.quant.QuantizerOptions;
import io.fireq.engine.quant.imports.CheckpointImporter;
import io.fireq.engine.quant.imports.ImportOptions;
import io.fireq.engine.weights.Checkpoint;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds the directory to load: a path as it is, a class path directory extracted once, and an unquantized checkpoint
 * quantized once, one that another method has quantized imported once. What is made is kept in the cache directory under a name that changes with its source.
 */
final class ModelLocator {
    private static final Logger LOG = LoggerFactory.getLogger(ModelLocator.class);
    private static final String CLASSPATH = "classpath:";

    private final EngineOptions options;

    ModelLocator(EngineOptions options) {
        this.options = options;
    }

    /**
     * @throws ModelNotFoundException if there is no such model
     */
    Path locate() {
        Path directory = options.model().startsWith(CLASSPATH)
                ? onClassPath(options.model().substring(CLASSPATH.length()))
                : directory(options.model());
        boolean quantized = Checkpoint.isFireq(directory);
        if (options.numerics() == Numerics.FLOAT32) {
            if (quantized) {
                throw new FireqException(("Model %s is quantized, and float32 numerics need unquantized weights; name "
                        + "the original checkpoint").formatted(options.model()));
            }
            return directory;
        }
        if (quantized) {
            return directory;
        }
        return CheckpointImporter.isForeign(directory) ? importedOnce(directory) : quantizedOnce(directory);
    }

    /** A model's name is the last part of where the user said it is. */
    static String nameOf(String model) {
        String location = model.startsWith(CLASSPATH)
                ? model.substring(CLASSPATH.length())
                : Path.of(model).toAbsolutePath().normalize().toString();
        return location.replaceAll("[/\\\\]+$", "").replaceAll("^.*[/\\\\]", "");
    }

    private static Path directory(String model) {
        Path directory;
        try {
            directory = Path.of(model);
        } catch (InvalidPathException e) {
            throw new ModelNotFoundException("Model '%s' is not a path: %s".formatted(model, e.getMessage()));
        }
        if (!Files.isDirectory(directory)) {
            throw new ModelNotFoundException(
                    ("Model '%s': there is no directory %s; name a local directory with a Hugging Face or FireQ "
                            + "checkpoint, or classpath:directory").formatted(model, directory.toAbsolutePath()));
        }
        if (!Files.isRegularFile(directory.resolve("config.json"))) {
            throw new ModelNotFoundException("Model '%s': %s has no config.json; name the directory that holds it"
                    .formatted(model, directory.toAbsolutePath()));
        }
        return directory;
    }

    private Path onClassPath(String name) {
        String resource = name.replaceAll("^/+|/+$", "");
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        if (loader == null) {
            loader = ModelLocator.class.getClassLoader();
        }
        URL config = loader.getResource(resource + "/config.json");
        if (config == null) {
            throw new ModelNotFoundException(
                    "Model '%s': the class path has no %s/config.json; check the name and the dependency that brings it"
                            .formatted(options.model(), resource));
        }
        try {
            URI uri = config.toURI();
            if (uri.getScheme().equals("file")) {
                return Path.of(uri).getParent();
            }
            return extractedOnce(uri, resource);
        } catch (URISyntaxException | IOException e) {
            throw new FireqException("Model '%s': cannot be read from %s: %s".formatted(options.model(), config, e), e);
        }
    }

    /** Weights are memory-mapped, so a model inside a jar is copied out of it once. */
    private Path extractedOnce(URI config, String resource) throws IOException {
        String key = digest(List.of(new String(readAll(config), StandardCharsets.UTF_8)));
        Path target = options.cacheDir().resolve("classpath").resolve(resource.replace('/', '-') + "-" + key);
        if (Files.isDirectory(target)) {
            return target;
        }
        Path work = target.resolveSibling("." + target.getFileName() + ".tmp-" + ProcessHandle.current().pid());
        Files.createDirectories(work);
        try (FileSystem jar = FileSystems.newFileSystem(config, Map.of());
                Stream<Path> files = Files.list(jar.provider().getPath(config).getParent())) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, work.resolve(file.getFileName().toString()), StandardCopyOption.REPLACE_EXISTING);
            }
        }
        moveInPlace(work, target);
        LOG.info("Extracted {} to {}", options.model(), target);
        return target;
    }

    private static byte[] readAll(URI uri) throws IOException {
        try (InputStream in = uri.toURL().openStream()) {
            return in.readAllBytes();
        }
    }

    /** Another process may have been faster: then its copy serves. */
    private static void moveInPlace(Path work, Path target) throws IOException {
        try {
            Files.move(work, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            if (!Files.isDirectory(target)) {
                throw e;
            }
        }
    }

    private Path quantizedOnce(Path source) {
        return keptOnce(source, QuantizerOptions.DEFAULT, target -> {
            LOG.info("Quantizing {} once; it is kept in {}", source, target);
            QuantizerOptions quantizerOptions = QuantizerOptions.builder().device(options.device()).build();
            new OfflineQuantizer(quantizerOptions, new ProgressLog(LOG)).quantize(source, target);
        });
    }

    private Path importedOnce(Path source) {
        ImportOptions importOptions = ImportOptions.DEFAULT;
        return keptOnce(source, importOptions, target -> {
            LOG.info("Importing the quantized weights of {} once; they are kept in {}", source, target);
            new CheckpointImporter(importOptions, (report, done, total) -> logProgress("Imported", done, total))
                    .importInto(source, target);
        });
    }

    /** @param how the options with which {@code maker} writes its target */
    private Path keptOnce(Path source, Record how, Consumer<Path> maker) {
        Path target = options.cacheDir().resolve("quantized").resolve(
                source.toAbsolutePath().normalize().getFileName() + "-" + fingerprint(source, how));
        if (Files.isDirectory(target)) {
            LOG.info("Using {}, made earlier from {}", target, source);
        } else {
            maker.accept(target);
        }
        return target;
    }

    private static void logProgress(String what, int done, int total) {
        if (done % Math.max(1, total / 10) == 0) {
            LOG.info("{} {} of {} layers", what, done, total);
        }
    }

    /** Changes when a file of the source or the way of quantizing does. */
    private static String fingerprint(Path source, Record how) {
        try (Stream<Path> files = Files.list(source)) {
            Stream<String> facts = files.filter(Files::isRegularFile).sorted().map(ModelLocator::facts);
            return digest(Stream.concat(Stream.of(source.toAbsolutePath().normalize().toString(), how.toString()), facts)
                    .toList());
        } catch (IOException e) {
            throw new FireqException("Model directory %s cannot be read: %s".formatted(source, e), e);
        }
    }

    private static String facts(Path file) {
        try {
            return "%s %d %s".formatted(file.getFileName(), Files.size(file), Files.getLastModifiedTime(file));
        } catch (IOException e) {
            throw new FireqException("Model file %s cannot be read: %s".formatted(file, e), e);
        }
    }

    private static String digest(List<String> parts) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256")
                    .digest(String.join("\n", parts).getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(hash, 0, 6).toLowerCase(Locale.ROOT);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every JDK has it
        }
    }
}
