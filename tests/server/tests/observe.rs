//! Observe, Notify, Cancel.

mod device;

use coap_lite::{CoapOption, MessageClass, Packet};
use device::{ACK, CON, Device, NON, PATIENCE, RST, code, number, path, server, set_number, texts};
use lwm2m_model::{Code, Value};
use lwm2m_test_server::{CancelBy, Error, Observation, Server, ServerEvent};

/// Observes /3/0/9 of a device that takes the observation with the value 1.
async fn observed(server: &Server, device: &Device) -> Observation {
    let observing = {
        let server = server.clone();
        tokio::spawn(async move {
            server.observe("thing", &path("/3/0/9"), &["pmin=1", "pmax=5"], None).await
        })
    };
    let request = device.receive().await;
    assert_eq!(number(&request, CoapOption::Observe), Some(0));
    assert_eq!(texts(&request, CoapOption::UriQuery), ["pmin=1", "pmax=5"]);
    let mut answer = Device::piggybacked(&request, Code::CONTENT, 0, b"1");
    set_number(&mut answer, CoapOption::Observe, 10);
    device.send(&answer).await;
    let observation = observing.await.unwrap().unwrap();
    assert_eq!(observation.key.token(), request.get_token());
    assert_eq!(observation.first.value(&path("/3/0/9")), Some(&Value::Integer(1)));
    observation
}

#[tokio::test]
async fn notifications_arrive_in_order_with_number_and_kind() {
    let server = server(|_| {}).await;
    let (mut device, _) = Device::registered(&server, "thing", &[]).await;
    let mut observation = observed(&server, &device).await;
    let token = observation.key.token().to_vec();
    for (kind, number, value) in [(CON, 11, 2), (NON, 12, 3)] {
        let packet = device.notification(&token, kind, number, &value.to_string());
        device.send(&packet).await;
        if kind == CON {
            let acknowledged = device.receive().await;
            assert_eq!(acknowledged.header.get_type(), ACK);
            device.ask(&packet).await; // a duplicate: acknowledged, not delivered
        }
        let notification = observation.next_within(PATIENCE).await.unwrap();
        assert_eq!(notification.number, Some(number));
        assert_eq!(notification.confirmable, kind == CON);
        assert_eq!(notification.entries[0].value(), Some(&Value::Integer(value)));
    }
    let late = device.notification(&token, CON, 11, "9");
    assert_eq!(device.ask(&late).await.header.get_type(), ACK, "late, but it is ours");
    let next = device.notification(&token, CON, 13, "4");
    device.ask(&next).await;
    assert_eq!(observation.next_within(PATIENCE).await.unwrap().payload, b"4");
}

#[tokio::test]
async fn cancel_by_option_repeats_the_token_and_ends_the_stream() {
    let server = server(|_| {}).await;
    let (mut device, _) = Device::registered(&server, "thing", &[]).await;
    let mut observation = observed(&server, &device).await;
    let token = observation.key.token().to_vec();
    let cancelling = {
        let server = server.clone();
        tokio::spawn(async move {
            let answer = server.cancel(&observation, CancelBy::Option).await;
            (observation.next().await, answer)
        })
    };
    let request = device.receive().await;
    assert_eq!(number(&request, CoapOption::Observe), Some(1));
    assert_eq!(request.get_token(), token);
    // A notification that was on its way is no answer to the cancelling.
    let crossing = device.notification(&token, CON, 11, "2");
    assert_eq!(device.ask(&crossing).await.header.get_type(), ACK);
    device.answer_text(&request, "3").await;
    let (crossed, answer) = cancelling.await.unwrap();
    assert_eq!(answer.unwrap().unwrap().payload, b"3");
    assert_eq!(crossed.unwrap().payload, b"2");
    let after = device.notification(&token, CON, 12, "4");
    assert_eq!(device.ask(&after).await.header.get_type(), RST);
}

#[tokio::test]
async fn cancel_by_reset_answers_the_next_notification_with_rst() {
    let server = server(|_| {}).await;
    let (mut device, _) = Device::registered(&server, "thing", &[]).await;
    for kind in [CON, NON] {
        let mut observation = observed(&server, &device).await;
        assert!(server.cancel(&observation, CancelBy::Reset).await.unwrap().is_none());
        let packet = device.notification(observation.key.token(), kind, 11, "2");
        let answer = device.ask(&packet).await;
        assert_eq!(answer.header.get_type(), RST);
        assert_eq!(answer.header.message_id, packet.header.message_id);
        assert!(matches!(observation.next().await, Err(Error::ObservationEnded(_))));
    }
}

#[tokio::test]
async fn a_device_that_takes_no_observation_gives_its_answer() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    for (answered, payload) in [(Code::NOT_FOUND, &b""[..]), (Code::CONTENT, b"1")] {
        let observing = {
            let server = server.clone();
            tokio::spawn(async move { server.observe("thing", &path("/3/0/9"), &[], None).await })
        };
        let request = device.receive().await;
        device.send(&Device::piggybacked(&request, answered, 0, payload)).await;
        let Err(Error::NoObservation(response)) = observing.await.unwrap() else {
            panic!("an observation out of nothing")
        };
        assert_eq!(response.code, answered);
    }
}

#[tokio::test]
async fn a_new_register_and_an_error_notification_end_observations() {
    let server = server(|_| {}).await;
    let (mut device, _) = Device::registered(&server, "thing", &[]).await;
    let mut observation = observed(&server, &device).await;
    let mut gone = device.notification(observation.key.token(), CON, 0, "");
    gone.header.code = MessageClass::from(Code::NOT_FOUND.byte());
    gone.clear_option(CoapOption::Observe);
    assert_eq!(device.ask(&gone).await.header.get_type(), ACK);
    assert_eq!(observation.next_within(PATIENCE).await.unwrap().code, Code::NOT_FOUND);
    assert!(matches!(observation.next().await, Err(Error::ObservationEnded(_))));

    let mut observation = observed(&server, &device).await;
    let mut events = server.events().unwrap();
    assert_eq!(code(&device.register("thing", &[]).await), Code::CREATED);
    assert!(matches!(observation.next().await, Err(Error::ObservationEnded(_))));
    let ended = |event| matches!(event, ServerEvent::ObservationEnded { .. });
    assert!(std::iter::from_fn(|| events.try_next()).any(ended));
    let stale = device.notification(observation.key.token(), NON, 11, "2");
    assert_eq!(device.ask(&stale).await.header.get_type(), RST);
}

#[tokio::test]
async fn the_rest_of_a_long_notification_is_fetched_without_observe() {
    let server = server(|_| {}).await;
    let (mut device, _) = Device::registered(&server, "thing", &[]).await;
    let mut observation = observed(&server, &device).await;
    let part = |packet: &mut Packet, block: u32| {
        set_number(packet, CoapOption::Block2, block);
        packet.add_option(CoapOption::ETag, vec![3]);
    };
    let mut first = device.notification(observation.key.token(), CON, 11, "0000000000000000");
    part(&mut first, 0x08);
    assert_eq!(device.ask(&first).await.header.get_type(), ACK);
    let request = device.receive().await;
    assert_eq!(number(&request, CoapOption::Observe), None);
    assert_eq!(number(&request, CoapOption::Block2), Some(0x10));
    assert_eq!(texts(&request, CoapOption::UriQuery), ["pmin=1", "pmax=5"], "the same key");
    assert_ne!(request.get_token(), observation.key.token());
    let mut rest = Device::piggybacked(&request, Code::CONTENT, 0, b"42");
    part(&mut rest, 0x10);
    device.send(&rest).await;
    let notification = observation.next_within(PATIENCE).await.unwrap();
    assert_eq!(notification.payload, b"000000000000000042");
    assert_eq!(notification.entries[0].value(), Some(&Value::Integer(42)));
}
