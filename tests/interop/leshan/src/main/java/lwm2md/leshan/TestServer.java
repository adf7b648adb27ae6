package lwm2md.leshan;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.Endpoint;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.model.InvalidDDFFileException;
import org.eclipse.leshan.core.model.InvalidModelException;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.model.VersionedModelProvider;
import org.eclipse.leshan.server.queue.StaticClientAwakeTimeProvider;
import org.eclipse.leshan.server.registration.InMemoryRegistrationStore;
import org.eclipse.leshan.servers.security.InMemorySecurityStore;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coaps.CoapsServerProtocolProvider;

/** A Leshan server on loopback with a CoAP and a DTLS endpoint. */
final class TestServer {
    /** Looks for expired registrations every second, so that a test of a lifetime is short. */
    private static final long EXPIRY_CHECK_SECONDS = 1;
    /** Leshan gives up silently on a longer block-wise answer; its own default is 8 KiB. */
    private static final int MAX_BODY_BYTES = 1 << 20;

    final LeshanServer leshan;
    final InMemorySecurityStore security = new InMemorySecurityStore();
    private final CaliforniumServerEndpointsProvider endpoints;

    /**
     * @param models a directory of object definitions, or null for Leshan's own alone
     * @param awakeMs how long a device in queue mode stays awake, in milliseconds
     * @param coapPort where the CoAP endpoint listens, 0 for a free port as the DTLS one has
     */
    TestServer(Path models, int awakeMs, int coapPort) throws IOException {
        var builder = new CaliforniumServerEndpointsProvider.Builder(
                new CoapServerProtocolProvider(), new CoapsServerProtocolProvider());
        Configuration configuration = builder.createDefaultConfiguration();
        configuration.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, MAX_BODY_BYTES);
        builder.setConfiguration(configuration);
        builder.addEndpoint("coap://127.0.0.1:" + coapPort);
        builder.addEndpoint("coaps://127.0.0.1:0");
        endpoints = builder.build();
        leshan = new LeshanServerBuilder()
                .setEndpointsProviders(endpoints)
                .setSecurityStore(security)
                .setObjectModelProvider(new VersionedModelProvider(models(models).values()))
                .setClientAwakeTimeProvider(new StaticClientAwakeTimeProvider(awakeMs))
                .setRegistrationStore(new InMemoryRegistrationStore(EXPIRY_CHECK_SECONDS))
                .build();
    }

    void start(Lines lines) {
        leshan.start();
        for (Endpoint endpoint : endpoints.getCoapServer().getEndpoints()) {
            endpoint.addInterceptor(new UplinkTrace(lines));
        }
    }

    int port(Protocol protocol) {
        return leshan.getEndpoint(protocol).getURI().getPort();
    }

    /** By id and version; a definition of the directory takes the place of Leshan's. */
    private static Map<String, ObjectModel> models(Path directory) throws IOException {
        Map<String, ObjectModel> models = new LinkedHashMap<>();
        ObjectLoader.loadAllDefault().forEach(model -> models.put(key(model), model));
        if (directory != null) {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "*.xml")) {
                for (Path file : files) {
                    load(file).forEach(model -> models.put(key(model), model));
                }
            }
        }
        return models;
    }

    private static String key(ObjectModel model) {
        return model.id + "/" + model.version;
    }

    /** Without the check against the schema: it refuses objects of the public registry. */
    private static Iterable<ObjectModel> load(Path file) throws IOException {
        try (InputStream stream = Files.newInputStream(file)) {
            return ObjectLoader.loadDdfFile(stream, file.toString(), false);
        } catch (InvalidModelException | InvalidDDFFileException e) {
            throw new UncheckedIOException(new IOException(file + ": " + e.getMessage(), e));
        }
    }
}
