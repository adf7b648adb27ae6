package lwm2md.leshan;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import org.eclipse.leshan.core.node.InvalidLwM2mPathException;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.request.ContentFormat;

/** One line of standard input, read field by field; a missing or wrong field is named. */
final class Command {
    /** Enough for all retransmissions that a test on loopback provokes. */
    private static final long DEFAULT_TIMEOUT_MS = 10_000;

    final JsonNode json;

    Command(JsonNode json) {
        this.json = json;
    }

    String name() throws CommandException {
        return text("cmd");
    }

    String text(String field) throws CommandException {
        JsonNode value = json.path(field);
        if (!value.isTextual()) {
            throw wrong(field, "expected text");
        }
        return value.textValue();
    }

    String textOr(String field, String fallback) throws CommandException {
        return json.hasNonNull(field) ? text(field) : fallback;
    }

    long timeoutMs() throws CommandException {
        JsonNode value = json.path("timeoutMs");
        if (value.isMissingNode()) {
            return DEFAULT_TIMEOUT_MS;
        }
        if (!value.canConvertToLong() || value.longValue() <= 0) {
            throw wrong("timeoutMs", "expected milliseconds above 0");
        }
        return value.longValue();
    }

    LwM2mPath path() throws CommandException {
        String text = text("path");
        try {
            return new LwM2mPath(text);
        } catch (InvalidLwM2mPathException e) {
            throw wrong("path", e.getMessage());
        }
    }

    /** The number of a content format; null leaves the choice to the device or to Leshan. */
    ContentFormat format() throws CommandException {
        if (!json.hasNonNull("format")) {
            return null;
        }
        if (!json.path("format").isInt()) {
            throw wrong("format", "expected a number");
        }
        return ContentFormat.fromCode(json.path("format").intValue());
    }

    /** Uri-Query options that Leshan cannot say by itself, such as `depth=1`. */
    List<String> query() throws CommandException {
        List<String> query = new ArrayList<>();
        for (JsonNode option : json.path("query")) {
            if (!option.isTextual()) {
                throw wrong("query", "expected a list of texts");
            }
            query.add(option.textValue());
        }
        return query;
    }

    boolean isConfirmable() {
        return json.path("confirmable").asBoolean(true);
    }

    static CommandException wrong(String field, String why) {
        return new CommandException(CommandException.Kind.BAD_COMMAND, field + ": " + why);
    }
}
