//! What the engine holds in memory while a value streams through it (DESIGN 3,
//! "Streams"). The only test of its binary: others would be counted too.

use std::alloc::System;
use std::time::Duration;

use cap::Cap;
use lwm2m_coap::{Draft, Kind, Message, Token, method, option};
use lwm2m_engine::{
    Call, CallOperation, CallReply, Continuity, Engine, Input, LinkId, Output, ServerState,
};
use lwm2m_model::{Code, ContentFormat, Instant, Now};
use lwm2m_world::{PACKAGE, Setup};

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// The engine over one open link.
struct Rig {
    engine: Engine,
    now: Now,
    next_id: u16,
    /// Most bytes that were allocated when a chunk or its answer was under way.
    most: usize,
}

impl Rig {
    fn registered() -> Self {
        let now = Now { boot: Instant::ZERO, wall: None };
        let engine = Engine::new(Setup::seeded(1).config, now);
        let mut rig = Self { engine, now, next_id: 0, most: 0 };
        let definition = std::sync::Arc::new(PACKAGE.clone());
        rig.handle(Input::Object { definition, instances: vec![0], streams: vec![0] });
        let mut register = None;
        rig.handle(Input::LinkUp { link: LINK, continuity: Continuity::New, max_datagram: 1152 });
        while let Some(output) = rig.engine.poll_output() {
            if let Output::Transmit { bytes, .. } = output {
                register = Some(bytes);
            }
        }
        let register = register.expect("a link that is up is used");
        let register = Message::decode(&register).expect("the engine sends messages");
        let created = Draft::new(Code::CREATED).option(option::LOCATION_PATH, b"1");
        let created = created.encode(Kind::Acknowledgement, register.id, register.token);
        rig.handle(Input::Datagram { link: LINK, bytes: &created });
        assert_eq!(rig.engine.status().servers[0].state, ServerState::Registered);
        rig
    }

    fn handle(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
        self.most = self.most.max(ALLOCATED.allocated());
    }

    /// Does what the engine wants; gives the code of the answer that it sends.
    fn code(&mut self) -> Option<Code> {
        let mut code = None;
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Call(Call { id, operation: CallOperation::Stream { .. }, .. }) => {
                    self.handle(Input::Reply { call: id, result: Ok(CallReply::Done) });
                }
                Output::Transmit { bytes, .. } => {
                    code = Some(Message::decode(&bytes).expect("a message").code);
                }
                _ => {}
            }
        }
        code
    }

    /// Pushes a value of so many blocks of 1 KiB.
    fn push(&mut self, blocks: u32) {
        for number in 0..blocks {
            let more = number + 1 < blocks;
            let draft = ["33102", "0", "0"].iter().fold(Draft::new(method::PUT), |draft, id| {
                draft.option(option::URI_PATH, id.as_bytes())
            });
            let block = number << 4 | u32::from(more) << 3 | 6;
            let draft = draft.option_uint(option::BLOCK1, block);
            let draft = draft.content(ContentFormat::OPAQUE, vec![number as u8; 1024]);
            let datagram = draft.encode(Kind::Confirmable, self.next_id, Token::default());
            self.next_id = self.next_id.wrapping_add(1);
            drop(draft);
            self.now.boot = self.now.boot + Duration::from_millis(50);
            self.handle(Input::Datagram { link: LINK, bytes: &datagram });
            let stored = if more { Code::CONTINUE } else { Code::CHANGED };
            assert_eq!(self.code(), Some(stored), "block {number}");
        }
    }
}

/// OBJ-93; Objects 7: never whole in memory. Answers are kept for duplicates, 64 of them; after
/// that nothing grows.
#[test]
fn memory_does_not_grow_with_the_value_that_streams() {
    let mut rig = Rig::registered();
    while rig.engine.poll_output().is_some() {}
    rig.push(100);
    let small = std::mem::take(&mut rig.most);
    rig.push(16 * 1024);
    assert!(rig.most <= small + SLACK, "{small} bytes for 100 KiB, {} for 16 MiB", rig.most);
}

const LINK: LinkId = LinkId(0);

/// Bytes by which one message may differ from another, all of them held at once.
const SLACK: usize = 1024;
