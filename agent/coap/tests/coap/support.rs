//! What the tests share: time, datagrams as text, a peer made of bytes.

use std::fmt::Write as _;
use std::time::Duration;

use lwm2m_coap::{
    CacheKey, Config, Draft, Endpoint, ExchangeId, Incoming, Kind, Message, Random, Token, method,
    option,
};
use lwm2m_model::{Code, Instant};

pub(crate) fn at(milliseconds: u64) -> Instant {
    Instant::from_boot(Duration::from_millis(milliseconds))
}

pub(crate) fn token(bytes: &[u8]) -> Token {
    Token::new(bytes).unwrap()
}

pub(crate) fn endpoint() -> Endpoint {
    endpoint_with(|_| {})
}

pub(crate) fn endpoint_with(change: impl FnOnce(&mut Config)) -> Endpoint {
    let mut config = Config::default();
    change(&mut config);
    Endpoint::new(config, Random::from_seed([7; 32]))
}

/// GET /3/0 with this message id; the token is the id.
pub(crate) fn get(kind: Kind, id: u16) -> Vec<u8> {
    read().encode(kind, id, token(&id.to_be_bytes()))
}

/// GET /3/0.
pub(crate) fn read() -> Draft {
    Draft::new(method::GET).option(option::URI_PATH, b"3").option(option::URI_PATH, b"0")
}

/// 2.05 with a text.
pub(crate) fn content(text: &str) -> Draft {
    with_payload(Draft::new(Code::CONTENT), text.as_bytes())
}

/// A draft with a payload whose format is not said.
pub(crate) fn with_payload(mut draft: Draft, payload: &[u8]) -> Draft {
    draft.payload = payload.to_vec();
    draft
}

/// Bytes that differ from place to place.
pub(crate) fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// The block of `body` with this number and size exponent, as a message.
pub(crate) fn part(draft: Draft, id: u16, body: &[u8], number: usize, szx: u32) -> Vec<u8> {
    let size = 16 << szx;
    let end = ((number + 1) * size).min(body.len());
    let more = u32::from(end < body.len());
    let draft = draft.option_uint(option::BLOCK1, (number as u32) << 4 | more << 3 | szx);
    let draft = with_payload(draft, &body[number * size..end]);
    draft.encode(Kind::Confirmable, id, token(&id.to_be_bytes()))
}

/// (number, more, size) of Block1.
pub(crate) fn block_of(message: &Message<'_>) -> (u32, bool, u32) {
    let value = message.option_uint(option::BLOCK1).unwrap();
    (value >> 4, value & 8 != 0, 16 << (value & 7))
}

/// An empty message.
pub(crate) fn empty(kind: Kind, id: u16) -> Vec<u8> {
    Draft::new(method::EMPTY).encode(kind, id, Token::default())
}

/// Hands a datagram in that has to be a request.
pub(crate) fn accept(endpoint: &mut Endpoint, now: Instant, datagram: &[u8]) -> ExchangeId {
    accept_with_key(endpoint, now, datagram).0
}

pub(crate) fn accept_with_key(
    endpoint: &mut Endpoint,
    now: Instant,
    datagram: &[u8],
) -> (ExchangeId, CacheKey) {
    match endpoint.handle_datagram(now, datagram) {
        Some(Incoming::Request { exchange, key, .. }) => (exchange, key),
        other => panic!("expected a request, got {other:?}"),
    }
}

/// Hands a datagram in that must bring nothing.
pub(crate) fn swallow(endpoint: &mut Endpoint, now: Instant, datagram: &[u8]) {
    if let Some(incoming) = endpoint.handle_datagram(now, datagram) {
        panic!("expected nothing, got {incoming:?}");
    }
}

/// Everything that waits to be sent.
pub(crate) fn sent(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| endpoint.poll_transmit()).collect()
}

/// The one datagram that waits to be sent.
#[track_caller]
pub(crate) fn sent_one(endpoint: &mut Endpoint) -> Vec<u8> {
    let mut all = sent(endpoint);
    assert_eq!(all.len(), 1, "{:?}", all.iter().map(|one| show(one)).collect::<Vec<_>>());
    all.remove(0)
}

/// Everything that waits to be sent, as text.
pub(crate) fn shown(endpoint: &mut Endpoint) -> Vec<String> {
    sent(endpoint).iter().map(|datagram| show(datagram)).collect()
}

/// `CON 0.01 #258 t0102 payload`; id and token of our own messages as they are.
pub(crate) fn show(datagram: &[u8]) -> String {
    let message = decode(datagram);
    let kind = match message.kind {
        Kind::Confirmable => "CON",
        Kind::NonConfirmable => "NON",
        Kind::Acknowledgement => "ACK",
        Kind::Reset => "RST",
    };
    let mut text = format!("{kind} {} #{}", message.code, message.id);
    if !message.token.as_bytes().is_empty() {
        text.push_str(" t");
        for byte in message.token.as_bytes() {
            write!(text, "{byte:02x}").unwrap();
        }
    }
    if !message.payload.is_empty() {
        write!(text, " {}", String::from_utf8_lossy(&message.payload)).unwrap();
    }
    text
}

#[track_caller]
pub(crate) fn decode(datagram: &[u8]) -> Message<'_> {
    Message::decode(datagram).unwrap()
}

/// Lets time run to `until`, waking the endpoint exactly when it asks for it;
/// gives each datagram with the time it was sent, in milliseconds.
pub(crate) fn run(endpoint: &mut Endpoint, until: Instant) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(now) = endpoint.next_timeout().filter(|next| *next <= until) {
        endpoint.handle_timeout(now);
        let millis = u64::try_from(now.since_boot().as_millis()).unwrap();
        let before = all.len();
        all.extend(sent(endpoint).into_iter().map(|datagram| (millis, datagram)));
        endpoint.handle_timeout(now);
        assert!(endpoint.poll_transmit().is_none(), "a second call at {now:?} sent something");
        assert!(endpoint.next_timeout() != Some(now), "nothing done at {now:?}: {before}");
    }
    all
}
