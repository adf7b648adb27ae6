//! A private bus and connections to it.

use std::time::Duration;

use rauc_dbus::Installer;
use zbus::Connection;

use crate::service::Double;

/// A bus with a client on it; it ends with the value.
pub(crate) struct Bus {
    bus: lwm2m_test_bus::Bus,
    pub(crate) client: Connection,
}

impl Bus {
    async fn start() -> Option<Self> {
        let bus = lwm2m_test_bus::Bus::start()?;
        let client = connect(bus.address()).await;
        Some(Self { bus, client })
    }

    /// Another program on the bus.
    pub(crate) async fn connect(&self) -> Connection {
        connect(self.bus.address()).await
    }

    /// The client of RAUC that is tested.
    pub(crate) fn rauc(&self) -> Installer {
        Installer::new(&self.client)
    }

    /// Puts a double on the bus.
    pub(crate) async fn serve(&self, double: Double) -> Connection {
        let service = self.connect().await;
        service.object_server().at("/", double).await.unwrap();
        service.request_name("de.pengutronix.rauc").await.unwrap();
        service
    }

    /// Ends the bus as if it had crashed.
    pub(crate) fn kill(&mut self) {
        self.bus.kill();
    }
}

/// Runs a test on a bus of its own.
pub(crate) fn on_bus(test: impl AsyncFnOnce(Bus)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(bus) = Bus::start().await else { return };
        tokio::time::timeout(LIMIT, test(bus)).await.expect("the test ends in time");
    });
}

async fn connect(address: &str) -> Connection {
    zbus::connection::Builder::address(address).build().await.unwrap()
}

const LIMIT: Duration = Duration::from_secs(20);
