package io.fireq.examples;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Runs the tour, then chats if there is a terminal. The model is {@code fireq.model} in application.yml. */
@SpringBootApplication
public class FireqExampleApplication {
    public static void main(String[] args) {
        SpringApplication.run(FireqExampleApplication.class, args).close();
    }
}
