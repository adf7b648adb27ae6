//! The factory reset: what servers have written is forgotten, durably.
//!
//! 1. One commit removes every record; one that fails changes nothing.
//! 2. The accounts are as configured again, nothing is attached or observed.
//! 3. A server that knows the device is told that it leaves (De-register).
//! 4. It is registered with anew, over a link that owes nothing to an older one.

use lwm2m_model::record::Key;
use lwm2m_model::{Code, Path, RequestError};

use crate::attributes::Attached;
use crate::engine::Engine;
use crate::server::Then;
use crate::{Event, Output};

impl Engine {
    /// Goes on as after a first start: nothing is on the medium any more.
    pub(crate) fn forget_all(&mut self) {
        self.outputs.push_back(Output::Event(Event::FactoryReset));
        let reason = "the device forgets what servers wrote";
        self.refuse_waiting(&RequestError::new(Code::SERVICE_UNAVAILABLE, reason));
        let ids: Vec<u16> = self.servers.keys().copied().collect();
        for id in ids {
            self.end_observations_of(id, reason);
            let Some(server) = self.servers.get_mut(&id).filter(|server| !server.is_leaving())
            else {
                continue;
            };
            server.attached = Attached::default();
            server.account = server.configured.clone();
            self.account_differs(id);
            self.wake(id);
            self.send_deregister(id, Then::BeginAnew);
        }
    }

    /// Marks every record that there is.
    pub(crate) fn mark_all(&mut self) {
        let observations = self.servers.keys().flat_map(|id| self.observations_of(*id));
        let observations = observations.filter_map(|id| self.observations.get(id)?.record_key());
        let root = Path::root();
        let of_servers = self.servers.iter().flat_map(|(id, server)| {
            let attached = server.attached.below(&root);
            let attached = attached.map(|path| Key::Attached(*id, path.clone()));
            attached.chain([Key::Account(*id), Key::Registration(*id), Key::Disabled(*id)])
        });
        let keys: Vec<Key> = observations.chain(of_servers).collect();
        keys.into_iter().for_each(|key| self.mark(key));
    }
}
