package io.fireq.kernels.build;

import io.fireq.kernels.attention.Fp8PrefillAttention;
import io.fireq.kernels.attention.Int4KvDecodeAttention;
import io.fireq.kernels.attention.PlainPagedAttention;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.elementwise.EmbeddingGather;
import io.fireq.kernels.elementwise.QuantizeRows;
import io.fireq.kernels.elementwise.RmsNormQuantize;
import io.fireq.kernels.elementwise.RopeAppendKv;
import io.fireq.kernels.elementwise.SiluMul;
import io.fireq.kernels.gemm.Gemm;
import io.fireq.kernels.gemm.PlainGemm;
import io.fireq.kernels.linalg.F32Gemm;
import io.fireq.kernels.linalg.GroupRounding;
import io.fireq.kernels.linalg.InverseCholesky;
import io.fireq.kernels.linalg.MatrixOps;
import io.fireq.kernels.reference.FloatLayers;
import io.fireq.kernels.sampling.SampleRows;
import java.util.List;
import java.util.stream.Stream;

/** The kernels that the build compiles: what each launcher may ask for at run time. */
public final class KernelManifest {
    private KernelManifest() {}

    /** All kernels; ids are distinct. */
    public static List<KernelSpec> kernels() {
        return Stream.of(EmbeddingGather.specs(), RmsNormQuantize.specs(), QuantizeRows.specs(), SiluMul.specs(),
                        RopeAppendKv.specs(), SampleRows.specs(), PlainGemm.specs(), Gemm.specs(),
                        PlainPagedAttention.specs(), Fp8PrefillAttention.specs(), Int4KvDecodeAttention.specs(),
                        F32Gemm.specs(), InverseCholesky.specs(), MatrixOps.specs(), GroupRounding.specs(),
                        FloatLayers.specs())
                .flatMap(List::stream)
                .toList();
    }
}
