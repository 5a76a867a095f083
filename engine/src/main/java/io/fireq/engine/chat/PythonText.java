package io.fireq.engine.chat;

/** White space as Python's {@code str.strip} knows it; templates and what surrounds them must agree on it. */
final class PythonText {
    private PythonText() {}

    static boolean isSpace(char c) {
        return c >= '\t' && c <= '\r' || c >= 0x1C && c <= ' ' || c == 0x85 || c == 0xA0 || c == 0x1680
                || c >= 0x2000 && c <= 0x200A || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
    }

    /** @return index of the first character that is no white space, or the length */
    static int bodyStart(String text) {
        int start = 0;
        while (start < text.length() && isSpace(text.charAt(start))) {
            start++;
        }
        return start;
    }

    /** @return index after the last character that is no white space, or 0 */
    static int bodyEnd(String text) {
        int end = text.length();
        while (end > 0 && isSpace(text.charAt(end - 1))) {
            end--;
        }
        return end;
    }

    static String strip(String text) {
        int start = bodyStart(text);
        return text.substring(start, Math.max(start, bodyEnd(text)));
    }
}
