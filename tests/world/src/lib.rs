//! A world for tests: the engine as a device, a small LwM2M server, and a network
//! between them that delays, loses, repeats and rebinds, all in virtual time.
//!
//! A story begins with [`World::new`] or [`World::registered`], lets time pass with
//! [`World::run_for`] and [`World::run_until`], and looks at what the device did and
//! at what the server believes. Nothing sleeps, nothing is random but the seed.

mod device;
mod dice;
mod log;
mod message;
mod network;
mod objects;
mod observed;
mod package;
mod server;
mod setup;
mod store;
mod story;
mod world;

pub use device::{Attempts, Device};
pub use dice::Dice;
pub use log::Log;
pub use message::{Ask, method, option};
pub use network::{Address, Lane, Memory, Network, Outage, Security};
pub use objects::{LONE, Objects, Pace, SENSOR, SLOW};
pub use observed::{Observed, texts};
pub use package::{PACKAGE, Packages};
pub use server::{
    Believed, Delivery, DeviceRequest, Manner, Notice, OnNotice, Outcome, Response, SmallServer,
    Ticket,
};
pub use setup::{Setup, short_retry};
pub use store::{Cut, Store};
pub use story::{ms, secs};
pub use world::World;
