//! News from the kernel about its devices (NETLINK_KOBJECT_UEVENT, netlink(7)).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};

use super::readable::Readable;

/// A message of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uevent<'a> {
    /// `add`, `remove`, `change` and so on.
    pub action: &'a str,
    /// Path of the device below `/sys`.
    pub device: &'a str,
    /// Class or bus, such as `power_supply`.
    pub subsystem: Option<&'a str>,
}

impl<'a> Uevent<'a> {
    /// Reads a message: `ACTION@DEVPATH`, then `KEY=VALUE`, each with a NUL behind.
    ///
    /// `None` for anything else, such as the messages of udev.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(message).ok()?.split('\0');
        let (action, device) = parts.next()?.split_once('@')?;
        let subsystem = parts.find_map(|part| part.strip_prefix("SUBSYSTEM="));
        Some(Self { action, device, subsystem })
    }
}

/// A socket that hears the kernel's messages.
pub struct UeventSocket(Readable<OwnedFd>);

impl UeventSocket {
    /// Opens the socket and joins the kernel's group; needs no privilege.
    ///
    /// # Errors
    /// Of the system, such as a sandbox without AF_NETLINK.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Readable::new(socket).map(Self)
    }

    /// Waits for news of a device of one of the `subsystems`, or for lost messages,
    /// which may have been such news. Cancel safe.
    ///
    /// # Errors
    /// Of the system; the socket is of no more use then.
    pub async fn changed(&self, subsystems: &[&str]) -> io::Result<()> {
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut concerns_us = |socket: &OwnedFd| {
            let (length, sender) = match recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut buffer) {
                Ok(received) => received,
                Err(Errno::ENOBUFS) => return Ok(true),
                Err(error) => return Err(error),
            };
            // Only port 0 is the kernel; others may send to the group too.
            let is_kernel = sender.is_some_and(|sender| sender.pid() == 0);
            let event = buffer.get(..length).and_then(Uevent::parse);
            let subsystem = event.and_then(|event| event.subsystem);
            Ok(is_kernel && subsystem.is_some_and(|subsystem| subsystems.contains(&subsystem)))
        };
        while !self.0.read(&mut concerns_us).await? {}
        Ok(())
    }
}

/// The multicast group of the kernel; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// The kernel writes 2 KiB at most (UEVENT_BUFFER_SIZE) and a short head.
const MAX_MESSAGE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_kernel_is_read() {
        let message = b"change@/devices/BAT0\0ACTION=change\0SUBSYSTEM=power_supply\0SEQNUM=7\0";
        let event = Uevent::parse(message).unwrap();
        assert_eq!((event.action, event.device), ("change", "/devices/BAT0"));
        assert_eq!(event.subsystem, Some("power_supply"));
    }

    #[test]
    fn other_messages_are_none() {
        for message in [&b"libudev\0\xfe\xed"[..], b"", b"change", b"\xff@x", b"\0\0"] {
            assert_eq!(Uevent::parse(message), None, "{message:?}");
        }
        assert_eq!(Uevent::parse(b"add@/x\0SUB=1").unwrap().subsystem, None);
    }

    #[tokio::test]
    async fn the_real_sockets_open() {
        UeventSocket::open().unwrap();
        crate::sources::clock::ClockWatch::open().unwrap();
    }
}
