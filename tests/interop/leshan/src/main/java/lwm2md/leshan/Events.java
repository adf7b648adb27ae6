package lwm2md.leshan;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collection;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.queue.PresenceListener;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationService;
import org.eclipse.leshan.server.registration.RegistrationUpdate;

/** What happens without being asked for, as lines with an {@code event}. */
final class Events implements RegistrationListener, PresenceListener, ObservationListener {
    private final Lines lines;
    private final RegistrationService registrations;

    private Events(Lines lines, RegistrationService registrations) {
        this.lines = lines;
        this.registrations = registrations;
    }

    static Events listen(LeshanServer server, Lines lines) {
        Events events = new Events(lines, server.getRegistrationService());
        server.getRegistrationService().addListener(events);
        server.getPresenceService().addListener(events);
        server.getObservationService().addListener(events);
        return events;
    }

    /** Waits until {@code endpoint} is registered; null after {@code timeoutMs}. */
    synchronized Registration waitRegistration(String endpoint, long timeoutMs) throws InterruptedException {
        long end = System.nanoTime() + timeoutMs * 1_000_000L;
        while (true) {
            Registration registration = registrations.getByEndpoint(endpoint);
            long leftMs = (end - System.nanoTime()) / 1_000_000L;
            if (registration != null || leftMs <= 0) {
                return registration;
            }
            wait(leftMs);
        }
    }

    @Override
    public void registered(Registration registration, Registration previous, Collection<Observation> dropped) {
        ObjectNode line = event("registered", registration);
        line.set("registration", Views.registration(registration));
        lines.write(line.put("isReplacement", previous != null));
        synchronized (this) {
            notifyAll();
        }
    }

    @Override
    public void updated(RegistrationUpdate update, Registration registration, Registration previous) {
        ObjectNode line = event("updated", registration);
        line.set("registration", Views.registration(registration));
        lines.write(line);
    }

    @Override
    public void unregistered(
            Registration registration, Collection<Observation> dropped, boolean expired, Registration replacement) {
        // A replaced registration is told as `registered` with isReplacement.
        if (replacement == null) {
            lines.write(event("unregistered", registration).put("expired", expired));
        }
    }

    @Override
    public void onAwake(Registration registration) {
        lines.write(event("awake", registration));
    }

    @Override
    public void onSleeping(Registration registration) {
        lines.write(event("sleeping", registration));
    }

    @Override
    public void newObservation(Observation observation, Registration registration) {
        // The answer to the observe command says it.
    }

    @Override
    public void cancelled(Observation observation) {
        if (observation instanceof SingleObservation single) {
            lines.write(Lines.object()
                    .put("event", "observationCancelled")
                    .put("path", single.getPath().toString()));
        }
    }

    @Override
    public void onResponse(SingleObservation observation, Registration registration, ObserveResponse response) {
        LwM2mPath path = observation.getPath();
        lines.write(event("notification", registration)
                .put("path", path.toString())
                .setAll(Views.response(path, response)));
    }

    @Override
    public void onResponse(
            CompositeObservation observation, Registration registration, ObserveCompositeResponse response) {
        // No command starts a composite observation.
    }

    @Override
    public void onError(Observation observation, Registration registration, Exception error) {
        ObjectNode line = Lines.object().put("event", "notificationError");
        if (registration != null) {
            line.put("endpoint", registration.getEndpoint());
        }
        if (observation instanceof SingleObservation single) {
            line.put("path", single.getPath().toString());
        }
        lines.write(line.put("error", String.valueOf(error.getMessage())));
    }

    private static ObjectNode event(String name, Registration registration) {
        return Lines.object().put("event", name).put("endpoint", registration.getEndpoint());
    }
}
