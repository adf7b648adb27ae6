//! What an installation makes of the signals, whoever sends them and when.

use rauc_dbus::{Event, InstallOptions, Installation, Outcome};
use zbus::{Connection, Variant};

use crate::bus::{Bus, on_bus};
use crate::service::{Double, changed, completed};

/// An installation and the service that has started it.
async fn started(bus: &Bus, double: Double) -> (Connection, Installation) {
    let service = bus.serve(double).await;
    let installation = bus.rauc().install("a", &InstallOptions::default()).await.unwrap();
    (service, installation)
}

fn step(percent: i32) -> (&'static str, Variant<'static>) {
    ("Progress", Variant::new((percent, "Copying", 3_i32)))
}

fn failed(sentence: &str) -> Option<Outcome> {
    Some(Outcome::Failed { last_error: Some(sentence.into()) })
}

async fn next_percent(installation: &mut Installation) -> u8 {
    match installation.next().await {
        Some(Event::Progress(progress)) => progress.percent,
        other => panic!("{other:?} instead of progress"),
    }
}

#[test]
fn progress_comes_before_the_end() {
    on_bus(async |bus| {
        let (service, mut installation) = started(&bus, Double::default()).await;
        changed(&service, &[step(46)]).await;
        changed(&service, &[step(47), ("Operation", "installing".into())]).await;
        // Nothing to tell in these.
        changed(&service, &[("Operation", "idle".into())]).await;
        changed(&service, &[("Progress", "50 %".into())]).await;
        completed(&service, &0_i32).await;
        assert_eq!(next_percent(&mut installation).await, 46);
        assert_eq!(next_percent(&mut installation).await, 47);
        assert_eq!(installation.next().await, Some(Event::Finished(Outcome::Installed)));
        assert_eq!(installation.next().await, None);
    });
}

#[test]
fn the_end_of_an_installation_before_ours_is_not_ours() {
    on_bus(async |bus| {
        for result in [0, 1] {
            let double = Double { completed_before: Some(result), ..Double::default() };
            let (service, mut installation) = started(&bus, double).await;
            changed(&service, &[step(46)]).await;
            assert_eq!(next_percent(&mut installation).await, 46);
            completed(&service, &0_i32).await;
            assert_eq!(installation.outcome().await, Some(Outcome::Installed));
            service.close().await.unwrap();
        }
    });
}

#[test]
fn signals_of_another_program_are_not_believed() {
    on_bus(async |bus| {
        let (service, mut installation) = started(&bus, Double::default()).await;
        let stranger = bus.connect().await;
        // Sent to us alone, they need no subscription.
        let us = bus.client.unique_name().unwrap();
        let interface = "de.pengutronix.rauc.Installer";
        stranger.emit_signal(Some(us), "/", interface, "Completed", &0_i32).await.unwrap();
        completed(&stranger, &0_i32).await;
        changed(&stranger, &[step(99)]).await;
        // Its signals are through once it has an answer.
        stranger.request_name("com.example.Stranger").await.unwrap();
        changed(&service, &[step(46)]).await;
        assert_eq!(next_percent(&mut installation).await, 46);
    });
}

#[test]
fn the_reason_is_the_one_told_with_the_end() {
    on_bus(async |bus| {
        // As if somebody else's installation had emptied the property already.
        let (service, mut installation) = started(&bus, Double::default()).await;
        changed(&service, &[("LastError", "".into())]).await;
        changed(&service, &[("LastError", "slot too small".into()), step(100)]).await;
        completed(&service, &1_i32).await;
        changed(&service, &[("LastError", "".into())]).await;
        assert_eq!(installation.outcome().await, failed("slot too small"));
    });
}

#[test]
fn a_reason_that_was_not_told_is_asked_for() {
    on_bus(async |bus| {
        let double = Double { last_error: "as before".into(), ..Double::default() };
        let (service, mut installation) = started(&bus, double).await;
        completed(&service, &1_i32).await;
        assert_eq!(installation.outcome().await, failed("as before"));
    });
}

#[test]
fn an_end_that_is_no_clear_success_is_a_failure() {
    on_bus(async |bus| {
        for result in [Variant::from(2_i32), "0".into(), 0_u32.into()] {
            let (service, mut installation) = started(&bus, Double::default()).await;
            match &result {
                Variant::I32(number) => completed(&service, number).await,
                Variant::U32(number) => completed(&service, number).await,
                _ => completed(&service, &"0").await,
            }
            let outcome = installation.outcome().await;
            assert_eq!(outcome, Some(Outcome::Failed { last_error: None }), "{result:?}");
            service.close().await.unwrap();
        }
    });
}

#[test]
fn a_long_sentence_is_cut() {
    on_bus(async |bus| {
        let (service, mut installation) = started(&bus, Double::default()).await;
        changed(&service, &[("LastError", "x".repeat(100_000).into())]).await;
        completed(&service, &1_i32).await;
        assert_eq!(installation.outcome().await, failed(&"x".repeat(4096)));
    });
}

#[test]
fn an_end_told_just_before_the_service_leaves_counts() {
    on_bus(async |bus| {
        for _ in 0..20 {
            let (service, mut installation) = started(&bus, Double::default()).await;
            completed(&service, &0_i32).await;
            service.close().await.unwrap();
            assert_eq!(installation.outcome().await, Some(Outcome::Installed));
        }
    });
}

#[test]
fn a_service_that_leaves_has_died_even_if_another_takes_its_place() {
    on_bus(async |bus| {
        let (service, mut installation) = started(&bus, Double::default()).await;
        changed(&service, &[step(46)]).await;
        service.close().await.unwrap();
        let successor = bus.serve(Double::default()).await;
        completed(&successor, &0_i32).await;
        assert_eq!(next_percent(&mut installation).await, 46);
        assert_eq!(installation.outcome().await, Some(Outcome::ServiceDied));
        // The same client goes on with the successor.
        let mut next = bus.rauc().install("b", &InstallOptions::default()).await.unwrap();
        completed(&successor, &0_i32).await;
        assert_eq!(next.outcome().await, Some(Outcome::Installed));
    });
}

#[test]
fn a_bus_that_is_lost_is_no_death_of_the_service() {
    on_bus(async |mut bus| {
        let (_service, mut installation) = started(&bus, Double::default()).await;
        bus.kill();
        assert_eq!(installation.outcome().await, Some(Outcome::BusLost));
    });
}

/// The limit is 512; an installation sends a hundred.
#[test]
fn signals_that_wait_do_not_stall_the_connection() {
    on_bus(async |bus| {
        let (service, mut installation) = started(&bus, Double::default()).await;
        for percent in (0..=100).cycle().take(400) {
            changed(&service, &[step(percent)]).await;
        }
        assert_eq!(bus.rauc().system_version().await.unwrap().as_deref(), Some("7.4"));
        completed(&service, &0_i32).await;
        for percent in (0..=100).cycle().take(400) {
            assert_eq!(next_percent(&mut installation).await, percent);
        }
        assert_eq!(installation.outcome().await, Some(Outcome::Installed));
    });
}
