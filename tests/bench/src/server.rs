//! The least of an LwM2M server: it takes a Register, asks, and keeps what went
//! over the wire. Its CoAP is that of another crate than the agent's.

use std::net::UdpSocket;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use coap_lite::{
    CoapOption, CoapRequest, MessageClass, MessageType, Packet, RequestType, ResponseType,
};
use lwm2m_security::DtlsServerContext;

use crate::channel::Channel;

/// A server with one device.
pub(crate) struct Server {
    pub(crate) channel: Channel,
    /// When the first message of the agent came.
    pub(crate) greeted: Instant,
    /// Bytes of the messages of Register, or of the Update that came instead, without
    /// DTLS.
    pub(crate) greeting: usize,
    /// The message id, and what tokens are made of.
    next_id: u32,
}

/// What an agent says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// It is new.
    Register,
    /// It was registered before it was started.
    Update,
}

/// A request and its answer as they went over the wire, without DTLS.
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

impl Server {
    /// Waits for an agent and answers what it says first.
    pub(crate) fn accept(
        socket: &UdpSocket,
        dtls: Option<&DtlsServerContext>,
        greeting: Greeting,
    ) -> Result<Self> {
        let mut channel = Channel::accept(socket, dtls)?;
        let (greeted, greeting) = match greeting {
            Greeting::Register => take_register(&mut channel)?,
            Greeting::Update => take_update(&mut channel)?,
        };
        let mut server = Self { channel, greeted, greeting, next_id: FIRST_ID };
        // It is answered before anything else is: what can be read now
        // shows that the agent knows.
        server.read("/3/0/0")?;
        Ok(server)
    }

    /// Makes the agent register anew, as one that the server has forgotten.
    pub(crate) fn register_anew(&mut self) -> Result<()> {
        let update = self.trigger_update()?;
        let not_found = answer(&update, ResponseType::NotFound)?;
        self.channel.send(&[not_found.to_bytes()?])?;
        take_register(&mut self.channel)?;
        self.read("/3/0/0")?;
        Ok(())
    }

    /// Reads a path; repeats the request while the agent leaves it unanswered
    /// because it has not seen the answer to its Register.
    pub(crate) fn read(&mut self, path: &str) -> Result<Exchange> {
        self.exchange(RequestType::Get, path, |_| {})
    }

    /// Reads a path in a format, or discovers it if that is the link format.
    pub(crate) fn read_in(&mut self, path: &str, format: u16) -> Result<Exchange> {
        self.exchange(RequestType::Get, path, |packet| {
            packet.add_option(CoapOption::Accept, uint(format.into()));
        })
    }

    /// Makes the agent send an Update, and takes it.
    pub(crate) fn update(&mut self) -> Result<Vec<u8>> {
        let update = self.trigger_update()?;
        let answer = answer(&update, ResponseType::Changed)?;
        self.channel.send(&[answer.to_bytes()?])?;
        Ok(update.to_bytes()?)
    }

    /// Takes the Update that comes next.
    pub(crate) fn take_update(&mut self) -> Result<()> {
        take_update(&mut self.channel).map(drop)
    }

    fn trigger_update(&mut self) -> Result<Packet> {
        self.exchange(RequestType::Post, "/1/0/8", |_| {})?;
        next_update(&mut self.channel)
    }

    /// Observes the clock of the device; gives the first notification after the
    /// answer, and cancels.
    pub(crate) fn notification(&mut self) -> Result<Vec<u8>> {
        self.exchange(RequestType::Get, "/3/0/13", |packet| {
            packet.add_option(CoapOption::Observe, Vec::new());
            packet.add_option(CoapOption::UriQuery, b"pmin=0".to_vec());
            packet.add_option(CoapOption::UriQuery, b"pmax=1".to_vec());
        })?;
        let notification = self.channel.next()?;
        let packet = parse(&notification)?;
        if packet.get_option(CoapOption::Observe).is_none() {
            bail!("no notification came");
        }
        let mut reset = Packet::new();
        reset.header.set_type(MessageType::Reset);
        reset.header.message_id = packet.header.message_id;
        reset.header.code = MessageClass::Empty;
        self.channel.send(&[reset.to_bytes()?])?;
        Ok(notification)
    }

    pub(crate) fn exchange(
        &mut self,
        method: RequestType,
        path: &str,
        more: impl FnOnce(&mut Packet),
    ) -> Result<Exchange> {
        let request = self.request(method, path, more)?;
        self.complete(request).with_context(|| format!("{method:?} {path}"))
    }

    /// Sends a request and takes its answer.
    pub(crate) fn complete(&mut self, request: Vec<u8>) -> Result<Exchange> {
        self.channel.send(std::slice::from_ref(&request))?;
        let answer = self.channel.next()?;
        let answered = parse(&answer)?;
        if answered.get_token() != parse(&request)?.get_token() {
            bail!("what came is no answer");
        }
        match answered.header.code {
            MessageClass::Response(
                ResponseType::Content | ResponseType::Changed | ResponseType::Continue,
            ) => Ok(Exchange { request, answer }),
            code => bail!("{code} {}", String::from_utf8_lossy(&answered.payload)),
        }
    }

    /// The next request, as it goes over the wire.
    pub(crate) fn request(
        &mut self,
        method: RequestType,
        path: &str,
        more: impl FnOnce(&mut Packet),
    ) -> Result<Vec<u8>> {
        let mut request = CoapRequest::<()>::new();
        request.set_method(method);
        request.set_path(path);
        let mut packet = request.message;
        packet.header.message_id = self.next_id as u16;
        packet.set_token(self.next_id.to_be_bytes().repeat(2));
        self.next_id += 1;
        more(&mut packet);
        Ok(packet.to_bytes()?)
    }
}

/// Takes a Register, in one message or in blocks; says when it was whole and how many
/// bytes its messages had.
fn take_register(channel: &mut Channel) -> Result<(Instant, usize)> {
    let mut bytes = 0;
    loop {
        let register = channel.next()?;
        bytes += register.len();
        let packet = parse(&register)?;
        if packet.header.code != MessageClass::Request(RequestType::Post) || !is_for(&packet, "rd")
        {
            bail!("a message is no Register");
        }
        let block = packet.get_first_option(CoapOption::Block1).cloned();
        let more =
            block.as_ref().is_some_and(|block| block.last().is_some_and(|last| last & 8 != 0));
        let code = if more { ResponseType::Continue } else { ResponseType::Created };
        let mut answer = answer(&packet, code)?;
        if let Some(block) = block {
            answer.add_option(CoapOption::Block1, block);
        }
        let registered = Instant::now();
        if !more {
            answer.add_option(CoapOption::LocationPath, b"rd".to_vec());
            answer.add_option(CoapOption::LocationPath, b"1".to_vec());
        }
        channel.send(&[answer.to_bytes()?])?;
        if !more {
            return Ok((registered, bytes));
        }
    }
}

/// Takes an Update; says when it came and how many bytes it had.
fn take_update(channel: &mut Channel) -> Result<(Instant, usize)> {
    let update = next_update(channel)?;
    let came = Instant::now();
    channel.send(&[answer(&update, ResponseType::Changed)?.to_bytes()?])?;
    Ok((came, update.to_bytes()?.len()))
}

fn next_update(channel: &mut Channel) -> Result<Packet> {
    let update = parse(&channel.next()?)?;
    let segments = update.get_option(CoapOption::UriPath).map_or(0, |path| path.len());
    if !is_for(&update, "rd") || segments != REGISTRATION {
        bail!("what came is no Update");
    }
    Ok(update)
}

pub(crate) fn parse(datagram: &[u8]) -> Result<Packet> {
    Packet::from_bytes(datagram).context("the agent sent something that is no CoAP")
}

fn is_for(packet: &Packet, first_segment: &str) -> bool {
    let path = packet.get_option(CoapOption::UriPath);
    path.and_then(|path| path.front()).is_some_and(|first| first == first_segment.as_bytes())
}

/// A piggybacked answer without payload.
pub(crate) fn answer(request: &Packet, code: ResponseType) -> Result<Packet> {
    if request.header.get_type() != MessageType::Confirmable {
        bail!("the request is not confirmable");
    }
    let mut packet = Packet::new();
    packet.header.set_type(MessageType::Acknowledgement);
    packet.header.message_id = request.header.message_id;
    packet.header.code = MessageClass::Response(code);
    packet.set_token(request.get_token().to_vec());
    Ok(packet)
}

/// The value of an option that is a number (RFC 7252 3.2).
pub(crate) fn uint(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Segments of the location that [`take_register`] gives.
const REGISTRATION: usize = 2;
/// Message ids of these exchanges; the load begins with 1.
const FIRST_ID: u32 = 0xf000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_told_from_other_requests_and_answered() {
        let mut request = CoapRequest::<()>::new();
        request.set_method(RequestType::Post);
        request.set_path("/rd");
        request.message.set_token(vec![1, 2]);
        request.message.header.message_id = 7;
        let packet = parse(&request.message.to_bytes().unwrap()).unwrap();
        assert!(is_for(&packet, "rd"));
        assert!(!is_for(&packet, "bs"));
        let answer = answer(&packet, ResponseType::Created).unwrap().to_bytes().unwrap();
        assert_eq!(answer, [0x62, 0x41, 0, 7, 1, 2]);
        assert!(parse(b"\xff").is_err());
    }
}
