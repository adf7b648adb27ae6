//! The DTLS links of the `coaps` socket, one for each address (Transport 12).
//!
//! A device that started anew greets again from the same address. Its new link is
//! tried beside the old one and takes its place when the handshake is through
//! (RFC 6347 4.2.8), so that a stray greeting ends nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lwm2m_model::Instant;
use lwm2m_security::{DtlsServerContext, LinkError, Secret, SecureLink, State as LinkState};

use super::Peer;
use crate::{Error, ServerEvent};

/// All links.
pub(crate) struct Links {
    context: DtlsServerContext,
    slots: HashMap<SocketAddr, Slot>,
}

/// What a call has brought up.
#[derive(Default)]
pub(super) struct Received {
    pub(super) datagrams: Vec<(Peer, Vec<u8>)>,
    pub(super) messages: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) events: Vec<ServerEvent>,
}

#[derive(Default)]
struct Slot {
    established: Option<Box<dyn SecureLink>>,
    candidate: Option<Box<dyn SecureLink>>,
    identity: Vec<u8>,
    heard: Instant,
}

impl Links {
    /// Links whose peers prove one of these identities.
    pub(crate) fn new(keys: &[(Vec<u8>, Vec<u8>)]) -> Result<Self, Error> {
        let keys: HashMap<Vec<u8>, Secret> = keys
            .iter()
            .map(|(identity, key)| (identity.clone(), Secret::new(key.clone())))
            .collect();
        let context = DtlsServerContext::new(Arc::new(move |identity| keys.get(identity).cloned()))
            .map_err(|error| Error::Dtls(error.to_string()))?;
        Ok(Self { context, slots: HashMap::new() })
    }

    /// The identity that the device at `address` has proved.
    pub(super) fn identity(&self, address: SocketAddr) -> Option<Vec<u8>> {
        let slot = self.slots.get(&address)?;
        slot.established.is_some().then(|| slot.identity.clone())
    }

    pub(super) fn receive(
        &mut self,
        now: Instant,
        address: SocketAddr,
        datagram: &[u8],
    ) -> Received {
        if !self.slots.contains_key(&address) && !is_client_hello(datagram) {
            return Received::default();
        }
        self.make_room(address);
        let slot = self.slots.entry(address).or_default();
        slot.heard = now;
        if is_client_hello(datagram) && slot.candidate.is_none() {
            // A library that fails here fails the device's handshake, by silence.
            slot.candidate = self.context.accept().ok();
        }
        // A greeting is the candidate's alone: the old link would take it for the
        // wish to negotiate again.
        let for_candidate_alone = is_client_hello(datagram) && slot.candidate.is_some();
        let received = slot.feed(address, |link, is_candidate| {
            if for_candidate_alone && !is_candidate {
                return Ok(LinkState::Established);
            }
            link.handle_datagram(now, datagram)
        });
        self.clean(address);
        received
    }

    pub(super) fn send(&mut self, now: Instant, address: SocketAddr, message: &[u8]) -> Received {
        let Some(slot) = self.slots.get_mut(&address) else { return Received::default() };
        slot.heard = now;
        let received = slot.feed(address, |link, is_candidate| {
            if is_candidate {
                return Ok(LinkState::Handshaking);
            }
            match link.write(message) {
                // Not sent, as if it were lost: the link itself goes on.
                Ok(()) | Err(LinkError::TooBig { .. } | LinkError::NotEstablished) => {
                    Ok(LinkState::Established)
                }
                Err(error) => Err(error),
            }
        });
        self.clean(address);
        received
    }

    pub(super) fn next_timeout(&mut self) -> Option<Instant> {
        let links = self.slots.values_mut().flat_map(Slot::links);
        links.filter_map(|link| link.timeout()).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Received {
        let mut all = Received::default();
        let due: Vec<SocketAddr> = self
            .slots
            .iter_mut()
            .filter_map(|(address, slot)| {
                let first = slot.links().filter_map(|link| link.timeout()).min()?;
                (first <= now).then_some(*address)
            })
            .collect();
        for address in due {
            if let Some(slot) = self.slots.get_mut(&address) {
                all.add(slot.feed(address, |link, _| link.handle_timeout(now)));
            }
            self.clean(address);
        }
        all
    }

    /// Ends every link; what is to be sent for it.
    pub(super) fn close(&mut self) -> Vec<(Peer, Vec<u8>)> {
        let mut datagrams = Vec::new();
        for (address, mut slot) in self.slots.drain() {
            for link in slot.links() {
                link.close();
                drain(link.as_mut(), address, &mut datagrams);
            }
        }
        datagrams
    }

    /// Drops the most silent link if there are too many.
    fn make_room(&mut self, address: SocketAddr) {
        if self.slots.len() < MAX_LINKS || self.slots.contains_key(&address) {
            return;
        }
        let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.heard).map(|(known, _)| *known);
        if let Some(oldest) = oldest {
            self.slots.remove(&oldest);
        }
    }

    fn clean(&mut self, address: SocketAddr) {
        if self.slots.get_mut(&address).is_some_and(|slot| slot.links().next().is_none()) {
            self.slots.remove(&address);
        }
    }
}

impl Slot {
    fn links(&mut self) -> impl Iterator<Item = &mut Box<dyn SecureLink>> {
        self.established.iter_mut().chain(&mut self.candidate)
    }

    /// Does `act` on both links, collects what they bring up, and lets the
    /// candidate take over when its handshake is through.
    fn feed(
        &mut self,
        address: SocketAddr,
        mut act: impl FnMut(&mut dyn SecureLink, bool) -> Result<LinkState, LinkError>,
    ) -> Received {
        let mut received = Received::default();
        if let Some(link) = &mut self.established {
            let state = act(link.as_mut(), false);
            received.collect(link.as_mut(), address);
            if received.is_over(state, address) {
                self.established = None;
            }
        }
        if let Some(mut link) = self.candidate.take() {
            let state = act(link.as_mut(), true);
            let established = state == Ok(LinkState::Established);
            if established {
                let info = link.info();
                let identity = info.peer_identity.unwrap_or_default();
                self.identity.clone_from(&identity);
                let resumed = info.resumed;
                received.events.push(ServerEvent::Secured { peer: address, identity, resumed });
            }
            received.collect(link.as_mut(), address);
            if established {
                self.established = Some(link);
            } else if !received.is_over(state, address) {
                self.candidate = Some(link);
            }
        }
        received
    }
}

impl Received {
    fn collect(&mut self, link: &mut dyn SecureLink, address: SocketAddr) {
        drain(link, address, &mut self.datagrams);
        while let Some(message) = link.read() {
            self.messages.push((address, message));
        }
    }

    /// Notes the end of a link.
    fn is_over(&mut self, state: Result<LinkState, LinkError>, peer: SocketAddr) -> bool {
        let reason = match state {
            Ok(LinkState::Handshaking | LinkState::Established) => return false,
            Ok(LinkState::Closed) => "closed".to_owned(),
            Err(error) => reason(&error),
        };
        self.events.push(ServerEvent::LinkLost { peer, reason });
        true
    }

    fn add(&mut self, other: Self) {
        self.datagrams.extend(other.datagrams);
        self.messages.extend(other.messages);
        self.events.extend(other.events);
    }
}

/// Why a link ended, seen from the server: the errors' own texts are a client's.
fn reason(error: &LinkError) -> String {
    match (error, error.alert()) {
        (LinkError::ClosedByPeer, _) => "the device closed the DTLS link".to_owned(),
        (_, Some(alert)) => format!("the device ended the DTLS link ({alert})"),
        (_, None) => error.to_string(),
    }
}

fn drain(link: &mut dyn SecureLink, address: SocketAddr, datagrams: &mut Vec<(Peer, Vec<u8>)>) {
    let peer = Peer { address, secure: true };
    while let Some(datagram) = link.poll_datagram() {
        datagrams.push((peer, datagram));
    }
}

/// A handshake record of epoch 0 with a ClientHello in it (RFC 6347 4.1, 4.2.2).
fn is_client_hello(datagram: &[u8]) -> bool {
    datagram.first() == Some(&HANDSHAKE)
        && datagram.get(3..5) == Some(&[0, 0])
        && datagram.get(RECORD_HEADER) == Some(&CLIENT_HELLO)
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 13;
/// Links kept; beyond, the most silent one is dropped.
const MAX_LINKS: usize = 1024;
