package io.fireq.cli;

import io.fireq.engine.api.FireqException;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code fireq} command. */
@Command(name = "fireq", mixinStandardHelpOptions = true, version = "fireq 0.1.0",
        description = "Quantizes Llama checkpoints and runs them inside the JVM.",
        subcommands = {QuantizeCommand.class, ImportCommand.class, ChatCommand.class, GenerateCommand.class,
            PerplexityCommand.class, InspectCommand.class, BenchCommand.class},
        synopsisSubcommandLabel = "COMMAND")
public final class Fireq {

    private Fireq() {}

    /** Runs a command and exits with its code: 0, 1 after a failure, 2 for a wrong command line, 130 after Ctrl-C. */
    public static void main(String[] arguments) {
        // The command line talks to a person: the engine's log stays quiet unless asked for.
        setDefault("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        setDefault("org.slf4j.simpleLogger.showThreadName", "false");
        setDefault("org.slf4j.simpleLogger.showShortLogName", "true");
        Interruption.install();
        int code = 1;
        try {
            code = run(arguments);
        } finally {
            Interruption.done();
        }
        System.exit(code);
    }

    static int run(String... arguments) {
        return commandLine().execute(arguments);
    }

    static CommandLine commandLine() {
        return new CommandLine(new Fireq())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler(Fireq::report);
    }

    /** Expected failures are one clear sentence; a stack trace is for bugs only. */
    private static int report(Exception failure, CommandLine commandLine, CommandLine.ParseResult parsed) {
        PrintWriter err = commandLine.getErr();
        if (failure instanceof Interruption.InterruptedByUser) {
            err.println("Interrupted.");
            return 130;
        }
        if (failure instanceof FireqException || failure instanceof IllegalArgumentException
                || failure instanceof java.io.IOException) {
            err.println(commandLine.getColorScheme().errorText("fireq: " + failure.getMessage()));
        } else {
            failure.printStackTrace(err);
        }
        return 1;
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }
}
