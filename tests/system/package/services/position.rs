//! Location (6) from gpsd, which hears a receiver that has a fix, moves and loses it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lwm2m_interop::Receiver;
use lwm2m_model::Path;

use super::watch::{Watch, span};
use crate::device::Device;
use crate::passed;

/// A receiver that sends all the while.
pub(super) struct Position {
    address: SocketAddr,
    /// Minutes north of 48 degrees, or [`NO_FIX`].
    minutes: Arc<AtomicU32>,
}

impl Position {
    /// A receiver without a fix.
    pub(super) fn new() -> Result<Self> {
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let mut receiver = Receiver::new(address)?;
        let minutes = Arc::new(AtomicU32::new(NO_FIX));
        let sent = Arc::clone(&minutes);
        // It ends with this program.
        std::thread::spawn(move || {
            loop {
                let minutes = sent.load(Ordering::Relaxed);
                receiver.send((minutes != NO_FIX).then_some(minutes));
                std::thread::sleep(INTERVAL);
            }
        });
        Ok(Self { address, minutes })
    }

    /// Lets gpsd hear the receiver.
    pub(super) async fn prepare(&self, device: &Device) -> Result<()> {
        let settings = format!("DEVICES=\"udp://{}\"\nUSBAUTO=\"false\"\n", self.address);
        device.write("/etc/default/gpsd", &settings)?;
        device.run("systemctl restart gpsd").await?;
        Ok(())
    }

    fn set(&self, minutes: u32) {
        self.minutes.store(minutes, Ordering::Relaxed);
    }

    /// OBJ-73.
    pub(super) async fn test(&self, device: &Device) -> Result<()> {
        let instance = Path::instance(6, 0);
        let before = device.registration().await.context("not registered")?;
        ensure!(!before.has(&instance), "{instance} is there before there was a fix");
        self.set(0);
        let after_fix = device.registers(Some(before.clone())).await?;
        ensure!(after_fix.has(&instance), "an Update without {instance}: {:?}", after_fix.links);
        // As long as changes are gathered, and some more.
        tokio::time::sleep(GATHERED).await;
        let later = device.registration().await.context("not registered")?;
        let updates = later.updates - before.updates;
        ensure!(updates == 1, "{updates} Updates for one new instance");

        let mut latitude = Watch::new(device, Path::resource(6, 0, LATITUDE)).await?;
        latitude.until(&[(LATITUDE, "48")]).await?;
        self.set(30);
        let mut told = vec![latitude.until(&[(LATITUDE, "48.5")]).await?.as_secs_f32()];
        self.set(NO_FIX);
        tokio::time::sleep(GATHERED).await;
        latitude.until(&[(LATITUDE, "48.5")]).await?;
        device.run("systemctl restart gpsd").await?;
        self.set(45);
        told.push(latitude.until(&[(LATITUDE, "48.75")]).await?.as_secs_f32());
        // Nobody listens at its port for a while.
        device.run("systemctl stop gpsd.socket gpsd.service").await?;
        self.set(15);
        tokio::time::sleep(GATHERED).await;
        let held = (LATITUDE, "48.25");
        let start = "systemctl start gpsd.socket gpsd.service";
        device.run(start).await?;
        told.push(latitude.until(&[held]).await?.as_secs_f32());
        let now = device.registration().await.context("not registered")?;
        ensure!(now.updates == later.updates, "an Update though the instance stayed");
        passed(&format!(
            "gpsd: one Update for the first fix; moves are told, also after a restart and an \
             absence of gpsd, {}",
            span(&told)
        ));
        Ok(())
    }
}

/// What the configuration has of objects.
pub(super) const OBJECTS: &str = "objects: {location: {source: gpsd}}\n";
const LATITUDE: u16 = 0;
const NO_FIX: u32 = u32::MAX;
const INTERVAL: Duration = Duration::from_millis(200);
/// Longer than changes of instances are gathered for one Update (5 s).
const GATHERED: Duration = Duration::from_secs(7);
