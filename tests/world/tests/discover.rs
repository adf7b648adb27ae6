//! Discover: links, depth, dimensions, attributes (Core 6.2).

use lwm2m_model::{Code, Version};
use lwm2m_world::{Ask, World};

/// CORE-129, 130.
#[test]
fn depth_decides_how_far_down_the_links_go() {
    let mut world = World::registered(|_| {});
    let cases = [
        ("/33100", "depth=0", "</33100>"),
        ("/33100", "depth=1", "</33100>,</33100/0>"),
        ("/33100", "", "</33100>,</33100/0>,</33100/0/1>,</33100/0/2>"),
        ("/33100/0", "depth=0", "</33100/0>"),
        ("/33100/0", "", "</33100/0>,</33100/0/1>,</33100/0/2>"),
        ("/3303/0/7000", "depth=0", "</3303/0/7000>;dim=2"),
        ("/3303/0/7000", "", "</3303/0/7000>;dim=2,</3303/0/7000/0>,</3303/0/7000/1>"),
        ("/3303/0/5700", "depth=3", "</3303/0/5700>"),
    ];
    for (path, query, links) in cases {
        let answer = world.ask(Ask::discover(path).query(query));
        assert_eq!((answer.code, answer.text()), (Code::CONTENT, links), "{path} {query}");
        assert_eq!(answer.format.map(|format| format.0), Some(40));
    }
}

/// The example of Core 6.2.
/// CORE-23, 131.
#[test]
fn attributes_are_shown_where_they_are_attached_and_inherited_by_the_target() {
    let mut world = World::registered(|_| {});
    for (path, query) in [
        ("/3", "pmin=10"),
        ("/3/0", "pmax=60"),
        ("/3/0/7", "pmax=30&gt=4200"),
        ("/3/0/7/1", "gt=4500"),
    ] {
        assert_eq!(world.attach(path, query), Code::CHANGED);
    }
    let links = world.discover("/3/0");
    assert!(links.starts_with("</3/0>;pmin=10;pmax=60,</3/0/0>,</3/0/1>,</3/0/4>"), "{links}");
    assert!(links.contains("</3/0/7>;dim=2;pmax=30;gt=4200,"), "{links}");
    assert_eq!(
        world.discover("/3/0/7"),
        "</3/0/7>;dim=2;pmin=10;pmax=30;gt=4200,</3/0/7/0>,</3/0/7/1>;gt=4500"
    );
    assert_eq!(world.ask(Ask::discover("/3").query("depth=0")).text(), "</3>;pmin=10");
}

/// CORE-46.
#[test]
fn attributes_of_an_observe_and_account_defaults_are_not_shown() {
    let mut world = World::registered(|setup| setup.account().default_pmin = Some(9));
    world.observe("/3/0/9", "pmin=1&pmax=100");
    assert_eq!(world.discover("/3/0/9"), "</3/0/9>");
}

/// CORE-130.
#[test]
fn an_older_server_sees_object_versions_and_no_newer_attributes() {
    let mut world = World::registered(|setup| setup.manner.versions = vec![Version::V1_1]);
    world.attach("/3", "pmin=10&con=1");
    assert_eq!(world.ask(Ask::discover("/3").query("depth=0")).text(), "</3>;ver=1.2;pmin=10");
}

#[test]
fn executable_and_write_only_resources_are_listed() {
    let mut world = World::registered(|_| {});
    let links = world.discover("/3303/0");
    assert!(links.contains("</3303/0/5605>") && links.contains("</3303/0/7002>"), "{links}");
    let account = world.discover("/1/0");
    assert!(account.contains("</1/0/4>") && account.contains("</1/0/8>"), "{account}");
}

/// Core 11, the rows of Discover.
/// CORE-02, 04; TRN-19, 20.
#[test]
fn what_cannot_be_discovered_gets_its_code() {
    let refused = [
        (Ask::discover("/0"), Code::UNAUTHORIZED),
        (Ask::discover("/21/0"), Code::UNAUTHORIZED),
        (Ask::discover("/"), Code::METHOD_NOT_ALLOWED),
        (Ask::discover("/3/0/7/1"), Code::METHOD_NOT_ALLOWED),
        (Ask::discover("/77"), Code::NOT_FOUND),
        (Ask::discover("/3/4"), Code::NOT_FOUND),
        (Ask::discover("/3/0/2"), Code::NOT_FOUND),
        (Ask::discover("/3/0/99"), Code::NOT_FOUND),
        (Ask::discover("/3").query("depth=4"), Code::BAD_REQUEST),
        (Ask::discover("/3").query("depth=x"), Code::BAD_REQUEST),
    ];
    let mut world = World::registered(|_| {});
    for (ask, code) in refused {
        let shown = format!("{ask:?}");
        assert_eq!(world.code(ask), code, "{shown}");
    }
}
