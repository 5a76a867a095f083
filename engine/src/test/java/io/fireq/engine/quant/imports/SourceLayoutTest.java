package io.fireq.engine.quant.imports;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.weights.Checkpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each layout on words written by hand, and on random weights packed from the layouts' definitions. */
class SourceLayoutTest {
    private static final String NAME = "model.layers.0.self_attn.q_proj";
    private static final String GPTQ = "{'quant_method':'gptq','bits':4,'group_size':%d}";
    private static final String GPTQ_V2 = "{'quant_method':'gptq','bits':4,'group_size':%d,'checkpoint_format':'gptq_v2'}";
    private static final String AWQ = "{'quant_method':'awq','bits':4,'group_size':%d,'version':'gemm'}";
    private static final String PACKED = """
            {'quant_method':'compressed-tensors','format':'pack-quantized','config_groups':{'group_0':
             {'targets':['Linear'],'weights':{'num_bits':4,'type':'int','strategy':'group','group_size':%d}}}}""";
    private static final String INT8 = """
            {'quant_method':'compressed-tensors','format':'int-quantized','config_groups':{'group_0':
             {'targets':['Linear'],'weights':{'num_bits':4,'type':'int','strategy':'group','group_size':%d},
              'input_activations':{'num_bits':8,'type':'int','strategy':'token','dynamic':true}}}}""";

    @TempDir
    Path directory;

    @Test
    void gptq_by_hand() {
        // Row 0 has the codes 0..7 in columns 0..7, row 1 has 8..15; rows 2..7 are 8 everywhere. Zero points 8, stored as 7,
        // but 3 (stored 2) for row 1.
        int[] qweight = {0x76543210, 0xfedcba98, 0x88888888, 0x88888888, 0x88888888, 0x88888888, 0x88888888, 0x88888888};
        RawTensors tensors = new RawTensors().int32(NAME + ".qweight", qweight, 1, 8)
                .int32(NAME + ".qzeros", new int[] {0x77777727}, 1, 1)
                .f16(NAME + ".scales", new float[] {0.5f, 2, 1, 1, 1, 1, 1, 1}, 1, 8);
        GroupedInt4 layer = read(GPTQ.formatted(8), tensors, 8, 8);
        assertThat(row(layer, 0)).containsExactly(-4, -3.5f, -3, -2.5f, -2, -1.5f, -1, -0.5f);
        assertThat(row(layer, 1)).containsExactly(10, 12, 14, 16, 18, 20, 22, 24);
        assertThat(row(layer, 7)).containsOnly(0);

        layer = read(GPTQ_V2.formatted(8), tensors, 8, 8); // the same bytes, zero points as stored: 7 and 2
        assertThat(row(layer, 0)).containsExactly(-3.5f, -3, -2.5f, -2, -1.5f, -1, -0.5f, 0);
        assertThat(row(layer, 1)).containsExactly(12, 14, 16, 18, 20, 22, 24, 26);
    }

    @Test
    void awq_by_hand() {
        // In column 0, row r has the code r: nibbles hold rows 0 2 4 6 1 3 5 7. Column 1 is 9 everywhere. Zero points are
        // 0 for row 0, 1 for row 1 and so on.
        RawTensors tensors = new RawTensors()
                .int32(NAME + ".qweight", new int[] {0x75316420, 0x99999999, 0, 0, 0, 0, 0, 0}, 8, 1)
                .int32(NAME + ".qzeros", new int[] {0x75316420}, 1, 1)
                .f16(NAME + ".scales", new float[] {1, 1, 1, 1, 1, 0.25f, 1, 1}, 1, 8);
        GroupedInt4 layer = read(AWQ.formatted(8), tensors, 8, 8);
        for (int row = 0; row < 8; row++) {
            assertThat(layer.get(row, 0)).as("row %d", row).isZero();
            assertThat(layer.get(row, 1)).as("row %d", row).isEqualTo((row == 5 ? 0.25f : 1) * (9 - row));
        }
    }

    @Test
    void compressed_tensors_by_hand() {
        // Row 0: -8 .. -1, then 1, 2: ten columns are two words. Row 1: zeros but for a 7 at the end.
        int[] packed = {0x76543210, 0x000000a9, 0x88888888, 0x000000f8};
        RawTensors tensors = new RawTensors().int32(NAME + ".weight_packed", packed, 2, 2)
                .int64(NAME + ".weight_shape", new long[] {2, 10}, 2)
                .bf16(NAME + ".weight_scale", new float[] {0.5f, 4, 1, 3}, 2, 2);
        GroupedInt4 layer = read(PACKED.formatted(5), tensors, 2, 10);
        assertThat(row(layer, 0)).containsExactly(-4, -3.5f, -3, -2.5f, -2, -12, -8, -4, 4, 8);
        assertThat(row(layer, 1)).containsExactly(0, 0, 0, 0, 0, 0, 0, 0, 0, 21);

        // Zero points -8 + 9 = 1 of row 0 and -8 + 6 = -2 of row 1, in group 0.
        tensors.int32(NAME + ".weight_zero_point", new int[] {0x00000069, 0x00000088}, 1, 2);
        layer = read(PACKED.formatted(5), tensors, 2, 10);
        assertThat(row(layer, 0)).containsExactly(-4.5f, -4, -3.5f, -3, -2.5f, -12, -8, -4, 4, 8);
        assertThat(row(layer, 1)).containsExactly(2, 2, 2, 2, 2, 0, 0, 0, 0, 21);
    }

    @ParameterizedTest
    @ValueSource(ints = {16, 32, 48})
    void every_layout_reads_what_was_packed(int groupSize) {
        RoundedLayer layer = RoundedLayer.asymmetric(gaussian(24 * 96), 24, 96, groupSize);
        assertReads(layer, GPTQ_V2, (l, tensors) -> l.addGptq(tensors, NAME, 0, true));
        assertReads(layer, AWQ, (l, tensors) -> l.addAwq(tensors, NAME));
        assertReads(layer, PACKED, (l, tensors) -> l.addPacked(tensors, NAME));
        assertReads(layer, INT8, (l, tensors) -> l.addInt8(tensors, NAME));

        RoundedLayer symmetric = RoundedLayer.symmetric(gaussian(24 * 96), 24, 96, groupSize);
        assertReads(symmetric, GPTQ, (l, tensors) -> l.addGptq(tensors, NAME, 1, false));
        assertReads(symmetric, PACKED, (l, tensors) -> l.addPacked(tensors, NAME));
    }

    @Test
    void columns_in_activation_order_are_read() {
        RoundedLayer contiguous = RoundedLayer.symmetric(gaussian(8 * 64), 8, 64, 32);
        RoundedLayer layer = contiguous.withGroupOf(permuted(contiguous.groupOf()));
        assertThat(layer.values()).isNotEqualTo(contiguous.values());
        assertReads(layer, GPTQ, (l, tensors) -> l.addGptq(tensors, NAME, 1, true));
        assertReads(layer, PACKED, (l, tensors) -> {
            l.addPacked(tensors, NAME);
            tensors.int32(NAME + ".weight_g_idx", l.groupOf(), l.k());
        });
    }

    @Test
    void a_group_index_of_minus_one_means_contiguous_groups() {
        int[] unset = new int[64];
        Arrays.fill(unset, -1);
        assertReads(RoundedLayer.symmetric(gaussian(8 * 64), 8, 64, 32), PACKED, (l, tensors) -> {
            l.addPacked(tensors, NAME);
            tensors.int32(NAME + ".weight_g_idx", unset, l.k());
        });
    }

    @Test
    void one_scale_for_a_row_or_for_all() {
        RoundedLayer perRow = RoundedLayer.symmetric(gaussian(8 * 64), 8, 64, 64);
        GroupedInt4 read = read(GPTQ.formatted(-1), gptq(perRow), 8, 64);
        assertThat(read.toFloats()).isEqualTo(perRow.values());

        RawTensors tensors = new RawTensors();
        perRow.addPacked(tensors, NAME);
        tensors.f32(NAME + ".weight_scale", new float[] {0.75f}, 1);
        read = read(PACKED.formatted(-1), tensors, 8, 64);
        assertThat(read.get(3, 5)).isEqualTo(0.75f * (perRow.codes()[3 * 64 + 5] - 8));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{'quant_method':'gptq','bits':8,'group_size':128} | the weights have 8 bits; supported: 4",
        "{'quant_method':'gptq','bits':4,'group_size':128,'checkpoint_format':'marlin'} | checkpoint_format is marlin",
        "{'quant_method':'gptq','bits':4,'group_size':128,'is_marlin_format':true} | checkpoint_format is marlin",
        "{'quant_method':'gptq','bits':4,'group_size':128,'pack_dtype':'int16'} | pack_dtype is int16",
        "{'quant_method':'gptq','bits':4,'group_size':128,'adapter':{'rank':8}} | it has an adapter",
        "{'quant_method':'awq','bits':4,'group_size':128,'version':'gemv'} | the version is gemv; supported: gemm",
        "{'quant_method':'awq','w_bit':3,'q_group_size':128} | the weights have 3 bits",
        "{'quant_method':'bitsandbytes'} | quantized by 'bitsandbytes'; supported: gptq, awq, compressed-tensors",
        "{'quant_method':'compressed-tensors','format':'marlin-24','config_groups':{'g':{'weights':{'num_bits':4}}}} "
                + "| g has the format marlin-24; supported: pack-quantized, int-quantized, naive-quantized",
        "{'quant_method':'compressed-tensors','format':'pack-quantized','config_groups':{'g':{'weights':{'num_bits':8}}}}"
                + "| the weights of g are int with 8 bits; supported: int with 4 bits",
        "{'quant_method':'compressed-tensors','format':'pack-quantized','config_groups':{'g':{'weights':{'num_bits':4,"
                + "'type':'float'}}}} | the weights of g are float with 4 bits",
        "{'quant_method':'compressed-tensors','format':'pack-quantized','config_groups':{'g':{'weights':{'num_bits':4,"
                + "'strategy':'block'}}}} | the weights of g have scales per block",
        "{'quant_method':'compressed-tensors','format':'int-quantized','config_groups':{'g':{'weights':{'num_bits':4},"
                + "'input_activations':{'num_bits':4}}}} | the activations of g have 4 bits",
        "{'quant_method':'compressed-tensors','format':'int-quantized','config_groups':{'g':{'weights':{'num_bits':4},"
                + "'output_activations':{'num_bits':8}}}} | g quantizes the outputs of layers",
        "{'quant_method':'compressed-tensors','format':'pack-quantized','config_groups':{'g':{'weights':{'num_bits':4}}},"
                + "'transform_config':{'config_groups':{}}} | it has a transform_config",
        "{'quant_method':'compressed-tensors','format':'pack-quantized','config_groups':{'g':{'weights':{'num_bits':4}}},"
                + "'sparsity_config':{'format':'sparse-24-bitmask'}} | it has a sparsity_config"})
    void what_is_not_imported_is_refused_by_name(String entry, String problem) {
        assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> layout(entry))
                .withMessageStartingWith("Importing ").withMessageContaining("config.json")
                .withMessageContaining(problem).withMessageContaining("fireq quantize");
    }

    @Test
    void older_checkpoints_have_a_file_of_their_own() throws IOException {
        Files.writeString(directory.resolve("config.json"), "{}");
        Files.writeString(directory.resolve("quant_config.json"),
                "{\"zero_point\":true,\"q_group_size\":64,\"w_bit\":4,\"version\":\"GEMM\"}");
        assertThat(ForeignQuantization.read(directory).orElseThrow().layout()).isEqualTo(new AwqLayout(64));
        Files.writeString(directory.resolve("quantize_config.json"), "{\"bits\":4,\"group_size\":-1,\"sym\":true}");
        assertThat(ForeignQuantization.read(directory).orElseThrow().layout())
                .isEqualTo(new GptqLayout(-1, false, 1, true));
    }

    @Test
    void a_lost_zero_point_is_refused() {
        RoundedLayer layer = RoundedLayer.symmetric(gaussian(8 * 64), 8, 64, 32).withZero(5, 0); // stored as 15
        assertMalformed(GPTQ.formatted(32), gptq(layer), 8, 64,
                "holds 15 for group 1 of row 2", "a zero point of 0 is lost");
    }

    @Test
    void zero_points_that_contradict_symmetry_are_refused() {
        String symmetric = "{'quant_method':'gptq','bits':4,'group_size':32,'sym':true}";
        RawTensors v2 = new RawTensors();
        RoundedLayer.symmetric(gaussian(8 * 64), 8, 64, 32).addGptq(v2, NAME, 0, true);
        assertMalformed(symmetric, v2, 8, 64, "zero point 9 for group 0 of row 0", "checkpoint_format is gptq_v2");
        assertMalformed(symmetric, gptq(RoundedLayer.symmetric(gaussian(8 * 64), 8, 64, 32).withZero(3, 4)), 8, 64,
                "zero point 4 for group 1 of row 1");
    }

    @Test
    void tensors_that_do_not_fit_each_other_are_refused() {
        RoundedLayer layer = RoundedLayer.symmetric(gaussian(8 * 64), 8, 64, 32);
        assertMalformed(GPTQ.formatted(16), gptq(layer), 8, 64, "in groups of 16", "do not make 2 groups");
        assertMalformed(GPTQ.formatted(32), gptq(layer).remove(NAME + ".qzeros"), 8, 64,
                "there is no tensor '%s.qzeros'".formatted(NAME));
        assertMalformed(GPTQ.formatted(32), gptq(layer).f16(NAME + ".scales", nan(16), 2, 8), 8, 64, "holds NaN at 7");
        assertMalformed(GPTQ.formatted(32), gptq(layer).int32(NAME + ".qweight", new int[16 * 8], 16, 8), 8, 64,
                "has the shape [16, 8]; a 4-bit weight needs [8, 8]");
        assertMalformed(GPTQ.formatted(32), gptq(layer).f32(NAME + ".qweight", new float[64], 8, 8), 8, 64,
                "F32", "must be I32");
        int[] outside = new int[64];
        outside[9] = 2;
        assertMalformed(GPTQ.formatted(32), gptq(layer).int32(NAME + ".g_idx", outside, 64), 8, 64,
                "column 9 into group 2 of 2");
        assertMalformed(AWQ.formatted(24), gptq(layer), 8, 64, "64 columns are no multiple of the group size 24");

        RawTensors packed = new RawTensors();
        layer.addPacked(packed, NAME);
        packed.int64(NAME + ".weight_shape", new long[] {64, 8}, 2);
        assertMalformed(PACKED.formatted(32), packed, 8, 64, "holds [64, 8], config.json makes it [8, 64]");
        RawTensors wide = new RawTensors();
        layer.addInt8(wide, NAME);
        byte[] values = new byte[8 * 64];
        values[77] = 100;
        wide.int8(NAME + ".weight", values, 8, 64);
        assertMalformed(INT8.formatted(32), wide, 8, 64, "holds 100 at 77; 4-bit integers are -8..7");
    }

    private static float[] nan(int count) {
        float[] values = new float[count];
        values[7] = Float.NaN;
        return values;
    }

    private static RawTensors gptq(RoundedLayer layer) {
        RawTensors tensors = new RawTensors();
        layer.addGptq(tensors, NAME, 1, true);
        return tensors;
    }

    static int[] permuted(int[] groupOf) {
        int[] permuted = groupOf.clone();
        permuted[3] = groupOf[groupOf.length - 2];
        permuted[groupOf.length - 2] = groupOf[3];
        return permuted;
    }

    private void assertMalformed(String entry, RawTensors tensors, int n, int k, String... problems) {
        assertThatExceptionOfType(ModelFormatException.class).isThrownBy(() -> read(entry, tensors, n, k))
                .satisfies(e -> assertThat(e).hasMessageContaining("model.safetensors").hasMessageContainingAll(problems));
    }

    private void assertReads(RoundedLayer layer, String entry, BiConsumer<RoundedLayer, RawTensors> packing) {
        RawTensors tensors = new RawTensors();
        packing.accept(layer, tensors);
        GroupedInt4 read = read(entry.formatted(layer.k() / layer.groups()), tensors, layer.n(), layer.k());
        assertThat(read.toFloats()).as(entry).isEqualTo(layer.values());
    }

    private GroupedInt4 read(String entry, RawTensors tensors, int n, int k) {
        tensors.write(directory.resolve("model.safetensors"));
        SourceLayout layout = layout(entry);
        try (Checkpoint checkpoint = Checkpoint.openForeign(directory)) {
            LayerTensors layer = new LayerTensors(checkpoint, NAME);
            assertThat(layout.isPresent(layer) || !layer.has(".qweight")).isTrue();
            return layout.read(layer, n, k);
        }
    }

    private SourceLayout layout(String entry) {
        try {
            Files.writeString(directory.resolve("config.json"),
                    "{\"quantization_config\":" + entry.replace('\'', '"') + "}");
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        return ForeignQuantization.read(directory).orElseThrow().layout();
    }

    private static float[] row(GroupedInt4 layer, int row) {
        return Arrays.copyOfRange(layer.toFloats(), row * layer.k(), (row + 1) * layer.k());
    }

    static float[] gaussian(int count) {
        Random random = new Random(count);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian() * 0.05f;
        }
        return values;
    }
}
