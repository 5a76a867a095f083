package io.fireq.examples;

import java.io.PrintStream;
import java.util.Locale;

/** Prints who says what. Lines of one speaker are aligned, and streamed text appears as it comes. */
final class Transcript {
    private static final String INDENT = "   ";

    private final PrintStream out;
    private final String modelName;
    private final int nameWidth;

    Transcript(PrintStream out, String modelName) {
        this.out = out;
        this.modelName = modelName;
        this.nameWidth = Math.max(modelName.length(), "result".length());
    }

    void heading(String text) {
        out.println();
        out.println(text);
    }

    /** What the program asks. */
    void asks(String text) {
        line("you", text);
    }

    /** Invites the user to type what they ask. */
    void prompts() {
        out.print(label("you"));
        out.flush();
    }

    /** What the model says. */
    void answers(String text) {
        line(modelName, text);
    }

    /** What the program made of an answer. */
    void result(Object value) {
        line("result", value.toString());
    }

    /** What else happened. */
    void notes(String text) {
        line("", text);
    }

    /** Begins an answer that comes in pieces. */
    void beginsAnswer() {
        out.print(label(modelName));
        out.flush();
    }

    void continuesAnswer(String piece) {
        out.print(indentLines(piece));
        out.flush();
    }

    void endsAnswer() {
        out.println();
    }

    void seconds(long nanos) {
        notes(String.format(Locale.ROOT, "%.2f s", nanos / 1e9));
    }

    private void line(String speaker, String text) {
        out.println(label(speaker) + indentLines(text));
    }

    private String label(String speaker) {
        return INDENT + speaker + " ".repeat(nameWidth - speaker.length() + 2);
    }

    private String indentLines(String text) {
        return text.replace("\n", "\n" + label(""));
    }
}
