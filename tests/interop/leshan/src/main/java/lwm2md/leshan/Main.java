package lwm2md.leshan;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.eclipse.leshan.core.endpoint.Protocol;

/**
 * A Leshan server that is driven by JSON lines: a command a line on standard input, answers and
 * events on standard output, logs on standard error. README.md describes the lines.
 */
public final class Main {
    /** Leshan's own value: MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2. */
    private static final int DEFAULT_AWAKE_MS = 93_000;
    private static final int ANY_PORT = 0;

    private Main() {}

    /**
     * Runs until standard input ends, so that no server outlives the test that started it.
     *
     * @param args {@code [--models DIR] [--awake MILLISECONDS] [--coap-port PORT]}
     */
    public static void main(String[] args) {
        int status = 0;
        try {
            run(args);
        } catch (IOException | RuntimeException | LinkageError e) {
            e.printStackTrace();
            status = 1;
        }
        // Californium's threads would keep a server alive whose main thread has failed.
        System.exit(status);
    }

    private static void run(String[] args) throws IOException {
        Path models = null;
        int awakeMs = DEFAULT_AWAKE_MS;
        int coapPort = ANY_PORT;
        for (int i = 0; i < args.length; i += 2) {
            String value = i + 1 < args.length ? args[i + 1] : null;
            if (value != null && args[i].equals("--models")) {
                models = Path.of(value);
            } else if (value != null && args[i].equals("--awake") && value.matches("[0-9]{1,9}")) {
                awakeMs = Integer.parseInt(value);
            } else if (value != null && args[i].equals("--coap-port") && value.matches("[0-9]{1,5}")) {
                coapPort = Integer.parseInt(value);
            } else {
                throw new IllegalArgumentException(
                        "usage: [--models DIR] [--awake MILLISECONDS] [--coap-port PORT]");
            }
        }
        PrintStream out = System.out;
        // Nothing that a library prints may stand between the JSON lines.
        System.setOut(System.err);
        serve(new TestServer(models, awakeMs, coapPort), new Lines(out));
    }

    private static void serve(TestServer server, Lines lines) throws IOException {
        Events events = Events.listen(server.leshan, lines);
        server.start(lines);
        lines.write(Lines.object()
                .put("event", "ready")
                .put("coap", server.port(Protocol.COAP))
                .put("coaps", server.port(Protocol.COAPS)));

        Commands commands = new Commands(server, events);
        // A command that waits for its device must not hold up the next one.
        ExecutorService workers = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String command = line;
            workers.execute(() -> lines.write(commands.answer(command)));
        }
        workers.shutdownNow();
        server.leshan.destroy();
    }
}
