package io.fireq.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.core.io.ClassPathResource;

/** The whole application on the model it ships, whose answers are always the same. */
@ExtendWith(OutputCaptureExtension.class)
class FireqExampleApplicationTest {
    @Test
    void goes_on_tour_with_the_model_it_ships_and_ends(CapturedOutput output) {
        assumeTrue(new ClassPathResource("models/ember/config.json").exists(),
                "models/ember is not on the class path: the example's model is not built in");

        FireqExampleApplication.main(new String[0]);

        assertThat(output).contains("The capital of Germany is Berlin.", "Your name is Klaus.",
                "Person[name=Anna, age=31]", "NEGATIVE", "calls add({\"a\":17,\"b\":25}), which returns 42", "42.");
        assertThat(output).containsOnlyOnce("FireQ serves ");
    }
}
