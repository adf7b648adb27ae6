//! Update: when one is due, and what its answer means (Core 5.6): steps 5 and 6.

use std::time::Duration;

use lwm2m_coap::{Draft, Message, method, option};
use lwm2m_model::record::{Fingerprint, Key};
use lwm2m_model::{Code, ContentFormat, Instant};

use crate::engine::Engine;
use crate::server::{Announced, OwnOperation, Phase, Server};
use crate::{Event, Output, object_list};

impl Engine {
    /// Something that the server knows has changed: an Update is due at `at`.
    pub(crate) fn update_due(&mut self, id: u16, at: Instant) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.update_at = Some(server.update_at.map_or(at, |before| before.min(at)));
        }
    }

    /// The operator wants an Update: now, or an attempt now if there is no
    /// registration to update.
    pub(crate) fn update_now(&mut self, id: u16) {
        let now = self.now.boot;
        self.update_due(id, now);
        if let Some(Server { phase: Phase::Waiting { until }, .. }) = self.servers.get_mut(&id) {
            *until = now;
        }
    }

    /// Begins an attempt anew that waits, or that opens a link.
    pub(crate) fn retry_now(&mut self, id: u16) {
        match self.servers.get_mut(&id).map(|server| &mut server.phase) {
            Some(Phase::Waiting { until }) => *until = self.now.boot,
            Some(Phase::Connecting) => self.open_link(id),
            _ => {}
        }
    }

    /// Sends an Update with what has changed and nothing else (CORE-101).
    pub(crate) fn send_update(&mut self, id: u16) {
        let now = self.now.boot;
        self.wake(id);
        let Some(told) = self.announced(id) else { return };
        let Some(server) = self.servers.get_mut(&id) else { return };
        if server.endpoint.is_none() {
            return self.open_link(id); // lost during sleep; the Update follows
        }
        let objects = object_list::write(&self.objects, server.version);
        let binding = server.binding_mode(&self.config.bindings);
        let (Some(registration), Some(endpoint)) = (&server.registration, &mut server.endpoint)
        else {
            return;
        };
        let mut draft =
            registration.location.iter().fold(Draft::new(method::POST), |draft, segment| {
                draft.option(option::URI_PATH, segment.as_bytes())
            });
        let mut query = Vec::new();
        if told.lifetime != registration.known.lifetime {
            query.push(format!("lt={}", told.lifetime));
        }
        if told.binding != registration.known.binding {
            query.push(format!("b={binding}"));
        }
        for parameter in &query {
            draft = draft.option(option::URI_QUERY, parameter.as_bytes());
        }
        let objects = (told.objects != registration.known.objects).then_some(objects);
        if let Some(objects) = &objects {
            draft = draft.content(ContentFormat::LINK, objects.clone().into_bytes());
        }
        server.told = Some(told);
        let request = endpoint.request(now, draft);
        server.phase = Phase::Registered { update: Some(request), asleep: false };
        server.update_at = None;
        let format = objects.is_some().then_some(ContentFormat::LINK);
        self.record_sent(id, OwnOperation::Update, query.join("&"), format, || {
            objects.unwrap_or_default().into_bytes()
        });
    }

    pub(super) fn update_answered(&mut self, id: u16, message: &Message<'_>) {
        let now = self.now.boot;
        if message.code == Code::CHANGED {
            let Some(server) = self.servers.get_mut(&id) else { return };
            server.phase = Phase::Registered { update: None, asleep: false };
            let mut event = Event::Updated { server: id };
            if let Some(registration) = &mut server.registration {
                registration.confirmed = now;
                if std::mem::take(&mut registration.is_restored) {
                    event = Event::Resumed {
                        server: id,
                        version: server.version,
                        lifetime: server.account.lifetime,
                        location: format!("/{}", registration.location.join("/")),
                    };
                }
                if let Some(told) = server.told.take().filter(|told| *told != registration.known) {
                    registration.known = told;
                    self.persistence.mark(Key::Registration(id));
                }
            }
            self.tell_what_changed(id);
            self.succeeded(id);
            self.outputs.push_back(Output::Event(event));
        } else {
            // TRN-10: whatever the refusal, a full Register before anything else.
            let reason = format!("Update refused with {} {}", message.code, message.code.name());
            self.outputs.push_back(Output::Event(Event::AttemptFailed {
                server: id,
                reason: reason.into(),
                next: None,
            }));
            self.send_register(id);
        }
    }

    /// What the server does not know yet is told next.
    pub(crate) fn tell_what_changed(&mut self, id: u16) {
        let current = self.announced(id);
        let known = self.servers.get(&id).and_then(|server| server.registration.as_ref());
        if known.is_some_and(|known| Some(&known.known) != current.as_ref()) {
            self.update_due(id, self.now.boot);
        }
    }

    pub(super) fn object_list(&self, id: u16) -> String {
        let server = self.servers.get(&id);
        server.map_or_else(String::new, |it| object_list::write(&self.objects, it.version))
    }

    /// What the server has to know now.
    pub(super) fn announced(&self, id: u16) -> Option<Announced> {
        let server = self.servers.get(&id)?;
        Some(Announced {
            lifetime: server.account.lifetime,
            binding: server.account.binding_text(server.version),
            objects: Fingerprint::of([self.object_list(id).as_bytes()]),
        })
    }

    /// Server accounts or object instances are others than before: one Update
    /// tells every server, shortly, so that changes that come together go together.
    pub(crate) fn object_list_changed(&mut self) {
        let at = self.now.boot + OBJECT_LIST_SETTLES;
        let ids: Vec<u16> = self.servers.keys().copied().collect();
        for id in ids {
            let current = self.announced(id);
            let known = self.servers.get(&id).and_then(|server| server.registration.as_ref());
            if known.is_some_and(|known| Some(&known.known) != current.as_ref()) {
                self.update_due(id, at);
            }
        }
    }
}

/// Changes of the object list within this time are one Update.
const OBJECT_LIST_SETTLES: Duration = Duration::from_secs(5);
