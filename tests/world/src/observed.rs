//! One observation and its clock: stories about when a notification is due.

use lwm2m_model::{Code, Instant, Value};

use crate::{Ask, Setup, World, ms, secs};

/// A world with an observation in it, and when that began.
pub struct Observed {
    /// The world.
    pub world: World,
    /// When the answer to Observe left the device: seconds count from here.
    pub begun: Instant,
    /// Token of the observation.
    pub token: Vec<u8>,
    path: String,
}

impl Observed {
    /// Sets `path` to its first value, attaches attributes, and observes the path with
    /// those of the query, perhaps none.
    pub fn new(path: &str, first: Value, attached: &[(&str, &str)], query: &str) -> Self {
        Self::with(path, first, attached, query, |_| {})
    }

    /// As [`Observed::new`] in a world that `change` adapts.
    pub fn with(
        path: &str,
        first: Value,
        attached: &[(&str, &str)],
        query: &str,
        change: impl FnOnce(&mut Setup),
    ) -> Self {
        let mut world = World::registered(change);
        world.device.objects.set(path, first);
        for (path, query) in attached {
            let code = world.attach(path, query);
            if code != Code::CHANGED {
                world.fail(&format!("{path}?{query} was answered {code}"));
            }
        }
        let token = world.observe(path, query);
        let begun = world.last_sent();
        Self { world, begun, token, path: path.to_owned() }
    }

    /// Observes the path once more; seconds count from here.
    pub fn again(&mut self, query: &str) {
        let response = self.world.ask(Ask::observe(&self.path, query));
        (self.token, self.begun) = (response.token, self.world.last_sent());
    }

    /// Lets time pass until this second.
    pub fn wait_until(&mut self, second: u64) {
        let at = self.begun + secs(second);
        self.world.run_for(at - self.world.now);
    }

    /// At this second the value changes, and the object says so.
    pub fn at(&mut self, second: u64, value: Value) {
        self.wait_until(second);
        self.world.change(&self.path, value);
    }

    /// What came until half a second after this one: in which second, and the text.
    pub fn until(&mut self, second: u64) -> Vec<(u64, String)> {
        let at = self.begun + secs(second) + ms(500);
        self.world.run_for(at - self.world.now);
        self.world.noticed_since(self.begun)
    }
}

/// Seconds and texts as [`Observed::until`] gives them.
pub fn texts(notices: &[(u64, &str)]) -> Vec<(u64, String)> {
    notices.iter().map(|(at, text)| (*at, (*text).to_owned())).collect()
}
