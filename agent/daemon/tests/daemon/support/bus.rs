//! A private message bus, and clients on it.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use lwm2m_bus::Agent1Proxy;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Lab, soon};

/// A bus; it ends with the value.
pub(crate) struct Bus(lwm2m_test_bus::Bus);

impl Bus {
    /// Starts a bus in the directory of `lab`; `None`, with a line that says so,
    /// where there is no dbus-daemon.
    pub(crate) fn start(lab: &Lab) -> Option<Self> {
        lwm2m_test_bus::Bus::start_at(&lab.path("bus")).map(Self)
    }

    /// The address of the bus of `lab`, whether there is one or not.
    pub(crate) fn address(lab: &Lab) -> String {
        format!("unix:path={}", lab.path("bus").display())
    }

    /// A client of the daemon.
    pub(crate) async fn client(&self) -> Agent1Proxy<'static> {
        let builder = zbus::connection::Builder::address(self.0.address());
        let connect = async {
            let connection = builder.build().await.unwrap();
            Agent1Proxy::new(&connection).await.unwrap()
        };
        soon("a connection to the bus", connect).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.pid().try_into().unwrap()), signal).unwrap();
    }
}

/// The next item of a stream.
pub(crate) async fn next<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    let item = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    soon("a signal of the daemon", item).await.expect("the bus is there")
}
