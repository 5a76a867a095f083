package io.fireq.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.json.Mutations;
import io.fireq.engine.tensor.HostTensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Files damaged at random are either read or refused by a {@link FireqException}; the seed is in every failure. */
@Timeout(300) // against a hang; a run takes seconds
class MutatedFilesTest {
    private static final long SEED = 20_253;
    private static final int ROUNDS = 4000;

    @TempDir
    private Path directory;

    @Test
    void mutated_safetensors_files_are_read_or_refused() throws IOException {
        Path file = directory.resolve("model.safetensors");
        TestFiles.safetensors(file, """
                {'__metadata__': {'format': 'pt'},
                 'a.weight': {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]},
                 'b.weight': {'dtype': 'BF16', 'shape': [5], 'data_offsets': [24, 34]},
                 'c.weight_packed': {'dtype': 'U8', 'shape': [3, 1], 'data_offsets': [34, 37]}}""", 37);
        byte[] original = Files.readAllBytes(file);
        int headerEnd = original.length - 37;
        Random random = new Random(SEED);
        int opened = 0;
        for (int round = 0; round < ROUNDS; round++) {
            byte[] header = Mutations.of(Arrays.copyOfRange(original, 8, headerEnd), random);
            int dataBytes = random.nextInt(10) == 0 ? random.nextInt(60) : 37;
            long length = random.nextInt(10) == 0 ? random.nextLong() >> random.nextInt(64) : header.length;
            ByteBuffer mutant = ByteBuffer.allocate(8 + header.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
            replace(file, mutant.putLong(length).put(header).array());
            opened += open(round, header) ? 1 : 0;
        }
        System.out.printf("Mutated %s: %d of %d opened%n", "safetensors headers", opened, ROUNDS);
        assertThat(opened).as("mutants that open").isBetween(ROUNDS / 50, ROUNDS / 2);
    }

    @Test
    void mutated_index_and_config_files_are_read_or_refused() throws IOException {
        byte[] index = "{\"metadata\": {\"total_size\": 58}, \"weight_map\": {\"a\": \"s1\", \"b\": \"s1\", \"c\": \"s2\"}}"
                .getBytes(StandardCharsets.UTF_8);
        byte[] config = """
                {"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": "fireq",
                 "format_version": 1, "profile": "best", "group_size": 16, "calibration": {"a": [1, {}]},
                 "kv_cache": {"kind": "symmetric", "group_size": 8},
                 "tensors": [{"name": "a", "format": "int4", "group_size": 16, "sqnr_db": 1.5}], "files": {}}}"""
                .getBytes(StandardCharsets.UTF_8);
        TestFiles.safetensors(directory.resolve("s1"), """
                {'a': {'dtype': 'U8', 'shape': [1], 'data_offsets': [0, 1]},
                 'b': {'dtype': 'U8', 'shape': [1], 'data_offsets': [1, 2]}}""", 2);
        TestFiles.safetensors(directory.resolve("s2"), "{'c': {'dtype': 'U8', 'shape': [0], 'data_offsets': [0, 0]}}", 0);
        Random random = new Random(SEED);
        int opened = 0;
        for (int round = 0; round < ROUNDS; round++) {
            boolean mutateIndex = random.nextBoolean();
            byte[] mutant = Mutations.of(mutateIndex ? index : config, random);
            replace(directory.resolve("model.safetensors.index.json"), mutateIndex ? mutant : index);
            replace(directory.resolve("config.json"), mutateIndex ? config : mutant);
            opened += open(round, mutant) ? 1 : 0;
        }
        System.out.printf("Mutated %s: %d of %d opened%n", "index and config files", opened, ROUNDS);
        assertThat(opened).as("mutants that open").isBetween(ROUNDS / 50, ROUNDS / 2);
    }

    /** Reads all there is; whether the checkpoint could be opened at all. */
    private boolean open(int round, byte[] mutant) {
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            for (String name : checkpoint.names()) {
                readQuietly(checkpoint, name);
            }
            return true;
        } catch (FireqException e) {
            return false;
        } catch (RuntimeException | Error e) {
            return fail("seed %d, round %d: %s".formatted(SEED, round, new String(mutant, StandardCharsets.UTF_8)), e);
        }
    }

    /** A new file: overwriting one makes some file systems wait for the disk. */
    private static void replace(Path file, byte[] bytes) throws IOException {
        Files.deleteIfExists(file);
        Files.write(file, bytes);
    }

    private static void readQuietly(Checkpoint checkpoint, String name) {
        try {
            HostTensor tensor = checkpoint.tensor(name);
            assertThat(tensor.data().capacity()).isLessThanOrEqualTo(60);
            int rows = tensor.shape().isEmpty() ? 1 : tensor.shape().get(0);
            checkpoint.linear(name.replaceAll("\\.weight.*", ""), rows, 2);
            checkpoint.verifyChecksums();
        } catch (FireqException e) {
            assertThat(e.getMessage()).as("a remedy").contains("; ");
        }
    }
}
