package io.fireq.kernels.jit;

import io.fireq.kernels.catalog.KernelInfo;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads the log of NVRTC and of ptxas, which it runs. */
final class CompileLog {
    private static final Pattern LOCATION = Pattern.compile("(?m)^(fireq/[^()\\s]+)\\((\\d+)\\):");
    private static final Pattern RESOURCES = Pattern.compile("^ptxas (info +: (\\d+ bytes gmem|Compiling entry|Function properties"
            + "|Used \\d+ registers|Compile time)| +\\. )");
    private static final Pattern STACK =
            Pattern.compile("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
    private static final Pattern REGISTERS = Pattern.compile("Used (\\d+) registers");
    private static final Pattern SMEM = Pattern.compile("(\\d+) bytes smem");

    private CompileLog() {}

    /**
     * The findings for a reader: locations as {@code path:line:}, without what ptxas says about resources.
     *
     * @param sourceFolders folders that include names start from
     */
    static String readable(String log, List<Path> sourceFolders) {
        String located = LOCATION.matcher(log)
                .replaceAll(m -> Matcher.quoteReplacement(path(m.group(1), sourceFolders) + ":" + m.group(2) + ":"));
        List<String> lines = located.lines()
                .filter(line -> !RESOURCES.matcher(line).find() && !line.isBlank())
                .toList();
        return String.join("\n", lines);
    }

    private static String path(String name, List<Path> sourceFolders) {
        return sourceFolders.stream().map(folder -> folder.resolve(name)).filter(Files::exists).findFirst()
                .map(Path::toString).orElse(name);
    }

    /** What ptxas said about the one kernel of a compilation. */
    static KernelInfo resources(String id, String symbol, String hash, String log) {
        String entry = log.substring(Math.max(0, log.indexOf("Compiling entry function '" + symbol + "'")));
        Matcher stack = find(id, STACK, entry, log);
        Matcher registers = find(id, REGISTERS, entry, log);
        Matcher smem = SMEM.matcher(entry);
        return new KernelInfo(id, symbol, hash, Integer.parseInt(registers.group(1)), Integer.parseInt(stack.group(1)),
                Integer.parseInt(stack.group(2)), Integer.parseInt(stack.group(3)),
                smem.find() ? Integer.parseInt(smem.group(1)) : 0);
    }

    private static Matcher find(String id, Pattern pattern, String entry, String log) {
        Matcher matcher = pattern.matcher(entry);
        if (!matcher.find()) {
            throw new KernelCompileException(
                    "NVRTC compiled %s but its log does not have '%s'".formatted(id, pattern), log);
        }
        return matcher;
    }
}
