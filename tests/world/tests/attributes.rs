//! Notification attributes: when a notification is due (Core 3).

use lwm2m_model::{Code, Value};
use lwm2m_world::{Ask, Observed, World, secs, texts};

const VALUE: &str = "/3303/0/5700";
const FLAG: &str = "/3303/0/5500";

/// Attaches attributes, then observes a sensor that shows 20, with those of the query.
fn observe(attached: &[(&str, &str)], query: &str) -> Observed {
    Observed::new(VALUE, Value::Float(20.0), attached, query)
}

/// CORE-29.
#[test]
fn a_pmax_equal_to_pmin_has_effect() {
    let mut seen = observe(&[(VALUE, "pmin=10&pmax=10")], "");
    seen.at(12, Value::Float(21.0));
    assert_eq!(seen.until(25), texts(&[(10, "20"), (20, "21")]));
}

/// Core 3.7 A.
/// CORE-32 to 35.
#[test]
fn pmin_and_pmax_together_follow_the_worked_example() {
    let mut seen = observe(&[(VALUE, "pmin=10&pmax=60")], "");
    seen.at(4, Value::Float(20.5));
    seen.at(7, Value::Float(21.0));
    seen.at(25, Value::Float(21.4));
    seen.at(26, Value::Float(21.0));
    let expected = [(10, "21"), (25, "21.4"), (35, "21"), (95, "21")];
    assert_eq!(seen.until(100), texts(&expected));
}

/// Core 3.7 B: `last` is the value last told, not the value last seen.
/// CORE-37.
#[test]
fn steps_count_from_what_was_last_told() {
    let mut seen = Observed::new(VALUE, Value::Float(28.0), &[(VALUE, "gt=30&st=5")], "");
    for (second, value) in [(1, 29.0), (2, 31.0), (3, 33.0), (4, 29.5), (5, 24.5), (6, 24.0)] {
        seen.at(second, Value::Float(value));
    }
    assert_eq!(seen.until(10), texts(&[(2, "31"), (4, "29.5"), (5, "24.5")]));
}

/// Core 3.7 G.
#[test]
fn epmin_gives_one_notification_with_the_current_value() {
    let mut seen = observe(&[(VALUE, "epmin=60&st=1")], "");
    for (second, value) in [(5, 25.0), (10, 30.0), (15, 35.0)] {
        seen.at(second, Value::Float(value));
    }
    assert_eq!(seen.until(200), texts(&[(60, "35")]));
}

/// Core 3.7 E.
/// CORE-31, 45.
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
fn attributes_written_during_an_observation_count_from_then_on() {
    let mut seen = observe(&[(VALUE, "pmin=100")], "");
    seen.at(3, Value::Float(21.0));
    assert_eq!(seen.world.attach(VALUE, "pmin=10"), Code::CHANGED);
    assert_eq!(seen.until(40), texts(&[(10, "21")]));
    assert_eq!(seen.world.attach(VALUE, "pmin&pmax=30"), Code::CHANGED);
    assert_eq!(seen.until(75), texts(&[(40, "21"), (70, "21")]));
}

/// CORE-31.
#[test]
fn a_default_that_the_server_writes_counts_at_once() {
    let mut seen = observe(&[], "");
    assert_eq!(seen.world.write("/1/0/3", "20"), Code::CHANGED);
    assert_eq!(seen.until(50), texts(&[(20, "20"), (40, "20")]));
}

/// Requests that contradict themselves or the type of their target, at every level
/// (Core 3.3, 3.4, 3.7 H); they are 4.00 in Write-Attributes and in Observe.
const CONTRADICTIONS: [(&str, &str); 37] = [
    // CORE-27 and CORE-28, on a resource and a resource instance.
    (VALUE, "lt=50&gt=40"),
    (VALUE, "lt=40&gt=40"),
    (VALUE, "gt=-10&lt=-5"),
    (VALUE, "lt=20&gt=85&st=40"),
    (VALUE, "lt=10&gt=20&st=5"),
    ("/3303/0/7000", "lt=50&gt=40"),
    ("/3303/0/7000/0", "lt=50&gt=40"),
    ("/3303/0/7000/0", "lt=10&gt=20&st=5"),
    // CORE-42, at every level.
    ("/3303", "epmin=5&epmax=5"),
    ("/3303/0", "epmin=6&epmax=5"),
    (VALUE, "epmin=5&epmax=5"),
    ("/3303/0/7000/0", "epmin=5&epmax=5"),
    // CORE-24.
    ("/3303", "gt=5"),
    ("/3303", "lt=5"),
    ("/3303", "st=5"),
    ("/3303", "edge=1"),
    ("/3303/0", "gt=5"),
    ("/3303/0", "lt=5"),
    ("/3303/0", "st=5"),
    ("/3303/0", "edge=0"),
    // CORE-25.
    (VALUE, "edge=1"),
    (FLAG, "gt=1"),
    (FLAG, "st=1"),
    ("/3303/0/5701", "st=1"),
    ("/3303/0/5701", "lt=1"),
    ("/3303/0/7001", "gt=1"),
    ("/3303/0/7000/0", "edge=1"),
    // Syntax and names.
    (VALUE, "pmin="),
    (VALUE, "pmin=-1"),
    (VALUE, "st=0"),
    (VALUE, "con=2"),
    (FLAG, "edge=true"),
    (VALUE, "hqmax=many"),
    (VALUE, "pmin=1&pmin=2"),
    (VALUE, "dim=3"),
    (VALUE, "ver=1.1"),
    (VALUE, "pmin=1&nonsense=2"),
];

/// CORE-24, CORE-25, CORE-27, CORE-28, CORE-42: nothing of the request counts.
#[test]
fn contradictions_are_refused_in_write_attributes() {
    let mut world = World::registered(|_| {});
    for (path, query) in CONTRADICTIONS {
        assert_eq!(world.attach(path, query), Code::BAD_REQUEST, "{path}?{query}");
        assert!(!world.discover(path).contains("pmin="), "{path}?{query}");
    }
    assert_eq!(world.discover(VALUE), "</3303/0/5700>", "nothing is attached");
}

/// CORE-47: the same rules, and nothing can be unset.
#[test]
fn contradictions_are_refused_in_observe() {
    let mut world = World::registered(|_| {});
    for (path, query) in CONTRADICTIONS.into_iter().chain([(VALUE, "pmin"), (VALUE, "pmax=5&gt")]) {
        let answer = world.ask(Ask::observe(path, query));
        let seen = (answer.code, answer.observe);
        assert_eq!(seen, (Code::BAD_REQUEST, None), "{path}?{query}");
    }
    assert_eq!(world.device.status().observations, 0);
}

/// CORE-49 and the rows of Write-Attributes in Core 11.
#[test]
fn attributes_whose_target_is_none_get_their_code() {
    let refused = [
        ("/0/0", "pmin=1", Code::UNAUTHORIZED),
        ("/3303/0/5700/0", "pmin=1", Code::METHOD_NOT_ALLOWED),
        ("/3303/0/5605", "pmin=1", Code::METHOD_NOT_ALLOWED),
        ("/3303/0/7002", "pmin=1", Code::METHOD_NOT_ALLOWED),
        ("/", "pmin=1", Code::METHOD_NOT_ALLOWED),
        ("/3303/7/5700", "pmin=1", Code::NOT_FOUND),
        ("/3303/0/7000/9", "pmin=1", Code::NOT_FOUND),
        ("/3/0/2", "pmin=1", Code::NOT_FOUND),
        ("/99", "pmin=1", Code::NOT_FOUND),
    ];
    let mut world = World::registered(|_| {});
    for (path, query, code) in refused {
        assert_eq!(world.attach(path, query), code, "{path}?{query}");
    }
}

/// CORE-29, CORE-42: what the text does not call a contradiction is taken.
#[test]
fn what_is_no_contradiction_is_taken() {
    let mut world = World::registered(|_| {});
    for query in ["pmin=20&pmax=10", "lt=-20&gt=-5", "lt=10&gt=21&st=5", "epmin=5", "epmax=5"] {
        assert_eq!(world.attach(VALUE, query), Code::CHANGED, "{query}");
    }
}

/// Contradictions are looked for inside one request; what several requests or levels
/// build up is left out of the judgement, so any change is told (Core 3.4).
#[test]
fn thresholds_that_levels_build_up_into_a_contradiction_do_not_count() {
    let path = "/3303/0/7000/0";
    let attached = [("/3303/0/7000", "lt=50"), (path, "gt=40")];
    let mut seen = Observed::new(path, Value::Integer(45), &attached, "");
    seen.at(1, Value::Integer(46));
    assert_eq!(seen.until(5), texts(&[(1, "46")]));
    assert_eq!(seen.world.attach("/3303/0/7000", "lt=30"), Code::CHANGED);
    seen.at(6, Value::Integer(47));
    assert_eq!(seen.until(8), [], "now they fit together");
    seen.at(9, Value::Integer(39));
    assert_eq!(seen.until(11), texts(&[(9, "39")]));
}

/// CORE-22, CORE-25, CORE-36, CORE-37: thresholds judge every numeric type.
#[test]
fn thresholds_judge_every_numeric_type() {
    let time = 1_700_000_000;
    let cases: [(&str, &str, [Value; 3]); 4] = [
        ("/3303/0/7000/1", "gt=45", [40, 45, 46].map(Value::Integer)),
        ("/3303/0/7004", "st=5", [7, 11, 12].map(Value::Unsigned)),
        (VALUE, "lt=-0.5", [0.0, -0.5, -0.75].map(Value::Float)),
        ("/3303/0/5518", "gt=1700000010", [time, time + 10, time + 11].map(Value::Time)),
    ];
    for (path, query, [first, quiet, told]) in cases {
        let mut seen = Observed::new(path, first, &[(path, query)], "");
        seen.at(1, quiet);
        assert_eq!(seen.until(2), [], "{path}?{query}");
        seen.at(3, told);
        assert_eq!(seen.until(4).len(), 1, "{path}?{query}");
    }
}

/// CORE-23: each of the attributes that go with an object holds for what is below.
#[test]
fn every_attribute_is_inherited_from_every_level_above() {
    for level in ["/3303", "/3303/0", VALUE] {
        let mut seen = observe(&[(level, "pmin=10&con=1")], "");
        seen.at(1, Value::Float(21.0));
        seen.wait_until(12);
        let notices = seen.world.take_notices();
        assert_eq!(notices.len(), 1, "{level}");
        assert!(notices[0].confirmable, "{level}");
        assert_eq!((notices[0].at - seen.begun).as_secs(), 10, "{level}");
        let mut seen = observe(&[(level, "pmax=15")], "");
        assert_eq!(seen.until(20), texts(&[(15, "20")]), "{level}");
        let mut seen = observe(&[(level, "epmin=8")], "");
        seen.at(1, Value::Float(21.0));
        assert_eq!(seen.until(20), texts(&[(8, "21")]), "{level}");
        let mut seen = observe(&[(level, "epmax=12")], "");
        seen.world.device.objects.set(VALUE, Value::Float(22.0));
        assert_eq!(seen.until(15), texts(&[(12, "22")]), "{level}");
    }
    // A resource instance inherits what judges values from its resource.
    let path = "/3303/0/7000/0";
    let mut seen = Observed::new(path, Value::Integer(1), &[("/3303/0/7000", "st=3")], "");
    seen.at(1, Value::Integer(3));
    seen.at(2, Value::Integer(4));
    assert_eq!(seen.until(5), texts(&[(2, "4")]));
}

/// CORE-23, CORE-131: the example of Core 3.3, as Discover shows it.
#[test]
fn discover_shows_what_counts_on_the_path_itself() {
    let mut world = World::registered(|_| {});
    world.device.objects.set("/3/0/9", Value::Integer(100));
    for (path, query) in
        [("/3", "pmin=10"), ("/3/0", "pmax=60"), ("/3/0/7", "pmax=30&gt=4200&hqmax=5")]
    {
        assert_eq!(world.attach(path, query), Code::CHANGED);
    }
    assert_eq!(world.discover("/3/0/9"), "</3/0/9>;pmin=10;pmax=60");
    let shown = world.discover("/3/0/7");
    assert!(
        shown.starts_with("</3/0/7>;dim=2;pmin=10;pmax=30;gt=4200;hqmax=5,"),
        "inherited attributes stand on the link of the target: {shown}"
    );
}

/// CORE-22: all ten are stored and shown.
#[test]
fn discover_shows_all_ten_attributes() {
    let mut world = World::registered(|_| {});
    let query = "pmin=1&pmax=60&gt=50&lt=-42.5&st=0.5&epmin=2&epmax=30&con=1&hqmax=4";
    assert_eq!(world.attach(VALUE, query), Code::CHANGED);
    assert_eq!(world.attach(FLAG, "edge=0"), Code::CHANGED);
    assert_eq!(world.discover(VALUE), format!("</3303/0/5700>;{}", query.replace('&', ";")));
    assert_eq!(world.discover(FLAG), "</3303/0/5500>;edge=0");
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
