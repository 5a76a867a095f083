package io.fireq.cli;

import io.fireq.engine.quant.Measures;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.PrintWriter;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleFunction;

/** Prints what quantization did to each tensor. */
final class ErrorTable {
    private static final String HEADER = """
            SQNR      signal to quantization noise of the weights in dB; output: of the layer's outputs
            plain     what rounding without calibration leaves, before and after smoothing
            clip      share of the weights beyond the largest code
            channels  share of the activations in the scales of the input channels; keys: of Q in those of K
            pull      towards the original weights, against the errors of earlier layers; smaller follows those more
            residual  error of the residual stream behind the layer
            """;

    private ErrorTable() {}

    static void print(List<TensorReport> reports, PrintWriter out) {
        int width = reports.stream().mapToInt(report -> report.name().length()).max().orElse(6);
        String row = "%-" + width + "s  %-6s %5s  %6s %6s  %13s  %6s  %8s  %4s  %5s  %8s%n";
        out.println(HEADER);
        out.printf(row, "tensor", "format", "group", "SQNR", "output", "plain", "clip", "channels", "keys", "pull",
                "residual");
        for (TensorReport report : reports) {
            Map<String, Double> m = report.measures();
            out.printf(row, report.name(), report.format(), report.groupSize() == 0 ? "-" : report.groupSize(),
                    report.sqnrDb().isPresent() ? number(m, TensorReport.SQNR_DB, "%.2f") : "exact",
                    number(m, Measures.OUTPUT_SQNR_DB, "%.2f"),
                    number(m, Measures.PLAIN_BEFORE_DB, "%.2f > ")
                            + number(m, Measures.PLAIN_AFTER_DB, "%.2f"),
                    percent(m, Measures.CLIP_SHARE), number(m, Measures.CHANNEL_SCALE_EXPONENT, "%.2f"),
                    number(m, Measures.KEY_SCALE_EXPONENT, "%.1f"),
                    number(m, Measures.CORRECTION_PULL, "%.2f"), percent(m, Measures.RESIDUAL_ERROR));
        }
        String judge = reports.stream().anyMatch(report -> report.measures().containsKey(Measures.OUTPUT_SQNR_DB))
                ? Measures.OUTPUT_SQNR_DB
                : TensorReport.SQNR_DB;
        reports.stream().filter(report -> report.measures().containsKey(judge))
                .min(Comparator.comparingDouble(report -> report.measures().get(judge)))
                .ifPresent(worst -> out.printf(Locale.ROOT, "worst: %s at %s dB%n", worst.name(),
                        number(worst.measures(), judge, "%.2f")));
    }

    private static String percent(Map<String, Double> measures, String name) {
        return text(measures, name, value -> String.format(Locale.ROOT, "%.2f %%", 100 * value));
    }

    private static String number(Map<String, Double> measures, String name, String format) {
        return text(measures, name, value -> String.format(Locale.ROOT, format, value));
    }

    private static String text(Map<String, Double> measures, String name, DoubleFunction<String> format) {
        Double value = measures.get(name);
        return value == null ? "" : format.apply(value);
    }
}
