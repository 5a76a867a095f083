package io.fireq.engine.chat;

import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;
import jinjava.javax.el.MethodNotFoundException;

/**
 * Templates call methods of Python strings; jinjava would look for Java's, which differ in name ({@code startswith}) or,
 * worse, in meaning ({@code split}). Everything but method calls on strings goes to jinjava's own resolver.
 */
final class PythonStringMethods extends ELResolver {
    private final ELResolver jinjava;

    PythonStringMethods(ELResolver jinjava) {
        this.jinjava = jinjava;
    }

    @Override
    public Object invoke(ELContext context, Object base, Object method, Class<?>[] types, Object[] arguments) {
        if (!(base instanceof CharSequence text)) {
            return jinjava.invoke(context, base, method, types, arguments);
        }
        Object result = call(text.toString(), String.valueOf(method), arguments == null ? new Object[0] : arguments);
        context.setPropertyResolved(true);
        return result;
    }

    private static Object call(String text, String method, Object[] arguments) {
        String first = arguments.length > 0 && arguments[0] != null ? arguments[0].toString() : null;
        switch (method + "/" + arguments.length) {
            case "strip/0":
                return PythonText.strip(text);
            case "lstrip/0":
                return text.substring(PythonText.bodyStart(text));
            case "rstrip/0":
                return text.substring(0, PythonText.bodyEnd(text));
            case "strip/1":
                return stripEnd(stripStart(text, first), first);
            case "lstrip/1":
                return stripStart(text, first);
            case "rstrip/1":
                return stripEnd(text, first);
            case "startswith/1":
                return text.startsWith(first);
            case "endswith/1":
                return text.endsWith(first);
            case "split/0":
                return splitAtSpace(text);
            case "split/1":
                return splitAt(text, first);
            case "replace/2":
                return text.replace(first, String.valueOf(arguments[1]));
            case "upper/0":
                return text.toUpperCase(Locale.ROOT);
            case "lower/0":
                return text.toLowerCase(Locale.ROOT);
            case "find/1":
                return (long) text.indexOf(first);
            default:
                throw new MethodNotFoundException("str has no method %s with %d arguments that FireQ knows"
                        .formatted(method, arguments.length));
        }
    }

    private static String stripStart(String text, String characters) {
        int start = 0;
        while (start < text.length() && characters.indexOf(text.charAt(start)) >= 0) {
            start++;
        }
        return text.substring(start);
    }

    private static String stripEnd(String text, String characters) {
        int end = text.length();
        while (end > 0 && characters.indexOf(text.charAt(end - 1)) >= 0) {
            end--;
        }
        return text.substring(0, end);
    }

    private static List<String> splitAt(String text, String separator) {
        if (separator == null || separator.isEmpty()) {
            throw new IllegalArgumentException("split: the separator is empty");
        }
        List<String> parts = new ArrayList<>();
        int from = 0;
        for (int at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, from)) {
            parts.add(text.substring(from, at));
            from = at + separator.length();
        }
        parts.add(text.substring(from));
        return parts;
    }

    private static List<String> splitAtSpace(String text) {
        List<String> words = new ArrayList<>();
        int start = -1;
        for (int i = 0; i <= text.length(); i++) {
            boolean inWord = i < text.length() && !PythonText.isSpace(text.charAt(i));
            if (inWord && start < 0) {
                start = i;
            } else if (!inWord && start >= 0) {
                words.add(text.substring(start, i));
                start = -1;
            }
        }
        return words;
    }

    @Override
    public Object getValue(ELContext context, Object base, Object property) {
        return jinjava.getValue(context, base, property);
    }

    @Override
    public Class<?> getType(ELContext context, Object base, Object property) {
        return jinjava.getType(context, base, property);
    }

    @Override
    public boolean isReadOnly(ELContext context, Object base, Object property) {
        return true;
    }

    @Override
    public void setValue(ELContext context, Object base, Object property, Object value) {
        jinjava.setValue(context, base, property, value);
    }

    @Override
    public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
        return jinjava.getFeatureDescriptors(context, base);
    }

    @Override
    public Class<?> getCommonPropertyType(ELContext context, Object base) {
        return jinjava.getCommonPropertyType(context, base);
    }
}
