//! The handle of a running server: start, stop, who is registered, faults. The
//! operations on devices are in `operations`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::Code;
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::event::{Events, Statistics};
use crate::state::{Command, Links, State};
use crate::wire::{Direction, Order, Wire};
use crate::{BlockSize, Error, Registration, ServerConfig, ServerEvent};

/// A running server. Clones are handles of the same one; it stops when the last
/// handle is gone, or at [`Server::stop`].
#[derive(Debug, Clone)]
pub struct Server {
    coap: Option<SocketAddr>,
    coaps: Option<SocketAddr>,
    orders: mpsc::Sender<Order>,
    // Weak, so that subscriptions end with the task and not with the last handle.
    events: broadcast::WeakSender<ServerEvent>,
}

impl Server {
    /// Opens the sockets and starts the task that owns them, on the tokio runtime
    /// that the call runs in.
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::Dtls`], [`Error::NoAddress`].
    pub async fn start(config: ServerConfig) -> Result<Self, Error> {
        if config.coap.is_none() && config.coaps.is_none() {
            return Err(Error::NoAddress);
        }
        let coap = bind(config.coap).await?;
        let coaps = bind(config.coaps).await?;
        let links = match &coaps {
            Some(_) => Some(Links::new(&config.psk)?),
            None => None,
        };
        let (events, _) = broadcast::channel(EVENTS);
        let (orders, received) = mpsc::channel(ORDERS);
        let address = |socket: &Option<UdpSocket>| socket.as_ref()?.local_addr().ok();
        let server = Self {
            coap: address(&coap),
            coaps: address(&coaps),
            orders,
            events: events.downgrade(),
        };
        let state = State::new(config.clone(), links, events);
        tokio::spawn(Wire::new(coap, coaps, &config, state, received).run());
        Ok(server)
    }

    /// Where it listens for CoAP without security.
    pub fn coap_addr(&self) -> Option<SocketAddr> {
        self.coap
    }

    /// Where it listens for CoAP over DTLS.
    pub fn coaps_addr(&self) -> Option<SocketAddr> {
        self.coaps
    }

    /// Closes the DTLS links and the sockets; returns when that is done.
    pub async fn stop(self) {
        // An order that cannot be given finds the task ended already.
        let _ = self.orders.send(Order::Stop).await;
        self.orders.closed().await;
    }

    /// Who is registered, by endpoint name.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn registrations(&self) -> Result<Vec<Registration>, Error> {
        self.ask(Command::Registrations).await
    }

    /// The registration of a device.
    ///
    /// # Errors
    /// [`Error::NotRegistered`], [`Error::Stopped`].
    pub async fn registration(&self, endpoint: &str) -> Result<Registration, Error> {
        let all = self.registrations().await?;
        let found = all.into_iter().find(|registration| registration.endpoint == endpoint);
        found.ok_or_else(|| Error::NotRegistered(endpoint.to_owned()))
    }

    /// Waits until a device is registered; returns at once if it is. Cancel safe.
    ///
    /// # Errors
    /// [`Error::NotInTime`], [`Error::Stopped`].
    pub async fn wait_registered(
        &self,
        endpoint: &str,
        within: Duration,
    ) -> Result<Registration, Error> {
        let what = format!("the registration of {endpoint}");
        let wanted = |known: &Registration| known.endpoint == endpoint;
        self.wait_for(wanted, what, within).await
    }

    /// Waits until a registration is as `wanted`; returns at once if one is.
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::NotInTime`] with `what` in it, [`Error::Stopped`].
    pub async fn wait_for(
        &self,
        wanted: impl Fn(&Registration) -> bool,
        what: String,
        within: Duration,
    ) -> Result<Registration, Error> {
        let wait = async {
            let mut events = self.events()?;
            loop {
                if let Some(found) = self.registrations().await?.into_iter().find(&wanted) {
                    return Ok(found);
                }
                events.next().await?;
            }
        };
        match tokio::time::timeout(within, wait).await {
            Ok(result) => result,
            Err(_) => Err(Error::NotInTime { what, within }),
        }
    }

    /// Subscribes to what happens from now on.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn events(&self) -> Result<Events, Error> {
        let sender = self.events.upgrade().ok_or(Error::Stopped)?;
        Ok(Events(sender.subscribe()))
    }

    /// Counters of the message layer.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn statistics(&self) -> Result<Statistics, Error> {
        self.ask(Command::Statistics).await
    }

    /// Fault: the next `count` datagrams from devices are lost.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn drop_next(&self, count: u32) -> Result<(), Error> {
        self.order(Order::Lose(Direction::Incoming, count)).await
    }

    /// Fault: the next `count` datagrams to devices are lost.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn drop_next_sent(&self, count: u32) -> Result<(), Error> {
        self.order(Order::Lose(Direction::Outgoing, count)).await
    }

    /// Fault: while on, every datagram is lost, both ways.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn silent(&self, switch: Switch) -> Result<(), Error> {
        self.order(Order::Silent(switch)).await
    }

    /// Fault: the registration is gone, and nobody is told; the next Update is
    /// answered 4.04.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn forget(&self, endpoint: &str) -> Result<(), Error> {
        self.tell(Command::Forget { endpoint: endpoint.to_owned() }).await
    }

    /// Takes a device in queue mode to sleep now, as if the awake time were over:
    /// for a device that is known to sleep before that.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn presume_asleep(&self, endpoint: &str) -> Result<(), Error> {
        self.tell(Command::PresumeAsleep { endpoint: endpoint.to_owned() }).await
    }

    /// Fault: the next Register is refused with this code.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn refuse_next_register(&self, code: Code) -> Result<(), Error> {
        self.tell(Command::RefuseNextRegister(code)).await
    }

    /// While on, a confirmable Register is acknowledged at once and answered in a
    /// message of its own.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn respond_to_register_separately(&self, switch: Switch) -> Result<(), Error> {
        self.tell(Command::SeparateRegister(switch)).await
    }

    /// Fault: while on, each request goes out twice with one message ID.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn duplicate_requests(&self, switch: Switch) -> Result<(), Error> {
        self.tell(Command::DuplicateRequests(switch)).await
    }

    /// From now on payloads larger than this go out in blocks of this size, and blocks
    /// of devices are asked for in it.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn set_block_size(&self, size: BlockSize) -> Result<(), Error> {
        self.tell(Command::BlockSize(size)).await
    }

    pub(crate) async fn tell(&self, command: Command) -> Result<(), Error> {
        self.order(Order::State(command)).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply)).await?;
        answer.await.map_err(|_| Error::Stopped)
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| Error::Stopped)
    }
}

/// Whether a server shows a behaviour that it can be told to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// From now on it does.
    On,
    /// No longer.
    Off,
}

async fn bind(address: Option<SocketAddr>) -> Result<Option<UdpSocket>, Error> {
    let Some(address) = address else { return Ok(None) };
    match UdpSocket::bind(address).await {
        Ok(socket) => Ok(Some(socket)),
        Err(cause) => Err(Error::Bind { address, cause: Arc::new(cause) }),
    }
}

/// Events a slow subscriber may lag behind.
const EVENTS: usize = 1024;
/// Orders that may wait for the task; then the callers wait.
const ORDERS: usize = 64;
