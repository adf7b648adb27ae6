//! De-register, and what follows it (Core 5.7): step 8.

use std::time::Duration;

use lwm2m_coap::{Draft, method, option};
use lwm2m_model::Path;
use lwm2m_model::record::Key;

use crate::engine::Engine;
use crate::server::{OwnOperation, Phase, Then};
use crate::{Deregister, Event, Output};

impl Engine {
    /// De-registers and then keeps silent, or stops.
    pub(crate) fn send_deregister(&mut self, id: u16, then: Then) {
        let now = self.now.boot;
        let Some(server) = self.servers.get_mut(&id) else { return };
        let (Some(registration), Some(endpoint)) = (&server.registration, &mut server.endpoint)
        else {
            return self.farewell_over(id, then);
        };
        let draft =
            registration.location.iter().fold(Draft::new(method::DELETE), |draft, segment| {
                draft.option(option::URI_PATH, segment.as_bytes())
            });
        let request = endpoint.request(now, draft);
        let until = server.leave_by.take().unwrap_or(now + FAREWELL_LIMIT);
        server.phase = Phase::Deregistering { request, until, then };
        let operation = OwnOperation::Deregister(then);
        self.record_sent(id, operation, String::new(), None, Vec::new);
    }

    pub(super) fn farewell_over(&mut self, id: u16, then: Then) {
        let storing =
            self.servers.get(&id).is_some_and(|server| server.account.notification_storing);
        // Their tokens are void, but what they would tell is kept (OBJ-43).
        if then != Then::Disable || !storing {
            self.end_observations_of(id, "the registration is over");
        }
        self.close_link(id);
        let Some(server) = self.servers.get_mut(&id) else { return };
        let had_registration = server.registration.take().is_some();
        let attached = server.attached.below(&Path::root()).cloned().collect::<Vec<_>>();
        let reason = match then {
            Then::Stop => {
                server.phase = Phase::Stopped;
                "the agent stops"
            }
            Then::Remove => {
                self.servers.remove(&id);
                for path in attached {
                    self.mark(Key::Attached(id, path));
                }
                self.mark(Key::Account(id));
                self.mark(Key::Session(id));
                self.mark(Key::Disabled(id));
                self.list_accounts();
                "the account was removed"
            }
            Then::Disable => {
                let timeout = Duration::from_secs(u64::from(server.account.disable_timeout));
                let until = self.now.boot + timeout;
                server.phase = Phase::Disabled { until };
                self.mark(Key::Disabled(id));
                self.outputs.push_back(Output::Event(Event::Disabled { server: id, until }));
                "the server disabled itself"
            }
            Then::BeginAnew => {
                server.begin_anew(self.config.version, self.now.boot);
                if self.stopping {
                    server.phase = Phase::Stopped;
                }
                self.outputs.push_back(Output::ForgetLinks { server: id });
                self.mark(Key::Session(id));
                "the device forgets what the server wrote"
            }
        };
        if had_registration {
            self.mark(Key::Registration(id));
            let event = Event::Deregistered { server: id, reason: reason.into() };
            self.outputs.push_back(Output::Event(event));
        }
    }

    /// An orderly stop of all accounts.
    pub(crate) fn stop(&mut self, deregister: Deregister) {
        self.stopping = true;
        let ids: Vec<u16> = self.servers.keys().copied().collect();
        for id in ids {
            let Some(server) = self.servers.get_mut(&id) else { continue };
            if deregister == Deregister::Yes && server.is_registered() {
                self.wake(id);
                self.send_deregister(id, Then::Stop);
            } else if deregister == Deregister::Yes
                && matches!(server.phase, Phase::Registering { .. })
            {
                server.leave_by = Some(self.now.boot + FAREWELL_LIMIT);
            } else {
                self.stop_at_once(id);
            }
        }
    }

    /// Stops without a word to the server.
    pub(super) fn stop_at_once(&mut self, id: u16) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.phase = Phase::Stopped;
        if server.registration.is_some() {
            // The status shows when it was last answered, also after a restart.
            self.persistence.mark(Key::Registration(id));
        }
        self.close_link(id);
    }
}

/// A De-register that is not answered so long is over all the same.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
