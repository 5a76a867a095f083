package io.fireq.engine.inspect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.fireq.engine.backend.cpu.ObservedCpuBackend.Site;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** The picture is read back as a browser would: panels, lines, labels. */
class OutlierPlotTest {
    private static final int LAYERS = 3;
    private static final int WIDTH = 1000; // more channels than pixels
    private static final float[] NONE = {};

    @Test
    void an_outlier_is_the_peak_of_its_line_and_written_beside_it() throws Exception {
        List<ChannelMagnitudes> magnitudes = magnitudes(true, true);
        ChannelMagnitudes injected = magnitudes.get(Site.values().length + Site.DOWN_INPUT.ordinal()); // layer 1
        float[] before = injected.before();
        before[777] = 640;
        magnitudes.set(magnitudes.indexOf(injected),
                new ChannelMagnitudes(1, Site.DOWN_INPUT, before, injected.after()));

        Element svg = parse(OutlierPlot.svg("title", "caption", magnitudes, 50));
        List<Element> panels = elements(svg, "g");
        assertThat(panels).hasSize(LAYERS * Site.values().length);
        for (Element panel : panels) {
            List<Element> lines = elements(panel, "polyline");
            assertThat(lines).hasSize(2);
            String title = elements(panel, "title").get(0).getTextContent();
            boolean isInjected = title.startsWith("layer 1, down input");
            int[] ys = ys(lines.get(0));
            int highest = Arrays.stream(ys).min().orElseThrow();
            long between = Arrays.stream(ys).filter(y -> y < 25).count();
            if (isInjected) {
                assertThat(title).contains("before: 640 in channel 777");
                assertThat(elements(panel, "text").stream().map(Element::getTextContent))
                        .anyMatch(text -> text.matches("640 \\(\\d+×\\) → .*"));
                assertThat(xOf(lines.get(0), highest)).as("the pixel of channel 777 of 1000").isBetween(139, 140);
                assertThat(between).as("only the outlier leaves the others behind").isEqualTo(1);
                assertThat(highest).isBetween(1, 10); // 640 in an axis of 0.1 to 1000
            } else {
                assertThat(highest).as(title).isGreaterThan(12); // 3 in an axis of 0.1 to 10
            }
        }
    }

    @Test
    void axes_legend_and_labels_are_there() throws Exception {
        Element svg = parse(OutlierPlot.svg("Activations of <model>", "over 12 tokens", magnitudes(true, true), 50));
        List<String> texts = elements(svg, "text").stream().map(Element::getTextContent).toList();
        assertThat(texts).contains("Activations of <model>", "over 12 tokens", "qkv input", "o input", "gate_up input",
                "down input", "K cache", "layer 0", "layer 2", "before: unquantized model", "after: quantized model",
                "→ channel", "→ channel, heads side by side", "↑ largest |x|, log scale", "0.1", "10", "0", "999");
        assertThat(elements(svg, "rect").get(0).getAttribute("fill")).isEqualTo("#fff");
        assertThat(Integer.parseInt(svg.getAttribute("height"))).isLessThan(LAYERS * 80 + 150);
    }

    @Test
    void one_side_alone_is_drawn_alone() throws Exception {
        Element before = parse(OutlierPlot.svg("t", "c", magnitudes(true, false), 0));
        assertThat(elements(before, "polyline")).hasSize(LAYERS * Site.values().length + 1); // and the legend's
        assertThat(elements(before, "text").stream().map(Element::getTextContent))
                .contains("before: unquantized model").doesNotContain("after: quantized model");
        Element after = parse(OutlierPlot.svg("t", "c", magnitudes(false, true), 0));
        assertThat(elements(after, "text").stream().map(Element::getTextContent))
                .contains("after: quantized model").doesNotContain("before: unquantized model");
    }

    @Test
    void values_at_the_edges_stay_in_the_panel() throws Exception {
        float[] values = {0, 1e-30f, 3, 1e30f, Float.POSITIVE_INFINITY, Float.NaN};
        for (float[] one : List.of(values, new float[6])) {
            Element svg = parse(OutlierPlot.svg("t", "c",
                    List.of(new ChannelMagnitudes(0, Site.O_INPUT, NONE, one)), 0));
            int[] ys = ys(elements(elements(svg, "g").get(0), "polyline").get(0));
            assertThat(Arrays.stream(ys)).allMatch(y -> y >= 0 && y <= 56);
        }
    }

    @Test
    void a_picture_of_a_large_model_is_small() {
        List<ChannelMagnitudes> magnitudes = new ArrayList<>();
        for (int layer = 0; layer < 32; layer++) {
            for (Site site : Site.values()) {
                float[] values = random(site == Site.DOWN_INPUT ? 14_336 : 4096, layer + site.ordinal());
                magnitudes.add(new ChannelMagnitudes(layer, site, values, values));
            }
        }
        assertThat(OutlierPlot.svg("Llama-3-8B", "c", magnitudes, 128).length()).isLessThan(600_000);
    }

    @Test
    void nothing_to_draw_is_refused() {
        assertThatIllegalArgumentException().isThrownBy(() -> OutlierPlot.svg("t", "c", List.of(), 0))
                .withMessageContaining("no magnitudes");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new ChannelMagnitudes(4, Site.K_CACHE, new float[3], new float[4]))
                .withMessageContaining("layer 4, K_CACHE: 3 channels before and 4 after");
    }

    private static List<ChannelMagnitudes> magnitudes(boolean before, boolean after) {
        List<ChannelMagnitudes> magnitudes = new ArrayList<>();
        for (int layer = 0; layer < LAYERS; layer++) {
            for (Site site : Site.values()) {
                int seed = layer * 10 + site.ordinal();
                magnitudes.add(new ChannelMagnitudes(layer, site, before ? random(WIDTH, seed) : NONE,
                        after ? random(WIDTH, seed + 100) : NONE));
            }
        }
        return magnitudes;
    }

    /** 0.3 to 3. */
    private static float[] random(int count, int seed) {
        Random random = new Random(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (0.3 * Math.pow(10, random.nextDouble()));
        }
        return values;
    }

    static Element parse(String svg) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8))).getDocumentElement();
    }

    static List<Element> elements(Element parent, String tag) {
        NodeList nodes = parent.getElementsByTagName(tag);
        List<Element> elements = new ArrayList<>();
        for (int i = 0; i < nodes.getLength(); i++) {
            elements.add((Element) nodes.item(i));
        }
        return elements;
    }

    static int[] ys(Element polyline) {
        return Arrays.stream(polyline.getAttribute("points").split(" "))
                .mapToInt(point -> Integer.parseInt(point.split(",")[1])).toArray();
    }

    static int xOf(Element polyline, int y) {
        return Arrays.stream(polyline.getAttribute("points").split(" ")).filter(point -> point.endsWith("," + y))
                .mapToInt(point -> Integer.parseInt(point.split(",")[0])).findFirst().orElseThrow();
    }
}
