//! The notification behaviour cases NOT-01 to NOT-32, one test a row, named after it
//! (Core 3.4 to 3.8). Rows about composite observations are not here.

use lwm2m_codec::Item;
use lwm2m_engine::Account;
use lwm2m_model::{Code, ContentFormat, DataType, Entry, Instant, Value};
use lwm2m_world::{Ask, Notice, Observed, World, secs, texts};

const VALUE: &str = "/3303/0/5700";
const FLAG: &str = "/3303/0/5500";

/// Attaches attributes, then observes a sensor that shows 20.
fn observe(attached: &[(&str, &str)]) -> Observed {
    observe_from(20.0, attached)
}

fn observe_from(first: f64, attached: &[(&str, &str)]) -> Observed {
    Observed::new(VALUE, Value::Float(first), attached, "")
}

/// True if the change from one value to another is told.
fn is_told(query: &str, before: f64, after: f64) -> bool {
    let mut seen = observe_from(before, &[(VALUE, query)]);
    seen.at(2, Value::Float(after));
    !seen.until(5).is_empty()
}

/// CORE-39.
#[test]
fn not_01_without_attributes_every_change_is_told_at_once() {
    let mut seen = observe(&[]);
    seen.at(5, Value::Float(21.0));
    seen.at(6, Value::Float(21.0));
    assert_eq!(seen.until(20), texts(&[(5, "21")]));
}

/// CORE-32, CORE-33.
#[test]
fn not_02_pmin_delays_but_keeps_the_last_value() {
    let mut seen = observe(&[(VALUE, "pmin=10")]);
    seen.at(3, Value::Float(21.0));
    seen.at(7, Value::Float(22.0));
    assert_eq!(seen.until(30), texts(&[(10, "22")]));
}

/// CORE-34, CORE-35.
#[test]
fn not_03_pmax_repeats_what_has_not_changed() {
    let mut seen = observe(&[(VALUE, "pmax=60")]);
    assert_eq!(seen.until(185), texts(&[(60, "20"), (120, "20"), (180, "20")]));
}

/// CORE-29.
#[test]
fn not_04_a_pmax_below_pmin_has_no_effect() {
    let mut seen = observe(&[(VALUE, "pmin=10&pmax=5")]);
    seen.at(3, Value::Float(21.0));
    assert_eq!(seen.until(100), texts(&[(10, "21")]));
}

/// CORE-30.
#[test]
fn not_05_pmax_0_is_no_maximum() {
    assert_eq!(observe(&[(VALUE, "pmax=0")]).until(10_000), []);
}

/// CORE-36.
#[test]
fn not_06_a_threshold_crossed_upward_is_told() {
    assert!(is_told("gt=45&st=10", 45.0, 50.0));
}

/// CORE-40.
#[test]
fn not_07_a_threshold_and_a_step_together_are_told_once() {
    let mut seen = observe_from(38.0, &[(VALUE, "gt=45&st=10")]);
    seen.at(2, Value::Float(49.0));
    assert_eq!(seen.until(20), texts(&[(2, "49")]));
}

/// CORE-36.
#[test]
fn not_08_a_threshold_crossed_downward_is_told() {
    assert!(is_told("gt=45&st=10", 48.0, 42.0));
}

#[test]
fn not_09_neither_a_crossing_nor_a_step_is_not_told() {
    assert!(!is_told("gt=45&st=10", 48.0, 55.0));
}

/// CORE-37.
#[test]
fn not_10_a_step_without_a_crossing_is_told() {
    assert!(is_told("lt=20&gt=85&st=10", 87.0, 99.0));
}

/// CORE-28.
#[test]
fn not_11_two_steps_have_to_fit_between_the_thresholds() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.attach(VALUE, "lt=20&gt=85&st=40"), Code::BAD_REQUEST);
    assert_eq!(world.discover(VALUE), "</3303/0/5700>");
}

/// CORE-27.
#[test]
fn not_12_lt_has_to_be_below_gt() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.attach(VALUE, "lt=50&gt=40"), Code::BAD_REQUEST);
    assert_eq!(world.discover(VALUE), "</3303/0/5700>");
}

/// What an edge makes of false, true, false.
fn edges(query: &str) -> Vec<(u64, String)> {
    let mut seen = Observed::new(FLAG, Value::Boolean(false), &[(FLAG, query)], "");
    seen.at(2, Value::Boolean(true));
    seen.at(4, Value::Boolean(false));
    seen.until(10)
}

/// CORE-38.
#[test]
fn not_13_edge_1_tells_of_false_to_true() {
    assert_eq!(edges("edge=1"), texts(&[(2, "1")]));
}

/// CORE-38.
#[test]
fn not_14_edge_0_tells_of_true_to_false() {
    assert_eq!(edges("edge=0"), texts(&[(4, "0")]));
}

/// CORE-25.
#[test]
fn not_15_edge_goes_with_booleans_alone() {
    let mut world = World::registered(|_| {});
    for path in [VALUE, "/3303/0/5701", "/3303/0/7000", "/3303/0/7000/0", "/3303/0/5518"] {
        assert_eq!(world.attach(path, "edge=1"), Code::BAD_REQUEST, "{path}");
    }
}

/// CORE-41.
#[test]
fn not_16_epmin_spaces_evaluations() {
    let mut seen = observe(&[(VALUE, "epmin=5")]);
    let calls = seen.world.device.calls.len();
    seen.at(1, Value::Float(21.0));
    seen.at(4, Value::Float(22.0));
    assert_eq!(seen.world.device.calls.len(), calls, "not even read before");
    assert_eq!(seen.until(30), texts(&[(5, "22")]));
}

/// CORE-41.
#[test]
fn not_17_epmax_evaluates_a_sensor_that_says_nothing() {
    let mut seen = observe(&[(VALUE, "epmax=30&gt=45")]);
    seen.wait_until(35);
    seen.world.device.objects.set(VALUE, Value::Float(50.0));
    assert_eq!(seen.until(100), texts(&[(60, "50")]));
}

/// True if a change is told confirmably, where the account says so or not.
fn is_confirmable(by_default: bool, query: &str) -> bool {
    let mut world =
        World::registered(|setup| setup.account().confirmable_notifications = by_default);
    world.attach(VALUE, query);
    world.observe(VALUE, "");
    world.change(VALUE, Value::Float(1.0));
    world.run_for(secs(1));
    world.take_notices()[0].confirmable
}

/// CORE-44, TRN-31, OBJ-50.
#[test]
fn not_19_without_con_the_account_decides() {
    assert!(is_confirmable(true, "pmin=0"));
    assert!(!is_confirmable(false, "pmin=0"));
    assert!(is_confirmable(false, "con=1"));
}

/// TRN-31, TRN-32.
#[test]
fn not_20_con_0_is_not_confirmable_but_once_a_day() {
    assert!(!is_confirmable(true, "con=0"));
    let mut world = World::registered(|setup| setup.account().confirmable_notifications = true);
    world.observe(VALUE, "con=0&pmax=3600");
    world.run_for(secs(3 * 86_400 + 10));
    let notices = world.take_notices();
    let confirmable = notices.iter().filter(|notice| notice.confirmable).count();
    assert_eq!((notices.len(), confirmable), (72, 3));
}

/// Observes a sensor that shows 0 in this format, with attributes attached, and loses
/// the server 20 s later; gives the world and when that was.
fn lose_server(attached: &str, format: ContentFormat, storing: bool) -> (World, Instant) {
    let mut world = World::registered(|setup| setup.account().notification_storing = storing);
    world.device.objects.set(VALUE, Value::Float(0.0));
    world.attach(VALUE, attached);
    world.ask(Ask::observe(VALUE, "").accept(format));
    world.run_for(secs(20));
    world.lose_network();
    let lost = world.now;
    (world, lost)
}

/// The values 1, 2, 3 ... 10, 20, 30 s ... after the server was lost, then the server.
fn changes_and_returns(world: &mut World, count: u32) -> Vec<Notice> {
    for value in 1..=count {
        world.run_for(secs(10));
        world.change(VALUE, Value::Float(value.into()));
    }
    world.regain_network_after(secs(10));
    world.run_for(secs(10));
    assert_eq!(world.server.accepted("Register"), 1, "observations are held");
    world.take_notices()
}

/// CORE-50, CORE-54, OBJ-43: in SenML one payload with times, in formats without time
/// one notification a value.
#[test]
fn not_21_the_newest_hqmax_values_are_told_oldest_first() {
    for format in [ContentFormat::SENML_JSON, ContentFormat::SENML_CBOR] {
        let (mut world, lost) = lose_server("hqmax=3", format, true);
        let notices = changes_and_returns(&mut world, 5);
        assert_eq!(notices.len(), 1, "{format}");
        assert!(notices[0].confirmable);
        let target = VALUE.parse().unwrap();
        let records = lwm2m_codec::decode(format, &notices[0].payload, &target).unwrap();
        let seen: Vec<(Value, f64)> = records
            .iter()
            .map(|record| match &record.item {
                Item::Value(raw) => (raw.to_value(DataType::Float).unwrap(), record.time.unwrap()),
                other => panic!("{other:?}"),
            })
            .collect();
        let at = |second: u64| world.device.unix_time(lost + secs(second));
        let expected = [3_u32, 4, 5].map(|v| (Value::Float(v.into()), at(u64::from(v) * 10)));
        assert_eq!(seen, expected, "{format}");
    }
    for format in [ContentFormat::TEXT, ContentFormat::CBOR, ContentFormat::LWM2M_CBOR] {
        let (mut world, _) = lose_server("hqmax=3", format, true);
        let notices = changes_and_returns(&mut world, 5);
        let payloads: Vec<Vec<u8>> = notices.into_iter().map(|notice| notice.payload).collect();
        let target = VALUE.parse().unwrap();
        let expected = [3.0, 4.0, 5.0].map(|value| {
            let mut payload = Vec::new();
            let entries = [Entry::new(VALUE.parse().unwrap(), Value::Float(value))];
            lwm2m_codec::encode(format, &target, &entries, &mut payload).unwrap();
            payload
        });
        assert_eq!(payloads, expected, "{format}");
    }
}

/// CORE-50: nothing is replayed; the current value is told if its conditions hold.
#[test]
fn not_22_hqmax_0_keeps_nothing() {
    let (mut world, _) = lose_server("hqmax=0", ContentFormat::TEXT, true);
    let notices = changes_and_returns(&mut world, 2);
    assert_eq!(notices.iter().map(Notice::text).collect::<Vec<_>>(), ["2"]);
    let (mut world, _) = lose_server("hqmax=0&gt=100", ContentFormat::TEXT, true);
    assert!(changes_and_returns(&mut world, 2).is_empty());
}

/// CORE-52, CORE-53, OBJ-43.
#[test]
fn not_23_hqmax_has_no_effect_without_storing() {
    let (mut world, _) = lose_server("hqmax=3", ContentFormat::TEXT, false);
    let notices = changes_and_returns(&mut world, 2);
    assert_eq!(notices.iter().map(Notice::text).collect::<Vec<_>>(), ["2"]);
    let (mut world, _) = lose_server("hqmax=3&gt=1", ContentFormat::TEXT, false);
    world.run_for(secs(5));
    world.change(VALUE, Value::Float(5.0));
    world.run_for(secs(5));
    world.change(VALUE, Value::Float(0.5));
    world.regain_network_after(secs(10));
    world.run_for(secs(10));
    assert!(world.take_notices().is_empty(), "crossed and crossed back meanwhile");
}

/// CORE-23.
#[test]
fn not_25_the_lower_level_wins() {
    let mut seen = observe(&[("/3303", "pmin=5"), (VALUE, "pmin=20")]);
    seen.at(1, Value::Float(21.0));
    assert_eq!(seen.until(40), texts(&[(20, "21")]));
}

/// CORE-48.
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

/// CORE-45, CORE-46.
#[test]
fn not_27_attributes_of_the_observe_replace_the_attached_ones() {
    let attached = [(VALUE, "pmin=20&pmax=25")];
    let mut seen = Observed::new(VALUE, Value::Float(20.0), &attached, "pmin=2");
    seen.at(1, Value::Float(21.0));
    assert_eq!(seen.until(60), texts(&[(2, "21")]), "the attached pmax does not count either");
    assert_eq!(seen.world.discover(VALUE), "</3303/0/5700>;pmin=20;pmax=25");
}

/// CORE-26, CORE-31.
#[test]
fn not_28_a_bare_name_unsets_and_what_is_above_counts_again() {
    let unset = [("/3303/0", "pmin=5"), (VALUE, "pmin=20"), (VALUE, "pmin")];
    let mut seen = observe(&unset);
    seen.at(1, Value::Float(21.0));
    assert_eq!(seen.until(40), texts(&[(5, "21")]), "what is inherited");
    let change = |setup: &mut lwm2m_world::Setup| setup.account().default_pmin = Some(7);
    let mut seen = Observed::with(VALUE, Value::Float(20.0), &unset[1..], "", change);
    seen.at(1, Value::Float(21.0));
    assert_eq!(seen.until(40), texts(&[(7, "21")]), "what the account says");
}

/// CORE-21, CORE-130.
#[test]
fn not_29_each_server_has_attributes_of_its_own() {
    let mut world = World::registered(|setup| {
        setup.config.accounts.push(Account::new(102, "coap://other.example"));
    });
    world.turn_to(102);
    world.until_registered(secs(60));
    assert_eq!(world.attach(VALUE, "pmin=60"), Code::CHANGED);
    world.observe(VALUE, "");
    world.turn_to(101);
    assert_eq!(world.attach(VALUE, "pmin=10"), Code::CHANGED);
    world.observe(VALUE, "");
    assert_eq!(world.discover(VALUE), "</3303/0/5700>;pmin=10");
    let changed = world.now;
    world.change(VALUE, Value::Float(33.0));
    world.run_for(secs(100));
    assert_eq!(world.noticed_since(changed), texts(&[(9, "33")]));
    world.turn_to(102);
    assert_eq!(world.noticed_since(changed), texts(&[(59, "33")]));
    assert_eq!(world.discover(VALUE), "</3303/0/5700>;pmin=60");
}

/// CORE-33.
#[test]
fn not_30_a_threshold_crossed_and_crossed_back_within_pmin_is_told() {
    let mut seen = observe(&[(VALUE, "pmin=10&gt=30")]);
    seen.at(3, Value::Float(35.0));
    seen.at(5, Value::Float(25.0));
    assert_eq!(seen.until(40), texts(&[(10, "25")]));
}

/// CORE-36.
#[test]
fn not_31_greater_than_is_strict_on_both_sides() {
    assert!(!is_told("gt=45", 45.0, 40.0));
    assert!(is_told("gt=45", 45.0, 46.0));
}

/// CORE-38.
#[test]
fn not_32_an_edge_is_judged_on_the_previous_sample() {
    let mut seen = Observed::new(FLAG, Value::Boolean(false), &[(FLAG, "edge=1")], "");
    for (second, value) in [(1, true), (2, false), (3, true)] {
        seen.at(second, Value::Boolean(value));
    }
    assert_eq!(seen.until(10), texts(&[(1, "1"), (3, "1")]));
}
