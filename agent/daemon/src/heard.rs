//! What the links have said and the engine has not heard yet.
//!
//! The engine wants its outputs taken after each input, and they go to what is
//! waited for at the same time. So a batch is noted here and told afterwards, one
//! event after the other.

use std::ops::Range;

use lwm2m_engine::{Continuity, Input, LinkId};
use lwm2m_transport::LinkEvent;

/// Events of links, in their order. The room for datagrams is made once.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    events: Vec<Event>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Event {
    Up { link: LinkId, continuity: Continuity, max_datagram: usize },
    Datagram { link: LinkId, place: Range<usize> },
    Down { link: LinkId, reason: String },
}

impl Heard {
    /// Notes an event.
    pub(crate) fn note(&mut self, event: LinkEvent<'_>) {
        self.events.push(match event {
            LinkEvent::Up { link, continuity, max_datagram } => {
                Event::Up { link, continuity, max_datagram }
            }
            LinkEvent::Datagram { link, bytes } => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                Event::Datagram { link, place: start..self.bytes.len() }
            }
            LinkEvent::Down { link, reason, .. } => Event::Down { link, reason },
        });
    }

    /// Takes all events out, as inputs of the engine.
    pub(crate) fn tell(&mut self, mut to: impl FnMut(Input<'_>)) {
        for event in self.events.drain(..) {
            to(match event {
                Event::Up { link, continuity, max_datagram } => {
                    Input::LinkUp { link, continuity, max_datagram }
                }
                Event::Datagram { link, place } => {
                    let bytes = self.bytes.get(place).unwrap_or_default();
                    Input::Datagram { link, bytes }
                }
                Event::Down { link, reason } => Input::LinkDown { link, reason },
            });
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }
}

/// Bytes of room that are kept: a burst of short requests.
const KEPT: usize = 4096;

#[cfg(test)]
mod tests {
    use lwm2m_transport::DownKind;

    use super::*;

    #[test]
    fn events_are_told_in_their_order_and_once() {
        let (mut heard, link) = (Heard::default(), LinkId(1));
        heard.note(LinkEvent::Up { link, continuity: Continuity::New, max_datagram: 9 });
        heard.note(LinkEvent::Datagram { link, bytes: b"one" });
        heard.note(LinkEvent::Datagram { link: LinkId(2), bytes: &[2; 2 * KEPT] });
        heard.note(LinkEvent::Down { link, kind: DownKind::Failed, reason: "gone".into() });
        let mut told = Vec::new();
        heard.tell(|input| {
            told.push(match input {
                Input::LinkUp { link, max_datagram, .. } => (link.0, max_datagram),
                Input::Datagram { link, bytes } => (link.0, bytes.len()),
                Input::LinkDown { link, reason } => (link.0, reason.len()),
                other => panic!("{other:?}"),
            });
        });
        assert_eq!(told, [(1, 9), (1, 3), (2, 2 * KEPT), (1, 4)]);
        assert!(heard.bytes.capacity() < 2 * KEPT);
        heard.tell(|input| panic!("{input:?}"));
    }
}
