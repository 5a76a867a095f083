package io.fireq.cli;

import io.fireq.engine.weights.v1.TensorReport;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;

/** Prints what quantization did to each tensor. */
final class ErrorTable {
    private ErrorTable() {}

    static void print(List<TensorReport> reports, PrintWriter out) {
        int width = reports.stream().mapToInt(report -> report.name().length()).max().orElse(6);
        out.printf("%-" + width + "s  %-6s  %10s  %s%n", "tensor", "format", "group size", "SQNR dB");
        for (TensorReport report : reports) {
            out.printf(Locale.ROOT, "%-" + width + "s  %-6s  %10s  %s%n", report.name(), report.format(),
                    report.groupSize() == 0 ? "-" : report.groupSize(),
                    report.sqnrDb().isPresent() ? String.format(Locale.ROOT, "%7.2f", report.sqnrDb().getAsDouble())
                            : "  exact");
        }
        reports.stream().filter(report -> report.sqnrDb().isPresent())
                .min((a, b) -> Double.compare(a.sqnrDb().getAsDouble(), b.sqnrDb().getAsDouble()))
                .ifPresent(worst -> out.printf(Locale.ROOT, "worst: %s at %.2f dB%n", worst.name(),
                        worst.sqnrDb().getAsDouble()));
    }
}
