package lwm2md.leshan;

/** A command that has no result; the kind lets a test tell a time-out from a refusal. */
final class CommandException extends Exception {
    private static final long serialVersionUID = 1L;

    /** The `kind` of an error line. */
    enum Kind {
        /** The command itself is wrong. */
        BAD_COMMAND("badCommand"),
        /** No device of that name is registered. */
        NOT_REGISTERED("notRegistered"),
        /** Nothing came in time. */
        TIMEOUT("timeout"),
        /** The device answered with a Reset. */
        REJECTED("rejected"),
        /** The device is in queue mode and asleep; nothing was sent. */
        SLEEPING("sleeping"),
        /** There is no way to the device: its DTLS session is gone. */
        UNCONNECTED("unconnected"),
        /** Leshan refuses to send such a request. */
        INVALID_REQUEST("invalidRequest"),
        /** Leshan could not decode what the device answered. */
        INVALID_RESPONSE("invalidResponse"),
        /** Anything else, with its Java class in the text. */
        OTHER("other");

        final String json;

        Kind(String json) {
            this.json = json;
        }
    }

    final Kind kind;

    CommandException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }
}
