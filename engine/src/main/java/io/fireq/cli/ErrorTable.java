package io.fireq.cli;

import io.fireq.engine.weights.v1.TensorReport;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleFunction;

/** Prints what quantization did to each tensor. */
final class ErrorTable {
    private static final String HEADER = """
            SQNR: signal to quantization noise in dB, of the weights and of the layer's outputs; plain: what rounding \
            without calibration leaves, before and after smoothing; clip: weights beyond the largest code; channels: \
            share of the activations in the channel scales; pull: towards the original weights, against the errors of \
            earlier layers; residual: error of the residual stream behind the layer
            """;

    private ErrorTable() {}

    static void print(List<TensorReport> reports, PrintWriter out) {
        int width = reports.stream().mapToInt(report -> report.name().length()).max().orElse(6);
        String row = "%-" + width + "s  %-6s %5s  %7s %7s  %13s  %6s  %8s  %5s  %8s%n";
        out.println(HEADER);
        out.printf(row, "tensor", "format", "group", "SQNR", "output", "plain", "clip", "channels", "pull", "residual");
        for (TensorReport report : reports) {
            Map<String, Double> m = report.measures();
            out.printf(row, report.name(), report.format(), report.groupSize() == 0 ? "-" : report.groupSize(),
                    report.sqnrDb().isPresent() ? number(m, TensorReport.SQNR_DB, "%.2f") : "exact",
                    number(m, "output_sqnr_db", "%.2f"),
                    number(m, "plain_sqnr_before_smoothing_db", "%.2f > ")
                            + number(m, "plain_sqnr_after_smoothing_db", "%.2f"),
                    percent(m, "clip_share"), number(m, "channel_scale_exponent", "%.2f"),
                    number(m, "correction_pull", "%.2f"), percent(m, "residual_error"));
        }
        worst(reports, "output_sqnr_db").or(() -> worst(reports, TensorReport.SQNR_DB))
                .ifPresent(worst -> out.printf(Locale.ROOT, "worst: %s at %s dB%n", worst.name(),
                        number(worst.measures(), worst.measures().containsKey("output_sqnr_db") ? "output_sqnr_db"
                                : TensorReport.SQNR_DB, "%.2f")));
    }

    private static java.util.Optional<TensorReport> worst(List<TensorReport> reports, String measure) {
        return reports.stream().filter(report -> report.measures().containsKey(measure))
                .min((a, b) -> Double.compare(a.measures().get(measure), b.measures().get(measure)));
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
