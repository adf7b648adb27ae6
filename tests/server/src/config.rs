//! What a test server is started with. Every time is a setting, so that a test
//! of a time-out takes milliseconds.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lwm2m_model::Version;

use crate::BlockSize;

/// Settings of a [`crate::Server`].
#[derive(Clone)]
pub struct ServerConfig {
    /// Where to listen for CoAP without security; port 0 takes a free one.
    pub coap: Option<SocketAddr>,
    /// Where to listen for CoAP over DTLS; port 0 takes a free one.
    pub coaps: Option<SocketAddr>,
    /// Pre-shared keys: identity and key.
    pub psk: Vec<(Vec<u8>, Vec<u8>)>,
    /// Refuses a Register whose endpoint name is not the PSK identity.
    pub strict_identity: bool,
    /// LwM2M versions accepted; others are answered 4.12.
    pub versions: Vec<Version>,
    /// Part of the datagrams that is lost, 0.0..=1.0, in each direction.
    pub loss: f64,
    /// Seed of the losses: the same seed loses the same datagrams.
    pub seed: u64,
    /// Times of the message layer.
    pub timings: Timings,
    /// How long a device in queue mode listens after its last message
    /// (MAX_TRANSMIT_WAIT, Core 5.8).
    pub awake_time: Duration,
    /// How long a registration outlives its lifetime.
    pub grace: Duration,
    /// Requests that one device may have to answer at the same time (NSTART);
    /// a device in queue mode gets one at a time whatever this says.
    pub outstanding: usize,
    /// Larger payloads go out in blocks of this size; blocks of devices are asked for
    /// in it.
    pub block_size: BlockSize,
}

impl Default for ServerConfig {
    /// A free loopback port without security, LwM2M 1.0 to 1.2, no loss.
    fn default() -> Self {
        Self {
            coap: Some((Ipv4Addr::LOCALHOST, 0).into()),
            coaps: None,
            psk: Vec::new(),
            strict_identity: false,
            versions: vec![Version::V1_0, Version::V1_1, Version::V1_2],
            loss: 0.0,
            seed: 1,
            timings: Timings::default(),
            awake_time: AWAKE_TIME,
            grace: Duration::ZERO,
            outstanding: 1,
            block_size: BlockSize::LARGEST,
        }
    }
}

/// How long a device in queue mode listens unless it is configured: MAX_TRANSMIT_WAIT
/// of RFC 7252 4.8.2.
pub const AWAKE_TIME: Duration = Duration::from_secs(93);

/// Times of the message layer (RFC 7252 4.8).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timings {
    /// Time before the first retransmission.
    pub ack_timeout: Duration,
    /// The first time-out is up to this much longer, at least 1.0.
    pub ack_random_factor: f64,
    /// Retransmissions after the first transmission.
    pub max_retransmit: u32,
    /// The doubled time-outs stop growing here.
    pub max_interval: Duration,
    /// How long to wait for the separate response after an empty acknowledgement.
    pub response_timeout: Duration,
    /// How long a message ID is remembered.
    pub exchange_lifetime: Duration,
}

impl Default for Timings {
    /// The values of RFC 7252.
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            max_retransmit: 4,
            max_interval: Duration::from_secs(60),
            response_timeout: Duration::from_secs(93),
            exchange_lifetime: Duration::from_secs(247),
        }
    }
}

impl Timings {
    /// For a lossy loopback: soon again, and so often that a request practically
    /// always gets through. With a fifth of the datagrams lost each way, one
    /// request in 75,000 fails.
    pub fn persistent() -> Self {
        Self {
            ack_timeout: Duration::from_millis(500),
            max_retransmit: 10,
            max_interval: Duration::from_secs(4),
            ..Self::default()
        }
    }
}
