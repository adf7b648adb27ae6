//! Questions to the kernel by netlink, of any of its protocols (netlink(7)).
//!
//! The kernel has the answer ready when the question is sent, so that nobody waits.

use std::fmt::Debug;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    socket,
};

/// A socket that hears what the kernel tells these groups; needs no privilege.
///
/// # Errors
/// Of the system, such as a sandbox without AF_NETLINK.
pub(super) fn open(protocol: SockProtocol, groups: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// Gives the answers to one question to `take`. The flags, NLM_F_DUMP or NLM_F_ACK, are
/// such that the kernel marks the end of its answer.
///
/// # Errors
/// Of the system, and those that the kernel answers with.
pub(super) fn ask<M>(
    socket: &OwnedFd,
    question: M,
    flags: u16,
    mut take: impl FnMut(M),
) -> io::Result<()>
where
    M: NetlinkSerializable + NetlinkDeserializable + Debug,
{
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    send(socket.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = match recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut buffer) {
            // Only the kernel has port 0.
            Ok((length, from)) if from.is_none_or(|from| from.pid() == 0) => length,
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<M>::deserialize(rest);
            // The length stands in the first four bytes, whatever the rest is.
            let Some(length) = rest.first_chunk().map(|length| u32::from_ne_bytes(*length)) else {
                break;
            };
            match message.map(|message| message.payload) {
                Ok(NetlinkPayload::InnerMessage(inner)) => take(inner),
                Ok(NetlinkPayload::Done(_)) => return Ok(()),
                // Code 0 is the acknowledgement at the end of an answer.
                Ok(NetlinkPayload::Error(error)) if error.code.is_none() => return Ok(()),
                Ok(NetlinkPayload::Error(error)) => return Err(error.to_io()),
                // Noop, or a message of a later kernel that the crate cannot read.
                Ok(_) | Err(_) => {}
            }
            let aligned = usize::try_from(length)
                .ok()
                .and_then(|length| length.max(ALIGNMENT).checked_next_multiple_of(ALIGNMENT));
            rest = aligned.and_then(|length| rest.get(length..)).unwrap_or_default();
        }
    }
}

/// The kernel fills no more than this in answers (NLMSG_GOODSIZE, netlink(7)).
const BUFFER: usize = 32 * 1024;
/// NLMSG_ALIGNTO of linux/netlink.h.
const ALIGNMENT: usize = 4;
