//! Drives [`Links`] as the daemon does: one task, one timer.

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_engine::{Continuity, LinkId};
use lwm2m_transport::{BootTimer, LinkEvent, Links, LinksConfig, clock};

/// An event, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Up(LinkId, Continuity, usize),
    Datagram(LinkId, Vec<u8>),
    Down(LinkId, String),
}

pub(crate) struct Driver {
    pub(crate) links: Links,
    timer: BootTimer,
    seen: VecDeque<Seen>,
    /// Calls of `next` that came back.
    pub(crate) turns: u32,
}

impl Driver {
    pub(crate) fn new(config: LinksConfig) -> Self {
        let timer = BootTimer::new().unwrap();
        Self { links: Links::new(config), timer, seen: VecDeque::new(), turns: 0 }
    }

    /// The next event. The limit only ends a test that would hang.
    pub(crate) async fn event(&mut self) -> Seen {
        let event = async {
            loop {
                if let Some(seen) = self.seen.pop_front() {
                    return seen;
                }
                self.turn().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), event).await.expect("an event")
    }

    pub(crate) fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.links.send(link, bytes.to_vec());
        self.links.flush();
    }

    /// One turn of the daemon's loop.
    pub(crate) async fn turn(&mut self) {
        let Self { links, timer, seen, turns } = self;
        timer.arm(links.next_timeout());
        let mut on = |event: LinkEvent<'_>| {
            seen.push_back(match event {
                LinkEvent::Up { link, continuity, max_datagram } => {
                    Seen::Up(link, continuity, max_datagram)
                }
                LinkEvent::Datagram { link, bytes } => Seen::Datagram(link, bytes.to_vec()),
                LinkEvent::Down { link, reason, .. } => Seen::Down(link, reason),
            });
        };
        tokio::select! {
            () = links.next(&mut on) => *turns += 1,
            () = timer.fired() => links.handle_timeout(clock::now().boot),
        }
    }
}

pub(crate) const SERVER: u16 = 101;
