//! The keys of the configuration: the one place that lists them.

use lwm2m_objects::{MAX_ALTITUDE, MAX_APP_DATA, MAX_LATITUDE, MAX_LONGITUDE};
use lwm2m_security::MAX_IDENTITY;

use super::shape::Built::{Here, NotYet};
use super::shape::Need::{Optional, Required};
use super::shape::{Built, Field, Need, Shape, Word};

const fn field(
    name: &'static str,
    shape: Shape,
    need: Need,
    built: Built,
    help: &'static str,
) -> Field {
    Field { name, shape, need, built, help }
}

const fn word(name: &'static str, built: Built) -> Word {
    Word { name, built }
}

/// Longest text of a value that goes into an object or an URI query.
pub(crate) const MAX_TEXT: usize = 255;
/// Longest path or name of a credential.
pub(crate) const MAX_PATH: usize = 4095;

const TEXT: Shape = Shape::Text { max: MAX_TEXT };
const PATH: Shape = Shape::Text { max: MAX_PATH };
const SECONDS: Shape = Shape::Integer { min: 0, max: u32::MAX as u64 };
const POSITIVE: Shape = Shape::Integer { min: 1, max: u32::MAX as u64 };
/// Less is no time for one attempt and the pause after it.
const PATIENCE: Shape = Shape::Integer { min: 60, max: u32::MAX as u64 };
const ANYTHING: Shape = Shape::Map(&[]);

const VERSIONS: Shape = Shape::Choice(&[word("1.0", Here), word("1.1", Here), word("1.2", Here)]);

/// The whole configuration.
pub(crate) static ROOT: Shape = Shape::Map(FIELDS);

#[rustfmt::skip] // a table: one row a key
const FIELDS: &[Field] = &[
    field("endpoint", TEXT, Optional, Here, "Endpoint Client Name; by default urn:uuid: and an identifier derived from the machine-id"),
    field("lwm2m_version", VERSIONS, Optional, Here, "Highest LwM2M version to offer, 1.2 by default"),
    field("min_lwm2m_version", VERSIONS, Optional, Here, "Lowest LwM2M version to step down to, 1.1 by default"),
    field("deregister_on_stop", Shape::Boolean, Optional, Here, "Say farewell to the servers when the service stops, false by default"),
    field("servers", Shape::List(&SERVER), Optional, Here, "LwM2M Server accounts"),
    field("bootstrap", ANYTHING, Optional, NotYet, "LwM2M Bootstrap-Server account"),
    field("objects", Shape::Map(OBJECTS), Optional, Here, "Settings of the objects"),
    field("plugins", ANYTHING, Optional, NotYet, "Objects served by other programs"),
];

static SERVER: Shape = Shape::Map(SERVER_FIELDS);

#[rustfmt::skip] // a table: one row a key
const SERVER_FIELDS: &[Field] = &[
    field("short_server_id", Shape::Integer { min: 1, max: 65534 }, Required, Here, "Short Server ID, another for each server"),
    field("uri", TEXT, Required, Here, "Server URI, coaps://host or coap://host, with :port if it is not the usual one"),
    field("lifetime", SECONDS, Optional, Here, "Registration lifetime in seconds, 86400 by default; 0 is for ever"),
    field("binding", Shape::Text { max: 8 }, Optional, Here, "Binding letters, U by default"),
    field("queue_mode", Shape::Boolean, Optional, Here, "Sleep between exchanges, false by default"),
    field("awake_time", POSITIVE, Optional, Here, "Seconds to stay awake after the last message in queue mode, 93 by default"),
    field("default_pmin", SECONDS, Optional, Here, "Default Minimum Period of notifications in seconds"),
    field("default_pmax", SECONDS, Optional, Here, "Default Maximum Period of notifications in seconds; 0 is none"),
    field("disable_timeout", SECONDS, Optional, Here, "Seconds for which Disable lasts, 86400 by default"),
    field("notification_storing", Shape::Boolean, Optional, Here, "Keep notifications while the server cannot be reached, true by default"),
    field("confirmable_notifications", Shape::Boolean, Optional, Here, "Have notifications acknowledged, false by default"),
    field("retry", Shape::Map(RETRY), Optional, Here, "How a failed registration is tried again"),
    field("security", Shape::Map(SECURITY), Required, Here, "How the connection is secured"),
];

#[rustfmt::skip] // a table: one row a key
const RETRY: &[Field] = &[
    field("count", POSITIVE, Optional, Here, "Attempts in one sequence, 5 by default"),
    field("timer", POSITIVE, Optional, Here, "Seconds before the second attempt, doubled after each, 60 by default"),
    field("sequence_delay", SECONDS, Optional, Here, "Seconds between two sequences, 86400 by default"),
    field("sequence_count", POSITIVE, Optional, Here, "Sequences before the registration counts as failed, 1 by default"),
];

#[rustfmt::skip] // a table: one row a key
const SECURITY: &[Field] = &[
    field("mode", Shape::Choice(MODES), Required, Here, "Security mode"),
    field("identity", Shape::Text { max: MAX_IDENTITY }, Optional, Here, "Identity that goes with the pre-shared key"),
    field("key", Shape::OneOf(KEY_SOURCES), Optional, Here, "Where the pre-shared key comes from"),
];

const MODES: &[Word] = &[
    word("psk", Here),
    word("nosec", Here),
    word("rpk", NotYet),
    word("x509", NotYet),
    word("est", NotYet),
];

#[rustfmt::skip] // a table: one row a key
const KEY_SOURCES: &[Field] = &[
    field("credential", PATH, Optional, Here, "Name of a systemd credential"),
    field("file", PATH, Optional, Here, "A file of raw bytes or hexadecimal digits, readable by its owner alone"),
    field("hex", Shape::Secret, Optional, Here, "The key itself in hexadecimal digits"),
    field("base64", Shape::Secret, Optional, Here, "The key itself in base64"),
    field("pkcs11", ANYTHING, Optional, NotYet, "A key in hardware"),
];

#[rustfmt::skip] // a table: one row a key
const OBJECTS: &[Field] = &[
    field("device", Shape::Map(DEVICE), Optional, Here, "Object 3; what is left out is found out from the system"),
    field("location", Shape::Map(LOCATION), Optional, Here, "Object 6, which is there only with a source"),
    field("sensors", Shape::Boolean, Optional, Here, "Objects 3301, 3303, 3304, 3315, 3316, 3317 and 3328 of the sensors of the system, false by default"),
    field("lock_and_wipe", Shape::Map(LOCK_AND_WIPE), Optional, Here, "Object 8, which is there only with a target"),
    field("portfolio", Shape::List(&TEXT), Optional, Here, "Identities of Object 16, which is there only with one"),
    field("binary_app_data", Shape::Map(APP_DATA), Optional, Here, "Object 19, which is there only if this is, however empty"),
    field("event_log", Shape::Choice(LOGS), Optional, Here, "What Object 20 shows, none by default, which means no such object"),
    field("firmware", Shape::Map(FIRMWARE), Optional, Here, "Object 5, which is there only with a back end"),
];

#[rustfmt::skip] // a table: one row a key
const LOCATION: &[Field] = &[
    field("source", Shape::Choice(POSITIONS), Required, Here, "Where the position comes from"),
    field("address", TEXT, Optional, Here, "host:port of gpsd, 127.0.0.1:2947 by default"),
    field("latitude", Shape::Number { limit: MAX_LATITUDE }, Optional, Here, "Degrees of WGS 84, north positive; fixed"),
    field("longitude", Shape::Number { limit: MAX_LONGITUDE }, Optional, Here, "Degrees of WGS 84, east positive; fixed"),
    field("altitude", Shape::Number { limit: MAX_ALTITUDE }, Optional, Here, "Metres above sea level; fixed"),
];

#[rustfmt::skip] // a table: one row a key
const LOCK_AND_WIPE: &[Field] = &[
    field("lock", Shape::List(&TEXT), Optional, Here, "What State locks: files in /usr/lib/lwm2md/locks.d"),
    field("wipe", Shape::List(&TEXT), Optional, Here, "What Wipe may erase: files in /usr/lib/lwm2md/locks.d"),
];

#[rustfmt::skip] // a table: one row a key
const APP_DATA: &[Field] = &[
    field("limit", Shape::Integer { min: 1, max: MAX_APP_DATA as u64 }, Optional, Here, "Bytes of one Data at most, 4096 by default"),
    field("persistent", Shape::Boolean, Optional, Here, "Whether the data outlives the agent, true by default; each change is written to the disk then"),
];

const LOGS: &[Word] = &[word("journal", Here), word("none", Here)];

pub(super) const POSITIONS: &[Word] =
    &[word("gpsd", Here), word("fixed", Here), word("modemmanager", Here), word("geoclue", Here)];

#[rustfmt::skip] // a table: one row a key
const FIRMWARE: &[Field] = &[
    field("backend", Shape::Choice(BACKENDS), Required, Here, "What installs packages"),
    field("path", PATH, Optional, Here, "Where the back end file puts a package; the directory must exist"),
    field("name", TEXT, Optional, Here, "The script of the back end script: a file in /usr/lib/lwm2md/backends.d"),
    field("downgrade", Shape::Choice(DOWNGRADES), Optional, Here, "What becomes of a package that is older than what runs, allow by default; rauc and script"),
    field("streaming", Shape::Boolean, Optional, Here, "Whether RAUC reads packages of http and https itself while it installs, false by default; rauc"),
    field("sources", Shape::List(&SOURCE), Optional, Here, "What proves the device to origins of packages"),
    field("download_patience", PATIENCE, Optional, Here, "Seconds without anything new before a download is given up, 86400 by default"),
    field("confirm", Shape::Choice(CONFIRMATIONS), Optional, Here, "What a new system has to show before it is kept, registered by default"),
    field("trial", Shape::Integer { min: 60, max: 86_400 }, Optional, Here, "Seconds from its boot that a new system has for it, 900 by default"),
    field("defer", POSITIVE, Optional, Here, "Seconds for which somebody on the device may put an update off, unless the server writes a Maximum Defer Period; without it nobody is asked"),
];

const CONFIRMATIONS: &[Word] = &[word("registered", Here)];

const DOWNGRADES: &[Word] = &[word("allow", Here), word("refuse", Here)];

static SOURCE: Shape = Shape::Map(SOURCE_FIELDS);

#[rustfmt::skip] // a table: one row a key
const SOURCE_FIELDS: &[Field] = &[
    field("origin", TEXT, Required, Here, "scheme://host, with :port if it is not the usual one, of https, http or coaps"),
    field("ca", PATH, Optional, Here, "A file of the certificates to trust, in PEM, instead of the system's store; https"),
    field("user", TEXT, Optional, Here, "User of HTTP, with a password"),
    field("password", Shape::OneOf(TEXT_SECRETS), Optional, Here, "Where the password of HTTP comes from"),
    field("token", Shape::OneOf(TEXT_SECRETS), Optional, Here, "Where a bearer token comes from, instead of user and password"),
    field("certificate", PATH, Optional, Here, "A file with the certificate of the device and its chain, in PEM, with a key; https"),
    field("key", Shape::OneOf(TEXT_SECRETS), Optional, Here, "Where the key of the certificate comes from, in PEM"),
    field("security", Shape::Map(SECURITY), Optional, Here, "How the connection is secured; coaps"),
];

#[rustfmt::skip] // a table: one row a key
const TEXT_SECRETS: &[Field] = &[
    field("credential", PATH, Optional, Here, "Name of a systemd credential"),
    field("file", PATH, Optional, Here, "A file with the text, readable by its owner alone"),
    field("hex", Shape::Secret, Optional, Here, "The text itself in hexadecimal digits"),
    field("base64", Shape::Secret, Optional, Here, "The text itself in base64"),
];

pub(super) const BACKENDS: &[Word] =
    &[word("rauc", Here), word("script", Here), word("file", Here), word("none", Here)];

#[rustfmt::skip] // a table: one row a key
const DEVICE: &[Field] = &[
    field("manufacturer", TEXT, Optional, Here, "Manufacturer"),
    field("model", TEXT, Optional, Here, "Model Number"),
    field("serial", Shape::TextOr { max: MAX_TEXT, other: TEXT_SOURCES }, Optional, Here, "Serial Number, or where to find it"),
    field("device_type", TEXT, Optional, Here, "Device Type"),
    field("hardware_version", TEXT, Optional, Here, "Hardware Version"),
    field("software_version", TEXT, Optional, Here, "Software Version"),
];

#[rustfmt::skip] // a table: one row a key
const TEXT_SOURCES: &[Field] = &[
    field("credential", PATH, Optional, Here, "Name of a systemd credential"),
    field("file", PATH, Optional, Here, "A file with one line of text"),
];
