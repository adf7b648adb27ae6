package lwm2md.leshan;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.leshan.core.link.attributes.InvalidAttributeException;
import org.eclipse.leshan.core.link.lwm2m.attributes.DefaultLwM2mAttributeParser;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributeSet;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.CancelObservationRequest;
import org.eclipse.leshan.core.request.CreateRequest;
import org.eclipse.leshan.core.request.DeleteRequest;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkDeviceManagementRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.request.exception.ClientSleepingException;
import org.eclipse.leshan.core.request.exception.InvalidRequestException;
import org.eclipse.leshan.core.request.exception.InvalidResponseException;
import org.eclipse.leshan.core.request.exception.RequestRejectedException;
import org.eclipse.leshan.core.request.exception.UnconnectedPeerException;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.registration.Registration;

/** The commands that send a request to a device and wait for its answer. */
final class DeviceRequests {
    private final LeshanServer server;

    DeviceRequests(LeshanServer server) {
        this.server = server;
    }

    ObjectNode read(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        return send(command, path, new ReadRequest(command.format(), path, null));
    }

    ObjectNode write(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        WriteRequest.Mode mode =
                switch (command.textOr("mode", "replace")) {
                    case "replace" -> WriteRequest.Mode.REPLACE;
                    case "update" -> WriteRequest.Mode.UPDATE;
                    default -> throw Command.wrong("mode", "expected replace or update");
                };
        return send(command, path, new WriteRequest(mode, command.format(), path, Values.node(path, command)));
    }

    /** At an instance, or at an object: then the device chooses the number, which Leshan can say in TLV alone. */
    ObjectNode create(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        CreateRequest request;
        if (path.isObject()) {
            LwM2mResource[] resources =
                    Values.newInstance(path, command).getResources().values().toArray(LwM2mResource[]::new);
            request = new CreateRequest(command.format(), path.getObjectId(), resources);
        } else {
            request = new CreateRequest(command.format(), path.getObjectId(), Values.newInstance(path, command));
        }
        return send(command, path, request);
    }

    /** Leshan deletes instances alone; {@code send} puts the whole path in, as for what lies below one. */
    ObjectNode delete(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        if (path.getObjectInstanceId() == null) {
            throw Command.wrong("path", path + " is no instance and nothing below one");
        }
        return send(command, path, new DeleteRequest(path.getObjectId(), path.getObjectInstanceId()));
    }

    /** Attributes that Leshan knows go through its own parser; others are an extra query. */
    ObjectNode writeAttributes(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        try {
            LwM2mAttributeSet attributes = new LwM2mAttributeSet(
                    new DefaultLwM2mAttributeParser().parseUriQuery(command.text("attributes")));
            return send(command, path, new WriteAttributesRequest(path, attributes));
        } catch (InvalidAttributeException e) {
            throw Command.wrong("attributes", e.getMessage());
        }
    }

    ObjectNode discover(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        return send(command, path, new DiscoverRequest(path.toString()));
    }

    ObjectNode execute(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        return send(command, path, new ExecuteRequest(path.toString(), command.textOr("args", null)));
    }

    ObjectNode observe(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        return send(command, path, new ObserveRequest(command.format(), path, null));
    }

    /**
     * Ends the observation of a path. {@code active} asks the device; {@code passive} only forgets,
     * so that the next notification is answered with a Reset.
     */
    ObjectNode cancelObserve(Command command) throws CommandException, InterruptedException {
        LwM2mPath path = command.path();
        SingleObservation observation = observation(registration(command), path);
        ObjectNode result =
                switch (command.text("how")) {
                    case "active" -> send(command, path, new CancelObservationRequest(observation));
                    case "passive" -> Lines.object();
                    default -> throw Command.wrong("how", "expected active or passive");
                };
        // After an active cancellation too: Leshan keeps the observation in its store.
        server.getObservationService().cancelObservation(observation);
        return result;
    }

    private SingleObservation observation(Registration registration, LwM2mPath path) throws CommandException {
        for (Observation observation : server.getObservationService().getObservations(registration)) {
            if (observation instanceof SingleObservation single && single.getPath().equals(path)) {
                return single;
            }
        }
        throw Command.wrong("path", path + " is not observed");
    }

    private Registration registration(Command command) throws CommandException {
        String endpoint = command.text("endpoint");
        Registration registration = server.getRegistrationService().getByEndpoint(endpoint);
        if (registration == null) {
            throw new CommandException(CommandException.Kind.NOT_REGISTERED, endpoint + " is not registered");
        }
        return registration;
    }

    private <T extends LwM2mResponse> ObjectNode send(
            Command command, LwM2mPath path, DownlinkDeviceManagementRequest<T> request)
            throws CommandException, InterruptedException {
        List<String> query = command.query();
        boolean isConfirmable = command.isConfirmable();
        Registration registration = registration(command);
        long timeoutMs = command.timeoutMs();
        T response;
        try {
            response = server.send(registration, request, message -> {
                Request coap = (Request) message;
                if (request instanceof DeleteRequest) {
                    coap.getOptions().setUriPath(path.toString().substring(1));
                }
                query.forEach(option -> coap.getOptions().addUriQuery(option));
                coap.setConfirmable(isConfirmable);
            }, timeoutMs);
        } catch (RequestRejectedException e) {
            throw new CommandException(CommandException.Kind.REJECTED, e.getMessage());
        } catch (ClientSleepingException e) {
            throw new CommandException(CommandException.Kind.SLEEPING, e.getMessage());
        } catch (UnconnectedPeerException e) {
            throw new CommandException(CommandException.Kind.UNCONNECTED, e.getMessage());
        } catch (InvalidResponseException e) {
            throw new CommandException(CommandException.Kind.INVALID_RESPONSE, e.getMessage());
        }
        if (response == null) {
            throw new CommandException(
                    CommandException.Kind.TIMEOUT, "no answer for " + path + " within " + timeoutMs + " ms");
        }
        return Views.response(path, response);
    }

    /** What a request that Leshan refuses to build or to send is called. */
    static CommandException refused(InvalidRequestException error) {
        return new CommandException(CommandException.Kind.INVALID_REQUEST, error.getMessage());
    }
}
