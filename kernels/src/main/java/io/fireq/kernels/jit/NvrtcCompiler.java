package io.fireq.kernels.jit;

import static org.bytedeco.cuda.global.nvrtc.NVRTC_SUCCESS;
import static org.bytedeco.cuda.global.nvrtc.nvrtcAddNameExpression;
import static org.bytedeco.cuda.global.nvrtc.nvrtcCompileProgram;
import static org.bytedeco.cuda.global.nvrtc.nvrtcCreateProgram;
import static org.bytedeco.cuda.global.nvrtc.nvrtcDestroyProgram;
import static org.bytedeco.cuda.global.nvrtc.nvrtcGetCUBIN;
import static org.bytedeco.cuda.global.nvrtc.nvrtcGetCUBINSize;
import static org.bytedeco.cuda.global.nvrtc.nvrtcGetErrorString;
import static org.bytedeco.cuda.global.nvrtc.nvrtcGetLoweredName;
import static org.bytedeco.cuda.global.nvrtc.nvrtcGetProgramLog;
import static org.bytedeco.cuda.global.nvrtc.nvrtcGetProgramLogSize;

import io.fireq.kernels.catalog.CubinIndex;
import io.fireq.kernels.catalog.KernelInfo;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import org.bytedeco.cuda.nvrtc._nvrtcProgram;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.javacpp.SizeTPointer;

/** Compiles kernels to cubins with NVRTC. Needs no GPU and no driver. Threads: any. */
public final class NvrtcCompiler {
    /**
     * Options of every compilation. Contraction of a·b+c is off so that rounding is what the source says; a kernel
     * that wants the fused form writes fmaf.
     */
    public static final List<String> OPTIONS = List.of("--gpu-architecture=" + CubinIndex.ARCHITECTURE, "--std=c++17",
            "--fmad=false", "--ptxas-options=-v", "-lineinfo");

    private final List<Path> sourceFolders;

    /**
     * Loads NVRTC.
     *
     * @param libraries    folder to unpack its libraries to
     * @param sourceFolders where the sources are, for messages
     */
    public NvrtcCompiler(Path libraries, List<Path> sourceFolders) {
        NvrtcLibrary.load(libraries);
        this.sourceFolders = List.copyOf(sourceFolders);
    }

    /**
     * Compiles one kernel.
     *
     * @param hash becomes {@link KernelInfo#sourceHash()}
     * @throws KernelCompileException where the compiler finds an error
     */
    @SuppressWarnings("try") // the scope is there to free what is allocated while it is open
    public CompiledKernel compile(String id, KernelSource source, String hash) {
        try (PointerScope scope = new PointerScope()) {
            PointerPointer<BytePointer> texts = strings(source.headers().values());
            PointerPointer<BytePointer> names = strings(source.headers().keySet());
            _nvrtcProgram program = new _nvrtcProgram();
            check(id, "nvrtcCreateProgram", nvrtcCreateProgram(program, new BytePointer(source.entry()),
                    new BytePointer("fireq/" + id + ".cu"), source.headers().size(), texts, names));
            try {
                return compile(id, source, hash, program);
            } finally {
                nvrtcDestroyProgram(program);
            }
        }
    }

    private CompiledKernel compile(String id, KernelSource source, String hash, _nvrtcProgram program) {
        BytePointer nameExpression = new BytePointer(source.nameExpression());
        check(id, "nvrtcAddNameExpression", nvrtcAddNameExpression(program, nameExpression));
        int result = nvrtcCompileProgram(program, OPTIONS.size(), strings(OPTIONS));
        String log = log(id, program);
        String findings = CompileLog.readable(log, sourceFolders);
        if (result != NVRTC_SUCCESS) {
            throw new KernelCompileException("NVRTC could not compile %s for %s: %s"
                    .formatted(id, CubinIndex.ARCHITECTURE, nvrtcGetErrorString(result).getString()), findings);
        }
        BytePointer symbol = new BytePointer((Pointer) null);
        check(id, "nvrtcGetLoweredName", nvrtcGetLoweredName(program, nameExpression, symbol));
        KernelInfo info = CompileLog.resources(id, symbol.getString(), hash, log);
        return new CompiledKernel(info, cubin(id, program), findings);
    }

    private static String log(String id, _nvrtcProgram program) {
        SizeTPointer size = new SizeTPointer(1);
        check(id, "nvrtcGetProgramLogSize", nvrtcGetProgramLogSize(program, size));
        BytePointer log = new BytePointer(size.get());
        check(id, "nvrtcGetProgramLog", nvrtcGetProgramLog(program, log));
        String text = log.getString();
        int end = text.indexOf('\0');
        return end < 0 ? text : text.substring(0, end);
    }

    private static byte[] cubin(String id, _nvrtcProgram program) {
        SizeTPointer size = new SizeTPointer(1);
        check(id, "nvrtcGetCUBINSize", nvrtcGetCUBINSize(program, size));
        BytePointer code = new BytePointer(size.get());
        check(id, "nvrtcGetCUBIN", nvrtcGetCUBIN(program, code));
        byte[] cubin = new byte[Math.toIntExact(size.get())];
        code.get(cubin);
        return cubin;
    }

    private static PointerPointer<BytePointer> strings(Collection<String> texts) {
        PointerPointer<BytePointer> pointers = new PointerPointer<>(Math.max(1, texts.size()));
        int index = 0;
        for (String text : texts) {
            pointers.put(index++, new BytePointer(text));
        }
        return pointers;
    }

    private static void check(String id, String call, int result) {
        if (result != NVRTC_SUCCESS) {
            throw new IllegalStateException("%s(%s): %s (%d)".formatted(call, id,
                    nvrtcGetErrorString(result).getString(), result));
        }
    }
}
