package lwm2md.leshan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.InetSocketAddress;
import java.util.LinkedHashMap;
import java.util.Map;
import org.eclipse.californium.core.coap.EmptyMessage;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.californium.core.coap.Response;
import org.eclipse.californium.core.coap.Token;
import org.eclipse.californium.core.network.interceptors.MessageInterceptor;

/**
 * Tells every request of a device with the answer it got, below Leshan: an {@code answered} event.
 *
 * <p>Leshan's listeners hear of accepted requests alone; a refused Register shows only here.
 */
final class UplinkTrace implements MessageInterceptor {
    /** Requests that wait for their answer; the oldest is forgotten. */
    private static final int MAX_PENDING = 256;

    private record Key(InetSocketAddress peer, Token token) {}

    private final Lines lines;
    private final Map<Key, Request> pending = new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, Request> eldest) {
            return size() > MAX_PENDING;
        }
    };

    UplinkTrace(Lines lines) {
        this.lines = lines;
    }

    @Override
    public synchronized void receiveRequest(Request request) {
        pending.put(new Key(request.getSourceContext().getPeerAddress(), request.getToken()), request);
    }

    @Override
    public synchronized void sendResponse(Response response) {
        Key key = new Key(response.getDestinationContext().getPeerAddress(), response.getToken());
        // Taken out, so that a retransmitted answer is not told again.
        Request request = pending.remove(key);
        if (request == null) {
            return;
        }
        ObjectNode line = Lines.object()
                .put("event", "answered")
                .put("method", String.valueOf(request.getCode()))
                .put("path", "/" + request.getOptions().getUriPathString())
                .put("code", response.getCode().toString())
                .put("location", response.getOptions().getLocationPathString());
        ArrayNode query = line.putArray("query");
        request.getOptions().getUriQueryStrings().forEach(query::add);
        if (response.getCode().isClientError() || response.getCode().isServerError()) {
            line.put("message", response.getPayloadString());
        }
        lines.write(line);
    }

    @Override
    public void sendRequest(Request request) {
        // Requests to the device are the tests' own.
    }

    @Override
    public void receiveResponse(Response response) {
        // Comes back as the result of a command or as a notification.
    }

    @Override
    public void sendEmptyMessage(EmptyMessage message) {
        // Acknowledgements and resets carry nothing to tell.
    }

    @Override
    public void receiveEmptyMessage(EmptyMessage message) {
        // A Reset comes back as an error of kind `rejected`.
    }
}
