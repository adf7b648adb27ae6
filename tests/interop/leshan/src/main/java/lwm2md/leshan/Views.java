package lwm2md.leshan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HexFormat;
import org.eclipse.californium.core.coap.Response;
import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.link.attributes.Attribute;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.TimestampedLwM2mNode;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.server.registration.Registration;

/** Registrations and answers as JSON. */
final class Views {
    private Views() {}

    static ObjectNode registration(Registration registration) {
        ObjectNode view = Lines.object()
                .put("endpoint", registration.getEndpoint())
                .put("registrationId", registration.getId())
                .put("version", registration.getLwM2mVersion().toString())
                .put("lifetime", registration.getLifeTimeInSec())
                .put("binding", BindingMode.toString(registration.getBindingMode()))
                // LwM2M 1.0 says it in the binding, 1.1 in a parameter of its own.
                .put("queueMode", registration.usesQueueMode())
                .put("address", registration.getAddress().getHostAddress() + ":" + registration.getPort())
                .put("scheme", registration.getEndpointUri().getScheme())
                .put("rootPath", registration.getRootPath())
                .put("sms", registration.getSmsNumber());
        ArrayNode formats = view.putArray("formats");
        for (ContentFormat format : registration.getSupportedContentFormats()) {
            formats.add(format.getCode());
        }
        view.set("links", links(registration.getSortedObjectLinks()));
        ObjectNode others = view.putObject("otherParameters");
        registration.getAdditionalRegistrationAttributes().forEach(others::put);
        return view;
    }

    static ArrayNode links(Link[] links) {
        ArrayNode view = Lines.JSON.createArrayNode();
        for (Link link : links) {
            ObjectNode attributes = view.addObject().put("uri", link.getUriReference()).putObject("attributes");
            for (Attribute attribute : link.getAttributes()) {
                attributes.put(attribute.getName(), attribute.hasValue() ? attribute.getCoreLinkValue() : null);
            }
        }
        return view;
    }

    /** An answer to a request for {@code path}: CoAP's view of it, then Leshan's. */
    static ObjectNode response(LwM2mPath path, LwM2mResponse response) {
        ObjectNode view = Lines.object();
        // Not response.getCode(): Leshan turns the answers 2.05 and 2.04 to an Observe into one.
        if (response.getCoapResponse() instanceof Response coap) {
            view.put("code", coap.getCode().toString());
            if (coap.getOptions().hasContentFormat()) {
                view.put("format", coap.getOptions().getContentFormat());
            }
            if (coap.getOptions().hasObserve()) {
                view.put("observe", coap.getOptions().getObserve());
            }
            if (coap.getOptions().getLocationPathCount() > 0) {
                view.put("location", "/" + coap.getOptions().getLocationPathString());
            }
            view.put("payloadHex", HexFormat.of().formatHex(coap.getPayload()));
        }
        if (response.getErrorMessage() != null && !response.getErrorMessage().isEmpty()) {
            view.put("message", response.getErrorMessage());
        }
        if (response instanceof ReadResponse read) {
            values(path, read, view.putArray("values"));
        } else if (response instanceof DiscoverResponse discover && discover.getObjectLinks() != null) {
            view.set("links", links(discover.getObjectLinks()));
        }
        return view;
    }

    /** The values of an answer or notification, newest first where it carries a history. */
    private static void values(LwM2mPath path, ReadResponse response, ArrayNode into) {
        if (response instanceof ObserveResponse observed && observed.getTimestampedLwM2mNodes() != null) {
            for (TimestampedLwM2mNode sample : observed.getTimestampedLwM2mNodes()) {
                int first = into.size();
                Values.flatten(path, sample.getNode(), into);
                if (sample.isTimestamped()) {
                    double seconds = sample.getTimestamp().toEpochMilli() / 1000.0;
                    for (int i = first; i < into.size(); i++) {
                        ((ObjectNode) into.get(i)).put("time", seconds);
                    }
                }
            }
        } else if (response.getContent() != null) {
            Values.flatten(path, response.getContent(), into);
        }
    }
}
