package io.fireq.engine.inspect;

import io.fireq.engine.backend.cpu.ObservedCpuBackend.Site;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Draws channel magnitudes as SVG: a row of panels per layer, a column per site, the channels of a panel from left to
 * right, their magnitudes on a logarithmic axis that all panels of a column share. Where a panel has more channels than
 * pixels, a pixel shows the largest of its channels, so that no outlier is lost.
 */
public final class OutlierPlot {
    private static final int PANEL_WIDTH = 180;
    private static final int PANEL_HEIGHT = 56;
    private static final int COLUMN = 226;
    private static final int ROW = 76;
    private static final int LEFT = 100;
    private static final int TOP = 92;
    private static final int BOTTOM = 48;
    private static final int RIGHT = 16;
    /** Decades shown below the largest value; what is smaller lies on the axis. */
    private static final int MAX_DECADES = 5;
    private static final String BEFORE_COLOR = "#d1495b";
    private static final String AFTER_COLOR = "#1b4f8f";

    private static final Map<Site, String> TITLES = Map.of(Site.QKV_INPUT, "qkv input", Site.O_INPUT, "o input",
            Site.GATE_UP_INPUT, "gate_up input", Site.DOWN_INPUT, "down input", Site.K_CACHE, "K cache");

    private final TreeMap<Integer, Map<Site, ChannelMagnitudes>> layers = new TreeMap<>();
    private final int[] lowestDecade = new int[Site.values().length];
    private final int[] highestDecade = new int[Site.values().length];
    private final int headDim;
    private final String beforeLabel;
    private final String afterLabel;
    private final StringBuilder svg = new StringBuilder();

    private OutlierPlot(List<ChannelMagnitudes> magnitudes, int headDim, String beforeLabel, String afterLabel) {
        this.headDim = headDim;
        this.beforeLabel = beforeLabel;
        this.afterLabel = afterLabel;
        for (ChannelMagnitudes one : magnitudes) {
            layers.computeIfAbsent(one.layer(), key -> new TreeMap<>()).put(one.site(), one);
        }
        for (Site site : Site.values()) {
            scale(site);
        }
    }

    /**
     * @param title   what was measured, the first line
     * @param caption how, the second line
     * @param headDim channels per head of the K cache, between which lines are drawn
     * @return an SVG document
     * @throws IllegalArgumentException if there is nothing to draw
     */
    public static String svg(String title, String caption, List<ChannelMagnitudes> magnitudes, int headDim) {
        return svg(title, caption, magnitudes, headDim, "before: unquantized model", "after: quantized model");
    }

    /** As {@link #svg(String, String, List, int)}, with words of its own for the two lines of a panel. */
    public static String svg(String title, String caption, List<ChannelMagnitudes> magnitudes, int headDim,
            String beforeLabel, String afterLabel) {
        if (magnitudes.isEmpty()) {
            throw new IllegalArgumentException("Plot '%s': there are no magnitudes".formatted(title));
        }
        return new OutlierPlot(magnitudes, headDim, beforeLabel, afterLabel).draw(title, caption);
    }

    /** Whole decades around all values of a site. */
    private void scale(Site site) {
        double largest = 0;
        double smallest = Double.POSITIVE_INFINITY;
        for (ChannelMagnitudes one : magnitudes(site).toList()) {
            for (float[] values : List.of(one.before(), one.after())) {
                for (float value : values) {
                    largest = Math.max(largest, value);
                    smallest = value > 0 ? Math.min(smallest, value) : smallest;
                }
            }
        }
        highestDecade[site.ordinal()] = largest > 0 ? (int) Math.ceil(Math.log10(largest)) : 0;
        int lowest = largest > 0 ? (int) Math.floor(Math.log10(smallest)) : -1;
        lowestDecade[site.ordinal()] = Math.min(highestDecade[site.ordinal()] - 1,
                Math.max(lowest, highestDecade[site.ordinal()] - MAX_DECADES));
    }

    private Stream<ChannelMagnitudes> magnitudes(Site site) {
        return layers.values().stream().map(sites -> sites.get(site)).filter(one -> one != null);
    }

    private String draw(String title, String caption) {
        int width = LEFT + Site.values().length * COLUMN + RIGHT;
        int height = TOP + layers.size() * ROW + BOTTOM;
        svg.append(("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%1$d\" height=\"%2$d\" viewBox=\"0 0 %1$d %2$d\" "
                + "font-family=\"sans-serif\" font-size=\"11\" fill=\"#333\">\n").formatted(width, height));
        svg.append("<style>polyline{stroke-width:1;stroke-linejoin:round}.b{stroke:%s;fill:%s;fill-opacity:.18}"
                .formatted(BEFORE_COLOR, BEFORE_COLOR)).append(".a{stroke:%s;fill:none}.g{stroke:#ddd}.f{stroke:#999;"
                .formatted(AFTER_COLOR)).append("fill:none}.t{font-size:9px;fill:#666}.e{text-anchor:end}")
                .append(".m{text-anchor:middle}</style>\n");
        svg.append("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
        text(16, 26, "", escape(title), "font-size=\"16\" font-weight=\"bold\"");
        text(16, 44, "", escape(caption), "");
        legend(width);
        int row = 0;
        for (Map.Entry<Integer, Map<Site, ChannelMagnitudes>> layer : layers.entrySet()) {
            int y = TOP + row * ROW;
            text(16, y + PANEL_HEIGHT / 2 + 4, "", "layer " + layer.getKey(), "");
            for (Site site : Site.values()) {
                ChannelMagnitudes one = layer.getValue().get(site);
                if (one != null) {
                    panel(LEFT + site.ordinal() * COLUMN, y, one, row == layers.size() - 1);
                }
            }
            row++;
        }
        for (Site site : Site.values()) {
            text(LEFT + site.ordinal() * COLUMN + PANEL_WIDTH / 2, TOP - 18, "m", TITLES.get(site),
                    "font-size=\"13\" font-weight=\"bold\"");
        }
        return svg.append("</svg>\n").toString();
    }

    private void legend(int width) {
        boolean before = layers.values().stream().flatMap(sites -> sites.values().stream())
                .anyMatch(one -> one.before().length > 0);
        boolean after = layers.values().stream().flatMap(sites -> sites.values().stream())
                .anyMatch(one -> one.after().length > 0);
        int x = width - RIGHT - 380;
        if (before) {
            svg.append("<polyline class=\"b\" points=\"%d,30 %d,18 %d,30\"/>\n".formatted(x, x + 12, x + 24));
            text(x + 30, 28, "", escape(beforeLabel), "");
        }
        if (after) {
            svg.append("<polyline class=\"a\" points=\"%d,28 %d,20 %d,28\"/>\n".formatted(x + 196, x + 208, x + 220));
            text(x + 226, 28, "", escape(afterLabel), "");
        }
        text(x, 44, "t", "In each panel: largest value, and how many times the median channel's", "");
    }

    private void panel(int x, int y, ChannelMagnitudes one, boolean isLast) {
        svg.append("<g transform=\"translate(%d,%d)\"><title>%s</title>\n".formatted(x, y, tooltip(one)));
        int lowest = lowestDecade[one.site().ordinal()];
        int highest = highestDecade[one.site().ordinal()];
        for (int decade = lowest; decade <= highest; decade++) {
            int at = PANEL_HEIGHT - PANEL_HEIGHT * (decade - lowest) / (highest - lowest);
            if (decade > lowest && decade < highest) {
                svg.append("<path class=\"g\" d=\"M0,%dh%d\"/>".formatted(at, PANEL_WIDTH));
            }
            text(-4, at + 3, "t e", decadeLabel(decade), "");
        }
        if (one.site() == Site.K_CACHE && headDim > 0) {
            for (int channel = headDim; channel < one.channels(); channel += headDim) {
                svg.append("<path class=\"g\" d=\"M%d,0v%d\"/>".formatted(channel * PANEL_WIDTH / one.channels(),
                        PANEL_HEIGHT));
            }
        }
        svg.append("<path class=\"f\" d=\"M0,0v%dh%d\"/>\n".formatted(PANEL_HEIGHT, PANEL_WIDTH));
        series("b", one.before(), lowest, highest);
        series("a", one.after(), lowest, highest);
        text(PANEL_WIDTH, -4, "t e", peaks(one), "");
        if (isLast) {
            text(0, PANEL_HEIGHT + 13, "t", "0", "");
            text(PANEL_WIDTH, PANEL_HEIGHT + 13, "t e", Integer.toString(one.channels() - 1), "");
            text(PANEL_WIDTH / 2, PANEL_HEIGHT + 13, "t m",
                    one.site() == Site.K_CACHE && headDim > 0 ? "→ channel, heads side by side" : "→ channel", "");
            text(PANEL_WIDTH / 2, PANEL_HEIGHT + 26, "t m", "↑ largest |x|, log scale", "");
        }
        svg.append("</g>\n");
    }

    /** One point per channel, or per pixel where those are fewer. */
    private void series(String style, float[] values, int lowest, int highest) {
        if (values.length == 0) {
            return;
        }
        int points = Math.min(values.length, PANEL_WIDTH);
        boolean filled = style.equals("b");
        List<String> at = new ArrayList<>();
        if (filled) {
            at.add("0," + PANEL_HEIGHT);
        }
        for (int point = 0; point < points; point++) {
            float largest = 0;
            for (int i = from(point, points, values.length); i < from(point + 1, points, values.length); i++) {
                largest = Math.max(largest, values[i]);
            }
            at.add((2 * point + 1) * PANEL_WIDTH / (2 * points) + "," + y(largest, lowest, highest));
        }
        if (filled) {
            at.add(PANEL_WIDTH + "," + PANEL_HEIGHT);
        }
        svg.append("<polyline class=\"%s\" points=\"%s\"/>\n".formatted(style, String.join(" ", at)));
    }

    private static int from(int point, int points, int channels) {
        return (int) ((long) point * channels / points);
    }

    private static int y(float value, int lowest, int highest) {
        if (!(value > 0)) {
            return PANEL_HEIGHT;
        }
        double share = (Math.log10(value) - lowest) / (highest - lowest);
        return (int) Math.round(PANEL_HEIGHT * (1 - Math.max(0, Math.min(1, share))));
    }

    private static String peaks(ChannelMagnitudes one) {
        return Stream.of(one.before(), one.after()).filter(values -> values.length > 0)
                .map(values -> "%s (%s×)".formatted(number(values[ChannelMagnitudes.peak(values)]),
                        number(ChannelMagnitudes.peakToMedian(values))))
                .reduce((before, after) -> before + " → " + after).orElse("");
    }

    private static String tooltip(ChannelMagnitudes one) {
        StringBuilder text = new StringBuilder("layer %d, %s".formatted(one.layer(), TITLES.get(one.site())));
        for (float[] values : List.of(one.before(), one.after())) {
            if (values.length > 0) {
                int peak = ChannelMagnitudes.peak(values);
                text.append(", %s: %s in channel %d".formatted(values == one.before() ? "before" : "after",
                        number(values[peak]), peak));
            }
        }
        return text.toString();
    }

    private static String decadeLabel(int decade) {
        return switch (decade) {
            case -2 -> "0.01";
            case -1 -> "0.1";
            case 0 -> "1";
            case 1 -> "10";
            case 2 -> "100";
            case 3 -> "1000";
            default -> "1e" + decade;
        };
    }

    /** Two or three digits. */
    private static String number(double value) {
        return !Double.isFinite(value) ? "∞"
                : String.format(Locale.ROOT, value >= 100 || value == Math.rint(value) && value >= 1 ? "%.0f"
                        : value >= 1 ? "%.1f" : value == 0 ? "0" : "%.2g", value);
    }

    private void text(int x, int y, String style, String text, String attributes) {
        svg.append("<text x=\"%d\" y=\"%d\"%s %s>%s</text>".formatted(x, y,
                style.isEmpty() ? "" : " class=\"" + style + "\"", attributes, text).replace(" >", ">"));
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
}
