//! Notification attributes: when a notification is due (Core 3).

use lwm2m_model::{Code, Instant, Value};
use lwm2m_world::{Ask, World, ms, secs};

const VALUE: &str = "/3303/0/5700";
const FLAG: &str = "/3303/0/5500";

/// An observation and when it began.
struct Observed {
    world: World,
    begun: Instant,
}

/// Attaches attributes, then observes `/3303/0/5700` with those of the query.
fn observe(attached: &[(&str, &str)], query: &str) -> Observed {
    observe_path(VALUE, Value::Float(20.0), attached, query)
}

fn observe_path(path: &str, first: Value, attached: &[(&str, &str)], query: &str) -> Observed {
    let mut world = World::registered(|_| {});
    world.device.objects.set(VALUE, Value::Float(20.0));
    world.device.objects.set(path, first);
    for (path, query) in attached {
        assert_eq!(world.attach(path, query), Code::CHANGED, "{path} {query}");
    }
    world.observe(path, query);
    // Counted from when the answer left the device.
    let begun = world.last_sent();
    Observed { world, begun }
}

impl Observed {
    fn at(&mut self, second: u64, value: f64) {
        self.set_at(second, VALUE, Value::Float(value));
    }

    fn set_at(&mut self, second: u64, path: &str, value: Value) {
        let at = self.begun + secs(second);
        self.world.run_for(at - self.world.now);
        self.world.change(path, value);
    }

    /// What came until then: second and text.
    fn until(&mut self, second: u64) -> Vec<(u64, String)> {
        let at = self.begun + secs(second) + ms(500);
        self.world.run_for(at - self.world.now);
        self.world.noticed_since(self.begun)
    }
}

fn texts(notices: &[(u64, &str)]) -> Vec<(u64, String)> {
    notices.iter().map(|(at, text)| (*at, (*text).to_owned())).collect()
}

#[test]
fn not_01_without_attributes_every_change_is_told_at_once() {
    let mut seen = observe(&[], "");
    seen.at(5, 21.0);
    seen.at(6, 21.0);
    assert_eq!(seen.until(20), texts(&[(5, "21")]));
}

#[test]
fn not_02_pmin_delays_but_keeps_the_last_value() {
    let mut seen = observe(&[(VALUE, "pmin=10")], "");
    seen.at(3, 21.0);
    seen.at(7, 22.0);
    assert_eq!(seen.until(30), texts(&[(10, "22")]));
}

#[test]
fn not_03_pmax_repeats_what_has_not_changed() {
    let mut seen = observe(&[(VALUE, "pmax=60")], "");
    assert_eq!(seen.until(185), texts(&[(60, "20"), (120, "20"), (180, "20")]));
}

#[test]
fn not_04_a_pmax_below_pmin_has_no_effect() {
    let mut seen = observe(&[(VALUE, "pmin=10&pmax=5")], "");
    seen.at(3, 21.0);
    assert_eq!(seen.until(100), texts(&[(10, "21")]));
}

#[test]
fn a_pmax_equal_to_pmin_has_effect() {
    let mut seen = observe(&[(VALUE, "pmin=10&pmax=10")], "");
    seen.at(12, 21.0);
    assert_eq!(seen.until(25), texts(&[(10, "20"), (20, "21")]));
}

#[test]
fn not_05_pmax_0_is_no_maximum() {
    let mut seen = observe(&[(VALUE, "pmax=0")], "");
    assert_eq!(seen.until(10_000), []);
}

/// Core 3.7 A.
#[test]
fn pmin_and_pmax_together_follow_the_worked_example() {
    let mut seen = observe(&[(VALUE, "pmin=10&pmax=60")], "");
    seen.at(4, 20.5);
    seen.at(7, 21.0);
    seen.at(25, 21.4);
    seen.at(26, 21.0);
    let expected = [(10, "21"), (25, "21.4"), (35, "21"), (95, "21")];
    assert_eq!(seen.until(100), texts(&expected));
}

#[test]
fn not_06_to_10_and_31_thresholds_and_steps() {
    let cases: [(&str, f64, f64, bool); 8] = [
        ("gt=45&st=10", 45.0, 50.0, true),
        ("gt=45&st=10", 38.0, 49.0, true),
        ("gt=45&st=10", 48.0, 42.0, true),
        ("gt=45&st=10", 48.0, 55.0, false),
        ("lt=20&gt=85&st=10", 87.0, 99.0, true),
        ("gt=45", 45.0, 40.0, false),
        ("gt=45", 45.0, 46.0, true),
        ("st=0.5", 20.0, 20.5, true),
    ];
    for (query, before, after, due) in cases {
        let mut seen = observe_path(VALUE, Value::Float(before), &[(VALUE, query)], "");
        seen.at(2, after);
        assert_eq!(seen.until(5).len(), usize::from(due), "{query} {before} {after}");
    }
}

/// Core 3.7 B: `last` is the value last told, not the value last seen.
#[test]
fn steps_count_from_what_was_last_told() {
    let mut seen = observe_path(VALUE, Value::Float(28.0), &[(VALUE, "gt=30&st=5")], "");
    for (second, value) in [(1, 29.0), (2, 31.0), (3, 33.0), (4, 29.5), (5, 24.5), (6, 24.0)] {
        seen.at(second, value);
    }
    assert_eq!(seen.until(10), texts(&[(2, "31"), (4, "29.5"), (5, "24.5")]));
}

#[test]
fn not_13_14_32_edge_judges_real_transitions() {
    let cases: [(&str, &[(u64, &str)]); 2] =
        [("edge=1", &[(1, "1"), (3, "1")]), ("edge=0", &[(2, "0")])];
    for (query, expected) in cases {
        let mut seen = observe_path(FLAG, Value::Boolean(false), &[(FLAG, query)], "");
        for (second, value) in [(1, true), (2, false), (3, true)] {
            seen.set_at(second, FLAG, Value::Boolean(value));
        }
        assert_eq!(seen.until(10), texts(expected), "{query}");
    }
}

#[test]
fn not_16_epmin_spaces_evaluations() {
    let mut seen = observe(&[(VALUE, "epmin=5")], "");
    let calls = seen.world.device.calls.len();
    seen.at(1, 21.0);
    seen.at(4, 22.0);
    assert_eq!(seen.world.device.calls.len(), calls, "not even read before");
    assert_eq!(seen.until(30), texts(&[(5, "22")]));
}

/// Core 3.7 G.
#[test]
fn epmin_gives_one_notification_with_the_current_value() {
    let mut seen = observe(&[(VALUE, "epmin=60&st=1")], "");
    for (second, value) in [(5, 25.0), (10, 30.0), (15, 35.0)] {
        seen.at(second, value);
    }
    assert_eq!(seen.until(200), texts(&[(60, "35")]));
}

#[test]
fn not_17_epmax_evaluates_a_sensor_that_says_nothing() {
    let mut seen = observe(&[(VALUE, "epmax=30&gt=45")], "");
    seen.world.run_for(secs(35));
    seen.world.device.objects.set(VALUE, Value::Float(50.0));
    assert_eq!(seen.until(100), texts(&[(60, "50")]));
}

#[test]
fn not_19_20_con_decides_and_the_account_fills_the_gap() {
    for (account, query, confirmable) in
        [(false, "", false), (false, "con=1", true), (true, "", true), (true, "con=0", false)]
    {
        let mut world =
            World::registered(|setup| setup.account().confirmable_notifications = account);
        world.observe(VALUE, query);
        world.change(VALUE, Value::Float(1.0));
        world.run_for(secs(1));
        assert_eq!(world.take_notices()[0].confirmable, confirmable, "{account} {query}");
    }
}

#[test]
fn one_notification_a_day_is_confirmable() {
    let mut world = World::registered(|_| {});
    world.observe(VALUE, "pmax=3600");
    world.run_for(secs(3 * 86_400 + 10));
    let notices = world.take_notices();
    let confirmable = notices.iter().filter(|notice| notice.confirmable).count();
    assert_eq!((notices.len(), confirmable), (72, 3));
}

#[test]
fn not_25_the_lower_level_wins() {
    let mut seen = observe(&[("/3303", "pmin=5"), (VALUE, "pmin=20")], "");
    seen.at(1, 21.0);
    assert_eq!(seen.until(40), texts(&[(20, "21")]));
}

#[test]
fn not_26_attributes_below_the_observed_level_are_ignored() {
    let mut world = World::registered(|_| {});
    world.attach(VALUE, "pmin=20");
    world.observe("/3303/0", "");
    let begun = world.last_sent();
    world.run_for(secs(1));
    world.change(VALUE, Value::Float(21.0));
    world.run_for(secs(60));
    let notices = world.take_notices();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].at - begun < secs(2));
}

#[test]
fn not_27_attributes_of_the_observe_replace_the_attached_ones() {
    let mut seen = observe(&[(VALUE, "pmin=20&pmax=25")], "pmin=2");
    seen.at(1, 21.0);
    assert_eq!(seen.until(60), texts(&[(2, "21")]), "the attached pmax does not count either");
    assert_eq!(seen.world.discover(VALUE), "</3303/0/5700>;pmin=20;pmax=25");
}

/// Core 3.7 E.
#[test]
fn account_defaults_fill_what_the_observe_leaves_open() {
    let mut world = World::registered(|setup| setup.account().default_pmin = Some(2));
    world.attach(VALUE, "pmin=5&pmax=60");
    world.observe(VALUE, "pmax=10");
    let begun = world.last_sent();
    world.change(VALUE, Value::Float(21.0));
    world.run_for(secs(13));
    assert_eq!(world.noticed_since(begun), texts(&[(2, "21"), (12, "21")]));
}

#[test]
fn not_28_a_bare_name_unsets_and_what_is_above_counts_again() {
    let mut seen = observe(&[("/3303/0", "pmin=5"), (VALUE, "pmin=20"), (VALUE, "pmin")], "");
    seen.at(1, 21.0);
    assert_eq!(seen.until(40), texts(&[(5, "21")]));
    let mut seen = observe(&[(VALUE, "pmin=20"), (VALUE, "pmin")], "");
    seen.at(1, 21.0);
    assert_eq!(seen.until(40), texts(&[(1, "21")]));
}

#[test]
fn not_30_a_threshold_crossed_and_crossed_back_within_pmin_is_told() {
    let mut seen = observe(&[(VALUE, "pmin=10&gt=30")], "");
    seen.at(3, 35.0);
    seen.at(5, 25.0);
    assert_eq!(seen.until(40), texts(&[(10, "25")]));
}

#[test]
fn attributes_written_during_an_observation_count_from_then_on() {
    let mut seen = observe(&[(VALUE, "pmin=100")], "");
    seen.at(3, 21.0);
    assert_eq!(seen.world.attach(VALUE, "pmin=10"), Code::CHANGED);
    assert_eq!(seen.until(40), texts(&[(10, "21")]));
    assert_eq!(seen.world.attach(VALUE, "pmin&pmax=30"), Code::CHANGED);
    assert_eq!(seen.until(75), texts(&[(40, "21"), (70, "21")]));
}

#[test]
fn a_default_that_the_server_writes_counts_at_once() {
    let mut seen = observe(&[], "");
    assert_eq!(seen.world.write("/1/0/3", "20"), Code::CHANGED);
    assert_eq!(seen.until(50), texts(&[(20, "20"), (40, "20")]));
}

/// NOT-11, NOT-12, NOT-15, Core 3.7 H and the rows of Write-Attributes in Core 11.
#[test]
fn attributes_that_cannot_be_attached_get_their_code() {
    let refused = [
        (VALUE, "lt=20&gt=85&st=40", Code::BAD_REQUEST),
        (VALUE, "lt=50&gt=40", Code::BAD_REQUEST),
        (VALUE, "edge=1", Code::BAD_REQUEST),
        (FLAG, "gt=1", Code::BAD_REQUEST),
        ("/3303/0", "gt=5", Code::BAD_REQUEST),
        ("/3303/0/5701", "st=1", Code::BAD_REQUEST),
        (VALUE, "epmin=5&epmax=5", Code::BAD_REQUEST),
        (VALUE, "pmin=", Code::BAD_REQUEST),
        (VALUE, "pmin=1&pmin=2", Code::BAD_REQUEST),
        (VALUE, "dim=3", Code::BAD_REQUEST),
        (VALUE, "pmin=1&nonsense=2", Code::BAD_REQUEST),
        ("/0/0", "pmin=1", Code::UNAUTHORIZED),
        ("/3303/0/5700/0", "pmin=1", Code::METHOD_NOT_ALLOWED),
        ("/3303/0/5605", "pmin=1", Code::METHOD_NOT_ALLOWED),
        ("/", "pmin=1", Code::METHOD_NOT_ALLOWED),
        ("/3303/7/5700", "pmin=1", Code::NOT_FOUND),
        ("/3/0/2", "pmin=1", Code::NOT_FOUND),
        ("/99", "pmin=1", Code::NOT_FOUND),
    ];
    let mut world = World::registered(|_| {});
    for (path, query, code) in refused {
        assert_eq!(world.attach(path, query), code, "{path}?{query}");
    }
    assert_eq!(world.discover(VALUE), "</3303/0/5700>", "nothing is attached");
    assert_eq!(world.attach(VALUE, "pmin=20&pmax=10"), Code::CHANGED, "no contradiction");
}

#[test]
fn attributes_stay_when_the_registration_is_renewed() {
    let mut world = World::registered(|setup| setup.account().lifetime = 100);
    world.attach(VALUE, "pmin=7");
    world.server_forgets();
    world.run_for(secs(60));
    assert_eq!(world.server.accepted("Register"), 2);
    assert_eq!(world.discover(VALUE), "</3303/0/5700>;pmin=7");
    assert_eq!(world.code(Ask::read(VALUE)), Code::CONTENT);
}
