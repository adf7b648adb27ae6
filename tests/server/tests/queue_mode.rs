//! Queue mode: what waits for a device that sleeps.

mod device;

use std::time::Duration;

use coap_lite::CoapOption;
use device::{ACK, Device, PATIENCE, code, path, server, texts};
use lwm2m_model::Code;
use lwm2m_test_server::{Error, Events, Server, ServerEvent};

const AWAKE: Duration = Duration::from_millis(80);

async fn sleepy_server() -> Server {
    server(|config| {
        device::insistent(config);
        config.awake_time = AWAKE;
    })
    .await
}

async fn until(events: &mut Events, wanted: fn(&ServerEvent) -> bool) {
    let seek = async { while !wanted(&events.next().await.unwrap()) {} };
    tokio::time::timeout(PATIENCE, seek).await.unwrap();
}

#[tokio::test]
async fn requests_are_held_while_the_device_sleeps_and_sent_one_by_one_when_it_wakes() {
    let server = sleepy_server().await;
    let mut events = server.events().unwrap();
    let (mut device, location) = Device::registered(&server, "thing", &["Q"]).await;
    assert!(server.registration("thing").await.unwrap().awake);
    until(&mut events, |event| matches!(event, ServerEvent::Asleep { .. })).await;
    assert!(!server.registration("thing").await.unwrap().awake);

    let reading = |target: &str| {
        let (server, target) = (server.clone(), path(target));
        tokio::spawn(async move { server.read("thing", &target, None).await })
    };
    let first = reading("/3/0/9");
    tokio::task::yield_now().await;
    let second = reading("/3/0/10");
    tokio::task::yield_now().await;
    // Answered after the two requests have been taken, so they are held by now.
    server.statistics().await.unwrap();

    // The answer to the Update comes first: no request was sent before it.
    assert_eq!(code(&device.update(&location, &[]).await), Code::CHANGED);
    until(&mut events, |event| matches!(event, ServerEvent::Awake { .. })).await;
    let request = device.receive().await;
    assert_eq!(texts(&request, CoapOption::UriPath), ["3", "0", "9"]);
    let repetition = device.receive().await;
    assert_eq!(repetition, request, "the second request waits for the first answer");
    device.answer_text(&request, "1").await;
    let request = loop {
        let message = device.receive().await;
        if message != request {
            break message;
        }
    };
    assert_eq!(texts(&request, CoapOption::UriPath), ["3", "0", "10"]);
    device.answer_text(&request, "2").await;
    assert_eq!(first.await.unwrap().unwrap().payload, b"1");
    assert_eq!(second.await.unwrap().unwrap().payload, b"2");
    until(&mut events, |event| matches!(event, ServerEvent::Asleep { .. })).await;
}

#[tokio::test]
async fn without_queue_mode_nobody_is_taken_to_sleep() {
    let server = sleepy_server().await;
    let mut events = server.events().unwrap();
    let (_plain, _) = Device::registered(&server, "plain", &[]).await;
    let (_queue, _) = Device::registered(&server, "queue", &["Q"]).await;
    let asleep = |event: &ServerEvent| matches!(event, ServerEvent::Asleep { .. });
    until(&mut events, asleep).await;
    let awake = |endpoint| {
        let server = server.clone();
        async move { server.registration(endpoint).await.unwrap().awake }
    };
    assert!(awake("plain").await && !awake("queue").await);
}

#[tokio::test]
async fn a_device_that_does_not_answer_is_taken_to_sleep_and_gets_the_next_request_later() {
    let server = server(device::impatient).await;
    let (mut device, location) = Device::registered(&server, "thing", &["b=UQ", "lwm2m=1.0"]).await;
    let lost = server.read("thing", &path("/3/0/9"), None).await;
    assert!(matches!(lost, Err(Error::NoAnswer { .. })));
    assert!(!server.registration("thing").await.unwrap().awake, "93 s have not passed");
    let held = {
        let server = server.clone();
        tokio::spawn(async move { server.read("thing", &path("/3/0/10"), None).await })
    };
    tokio::task::yield_now().await;
    server.statistics().await.unwrap();
    let update = device.request(2, &location, &[]);
    device.send(&update).await;
    let mut messages = Vec::new();
    let request = loop {
        let message = device.receive().await;
        let path = texts(&message, CoapOption::UriPath);
        if path == ["3", "0", "10"] {
            break message;
        }
        messages.push((message.header.get_type(), path));
    };
    let (answer, repetitions) = messages.split_last().unwrap();
    assert_eq!(answer, &(ACK, Vec::new()), "the answer to the Update comes before the request");
    assert!(repetitions.iter().all(|(_, path)| path == &["3", "0", "9"]), "{repetitions:?}");
    device.answer_text(&request, "1").await;
    assert_eq!(held.await.unwrap().unwrap().payload, b"1");
}

#[tokio::test]
async fn no_more_requests_are_held_than_the_limit() {
    let server = server(|config| config.awake_time = Duration::from_millis(1)).await;
    let mut events = server.events().unwrap();
    let (_device, location) = Device::registered(&server, "thing", &["Q"]).await;
    until(&mut events, |event| matches!(event, ServerEvent::Asleep { .. })).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let server = server.clone();
        held.push(tokio::spawn(async move { server.read("thing", &path("/3/0"), None).await }));
        tokio::task::yield_now().await;
    }
    server.statistics().await.unwrap();
    let beyond = server.read("thing", &path("/3/0"), None).await;
    assert!(matches!(beyond, Err(Error::QueueFull(64))));
    let mut farewell = Device::new(&server).await;
    let packet = farewell.request(4, &location, &[]);
    farewell.ask(&packet).await;
    for request in held {
        assert!(matches!(request.await.unwrap(), Err(Error::NotRegistered(_))));
    }
}
