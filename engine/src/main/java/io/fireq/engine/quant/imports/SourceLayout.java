package io.fireq.engine.quant.imports;

import java.util.Set;

/** How one method stores the quantized weight of a linear layer. */
interface SourceLayout {
    /** For people, such as "GPTQ, zero points as stored". */
    String description();

    /** Columns that share a scale, by config.json; -1 for whole rows. */
    int groupSize();

    /** Whether the checkpoint has the layer in this layout. */
    boolean isPresent(LayerTensors tensors);

    /**
     * Reads the weight {@code [n, k]}.
     *
     * @throws io.fireq.engine.api.ModelFormatException when tensors are missing or do not fit each other
     */
    GroupedInt4 read(LayerTensors tensors, int n, int k);

    /** Names, behind the layer's, of the tensors that {@link #read} looks at or may leave aside. */
    Set<String> suffixes();
}
