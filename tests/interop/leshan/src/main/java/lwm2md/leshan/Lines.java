package lwm2md.leshan;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Standard output as a sequence of JSON objects, one a line; several threads write to it. */
final class Lines {
    static final ObjectMapper JSON = new ObjectMapper();

    private final PrintStream out;

    Lines(PrintStream out) {
        this.out = new PrintStream(out, true, StandardCharsets.UTF_8);
    }

    synchronized void write(ObjectNode line) {
        out.println(line);
    }

    static ObjectNode object() {
        return JSON.createObjectNode();
    }

    static JsonNode parse(String line) throws CommandException {
        try {
            return JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new CommandException(CommandException.Kind.BAD_COMMAND, "not JSON: " + e.getOriginalMessage());
        }
    }
}
