package lwm2md.leshan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HexFormat;
import org.eclipse.leshan.core.request.exception.InvalidRequestException;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.servers.security.NonUniqueSecurityInfoException;
import org.eclipse.leshan.servers.security.SecurityInfo;

/** Answers one line of standard input with one line of standard output. */
final class Commands {
    private final TestServer server;
    private final Events events;
    private final DeviceRequests requests;

    Commands(TestServer server, Events events) {
        this.server = server;
        this.events = events;
        this.requests = new DeviceRequests(server.leshan);
    }

    /** Never throws: whatever goes wrong is an error line with the id of the command. */
    ObjectNode answer(String line) {
        ObjectNode answer = Lines.object();
        try {
            JsonNode json = Lines.parse(line);
            answer.set("id", json.get("id"));
            answer.set("result", run(new Command(json)));
        } catch (CommandException e) {
            fail(answer, e);
        } catch (InvalidRequestException e) {
            fail(answer, DeviceRequests.refused(e));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            fail(answer, new CommandException(CommandException.Kind.OTHER, "the server stops"));
        } catch (RuntimeException e) {
            // The class is part of the text: many of Leshan's exceptions have none of their own.
            fail(answer, new CommandException(CommandException.Kind.OTHER, e.toString()));
        }
        return answer;
    }

    private static void fail(ObjectNode answer, CommandException error) {
        answer.put("error", String.valueOf(error.getMessage())).put("kind", error.kind.json);
    }

    private JsonNode run(Command command) throws CommandException, InterruptedException {
        return switch (command.name()) {
            case "waitRegistration" -> waitRegistration(command);
            case "registrations" -> registrations();
            case "read" -> requests.read(command);
            case "write" -> requests.write(command);
            case "create" -> requests.create(command);
            case "delete" -> requests.delete(command);
            case "writeAttributes" -> requests.writeAttributes(command);
            case "discover" -> requests.discover(command);
            case "execute" -> requests.execute(command);
            case "observe" -> requests.observe(command);
            case "cancelObserve" -> requests.cancelObserve(command);
            case "addPsk" -> addPsk(command);
            default -> throw Command.wrong("cmd", "unknown command " + command.name());
        };
    }

    private ObjectNode waitRegistration(Command command) throws CommandException, InterruptedException {
        String endpoint = command.text("endpoint");
        long timeoutMs = command.timeoutMs();
        Registration registration = events.waitRegistration(endpoint, timeoutMs);
        if (registration == null) {
            throw new CommandException(
                    CommandException.Kind.TIMEOUT, endpoint + " did not register within " + timeoutMs + " ms");
        }
        return Views.registration(registration);
    }

    private ArrayNode registrations() {
        ArrayNode all = Lines.JSON.createArrayNode();
        server.leshan.getRegistrationService().getAllRegistrations()
                .forEachRemaining(registration -> all.add(Views.registration(registration)));
        return all;
    }

    private ObjectNode addPsk(Command command) throws CommandException {
        try {
            byte[] key = HexFormat.of().parseHex(command.text("keyHex"));
            server.security.add(SecurityInfo.newPreSharedKeyInfo(
                    command.text("endpoint"), command.text("identity"), key));
            return Lines.object();
        } catch (NonUniqueSecurityInfoException e) {
            throw Command.wrong("identity", e.getMessage());
        } catch (IllegalArgumentException e) {
            // The text of the exception may quote the key.
            throw Command.wrong("keyHex", "expected hexadecimal digits");
        }
    }
}
