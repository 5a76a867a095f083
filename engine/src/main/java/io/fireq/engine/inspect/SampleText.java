package io.fireq.engine.inspect;

/** A text with a bit of everything, for a look at a model without a corpus at hand. */
public final class SampleText {
    private SampleText() {}

    public static final String TEXT = """
            The harbour master kept two books. In the first he wrote down the ships: when they came, what they carried, and \
            how deep they lay in the water. In the second he wrote down the weather, and over the years the second book \
            became the thicker one. "Ships lie about their cargo," he used to say, "but nobody has ever bribed the wind."

            1. Heat the oven to 220 °C.
            2. Mix 500 g of flour, 10 g of salt, 7 g of yeast and 330 ml of water.
            3. Wait 90 minutes, shape two loaves, bake them for 25 to 30 minutes.

            def mean(values):
                total = 0.0
                for v in values:
                    total += v
                return total / len(values)  # fails for an empty list

            Question: Which planet has the shortest day? Answer: Jupiter turns once in less than ten hours, although it is \
            eleven times as wide as the Earth. Its clouds at the equator therefore move at more than 45,000 km/h.

            {"name": "Ada", "born": 1815, "languages": ["English", "French"], "address": {"city": "London"}}

            Il pleut sur la ville depuis ce matin, et les rues sont vides. Der Zug nach Norden hat eine halbe Stunde \
            Verspätung. El mercado abre a las ocho, pero el pan se acaba antes de las nueve.

            After three years of drought the council met again. The reservoir stood at 18 %, down from 64 % in spring. \
            Farmers in the lower valley asked for a fixed share; the town, which had doubled in size, asked for patience. \
            In the end they agreed on a rule that pleased nobody and worked: whoever pumps at night pumps half.
            """;
}
