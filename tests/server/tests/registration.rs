//! The registration interface: Register, Update, De-register, expiry, refusals.

mod device;

use std::time::Duration;

use coap_lite::CoapOption;
use device::{ACK, CON, Device, PATIENCE, RST, code, empty, number, server, set_number, texts};
use lwm2m_model::{Code, ContentFormat, Path, Version};
use lwm2m_test_server::{Changed, Error, ServerEvent, Switch};

#[tokio::test]
async fn a_register_is_answered_with_its_location_and_seen_by_who_waits() {
    let server = server(|_| {}).await;
    let waiting = {
        let server = server.clone();
        tokio::spawn(async move { server.wait_registered("thing", PATIENCE).await })
    };
    let mut device = Device::new(&server).await;
    let answer = device.register("thing", &["b=U", "Q", "lt=300"]).await;
    assert_eq!((answer.header.get_type(), code(&answer)), (ACK, Code::CREATED));
    let known = waiting.await.unwrap().unwrap();
    let location = texts(&answer, CoapOption::LocationPath);
    assert_eq!(format!("/{}", location.join("/")), known.location);
    assert_eq!((known.lifetime, known.version, known.queue), (300, Version::V1_2, true));
    assert_eq!((known.binding.as_str(), known.peer, known.awake), ("U", device.address(), true));
    assert!(known.has(&Path::object(3)) && !known.has(&Path::object(5)));
    assert_eq!(
        known.formats,
        [ContentFormat::CBOR, ContentFormat::SENML_CBOR, ContentFormat::LWM2M_CBOR]
    );
    let not_in_time = server.wait_registered("other", Duration::from_millis(1)).await;
    assert!(matches!(not_in_time, Err(Error::NotInTime { .. })));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_a_deregister_ends_it() {
    let server = server(|_| {}).await;
    let (mut device, location) = Device::registered(&server, "thing", &[]).await;
    let mut events = server.events().unwrap();
    assert_eq!(code(&device.update(&location, &["lt=120"]).await), Code::CHANGED);
    let mut with_list = device.request(2, &location, &["b=U", "Q"]);
    set_number(&mut with_list, CoapOption::ContentFormat, 40);
    with_list.payload = b"</1/0>,</3/0>,</5/0>".to_vec();
    assert_eq!(code(&device.ask(&with_list).await), Code::CHANGED);
    let known = server.registration("thing").await.unwrap();
    assert_eq!((known.lifetime, known.queue, known.updates), (120, true, 2));
    assert!(known.has(&Path::instance(5, 0)));
    let goodbye = device.request(4, &location, &[]);
    assert_eq!(code(&device.ask(&goodbye).await), Code::DELETED);
    assert!(matches!(server.registration("thing").await, Err(Error::NotRegistered(_))));
    assert_eq!(code(&device.update(&location, &[]).await), Code::NOT_FOUND);

    let lifetime = Changed { lifetime: true, ..Changed::default() };
    let rest = Changed { binding: true, queue: true, links: true, ..Changed::default() };
    for wanted in [lifetime, rest] {
        let event = events.next().await.unwrap();
        assert!(matches!(event, ServerEvent::Updated { changed, .. } if changed == wanted));
    }
    assert!(matches!(events.next().await.unwrap(), ServerEvent::Deregistered { .. }));
}

#[tokio::test]
async fn a_registration_expires_after_lifetime_and_grace_unless_updated() {
    let server = server(|config| config.grace = Duration::from_millis(50)).await;
    let mut events = server.events().unwrap();
    let (mut device, location) = Device::registered(&server, "thing", &["lt=1"]).await;
    let (_other, _) = Device::registered(&server, "for-ever", &["lt=0"]).await;
    let started = std::time::Instant::now();
    loop {
        if let ServerEvent::Expired { endpoint } = events.next().await.unwrap() {
            assert_eq!(endpoint, "thing");
            break;
        }
    }
    assert!(started.elapsed() >= Duration::from_millis(1000));
    assert_eq!(code(&device.update(&location, &[]).await), Code::NOT_FOUND);
    let left = server.registrations().await.unwrap();
    assert_eq!(left.len(), 1, "lifetime 0 never expires");
}

#[tokio::test]
async fn nonsense_is_refused_with_its_code_and_a_reason() {
    let server = server(|_| {}).await;
    let mut device = Device::new(&server).await;
    let cases: [(&str, &[&str], Code, &str); 8] = [
        ("", &[], Code::BAD_REQUEST, "ep has 1 to 255 bytes"),
        ("a", &["lt=soon"], Code::BAD_REQUEST, "bad lifetime \"soon\""),
        ("a", &["lwm2m=9.9"], Code::PRECONDITION_FAILED, "LwM2M 9.9 is not accepted"),
        ("a", &["lwm2m=new"], Code::BAD_REQUEST, "bad version \"new\""),
        ("a", &["b=Y"], Code::BAD_REQUEST, "bad binding \"Y\""),
        ("a", &["Q=1"], Code::BAD_REQUEST, "Q has no value"),
        ("a", &["shape=round"], Code::BAD_REQUEST, "unknown parameter shape"),
        ("a", &["sms=1", "sms=2"], Code::BAD_REQUEST, "parameter sms comes twice"),
    ];
    for (endpoint, queries, wanted, reason) in cases {
        let answer = device.register(endpoint, queries).await;
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        assert_eq!((code(&answer), text.as_str()), (wanted, reason));
    }
    for (format, payload, wanted) in [
        (Some(40), "", Code::CONFLICT),
        (Some(0), "</3/0>", Code::BAD_REQUEST),
        (None, "</3/0>", Code::BAD_REQUEST),
        (Some(40), "</0/0>", Code::BAD_REQUEST),
        (Some(40), "3/0", Code::BAD_REQUEST),
    ] {
        let mut packet = device.register_request("a", &[]);
        packet.clear_option(CoapOption::ContentFormat);
        if let Some(format) = format {
            set_number(&mut packet, CoapOption::ContentFormat, format);
        }
        packet.payload = payload.as_bytes().to_vec();
        assert_eq!(code(&device.ask(&packet).await), wanted, "{format:?} {payload}");
    }
    for (method, path, wanted) in [
        (1, "rd", Code::METHOD_NOT_ALLOWED),
        (3, "rd/1", Code::METHOD_NOT_ALLOWED),
        (2, "rd/unknown", Code::NOT_FOUND),
        (2, "bs", Code::NOT_FOUND),
    ] {
        let packet = device.request(method, path, &[]);
        assert_eq!(code(&device.ask(&packet).await), wanted, "{method} {path}");
    }
    let mut critical = device.register_request("a", &[]);
    critical.add_option(CoapOption::IfMatch, vec![1]);
    assert_eq!(code(&device.ask(&critical).await), Code::BAD_OPTION);
    assert!(server.registrations().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_version_that_is_not_accepted_is_answered_4_12() {
    let server = server(|config| config.versions = vec![Version::V1_0, Version::V1_1]).await;
    let mut device = Device::new(&server).await;
    let refused = device.register("thing", &["lwm2m=1.2"]).await;
    assert_eq!(code(&refused), Code::PRECONDITION_FAILED);
    let accepted = device.register("thing", &["lwm2m=1.1"]).await;
    assert_eq!(code(&accepted), Code::CREATED);
    assert_eq!(server.registration("thing").await.unwrap().version, Version::V1_1);
}

#[tokio::test]
async fn a_repeated_register_gets_the_same_answer_and_registers_once() {
    let server = server(|_| {}).await;
    let mut events = server.events().unwrap();
    let mut device = Device::new(&server).await;
    let packet = device.register_request("thing", &[]);
    let first = device.ask(&packet).await;
    let second = device.ask(&packet).await;
    assert_eq!(first.to_bytes().unwrap(), second.to_bytes().unwrap());
    assert!(matches!(events.try_next(), Some(ServerEvent::Registered { .. })));
    assert!(events.try_next().is_none());
    assert_eq!(server.statistics().await.unwrap().duplicates, 1);
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let server = server(|_| {}).await;
    let mut device = Device::new(&server).await;
    server.refuse_next_register(Code::FORBIDDEN).await.unwrap();
    assert_eq!(code(&device.register("thing", &[]).await), Code::FORBIDDEN);

    server.drop_next(1).await.unwrap();
    let packet = device.register_request("thing", &[]);
    device.send(&packet).await;
    let answer = device.ask(&packet).await;
    assert_eq!(code(&answer), Code::CREATED);
    assert_eq!(server.statistics().await.unwrap().duplicates, 0, "the first was lost");

    server.drop_next_sent(1).await.unwrap();
    let packet = device.register_request("thing", &[]);
    device.send(&packet).await;
    assert_eq!(code(&device.ask(&packet).await), Code::CREATED);
    assert_eq!(server.statistics().await.unwrap().duplicates, 1, "the answer was lost");

    let location = texts(&answer, CoapOption::LocationPath).join("/");
    server.forget("thing").await.unwrap();
    assert_eq!(code(&device.update(&location, &[]).await), Code::NOT_FOUND);

    server.silent(Switch::On).await.unwrap();
    let packet = device.register_request("thing", &[]);
    device.send(&packet).await;
    assert!(device.receive_within(Duration::from_millis(50)).await.is_none());
    server.silent(Switch::Off).await.unwrap();
    assert_eq!(code(&device.ask(&packet).await), Code::CREATED);
}

#[tokio::test]
async fn a_separate_answer_to_a_register_is_repeated_and_holds_requests_back() {
    let server = server(device::insistent).await;
    server.respond_to_register_separately(Switch::On).await.unwrap();
    let mut device = Device::new(&server).await;
    let packet = device.register_request("thing", &[]);
    let acknowledged = device.ask(&packet).await;
    assert_eq!((acknowledged.header.get_type(), code(&acknowledged).byte()), (ACK, 0));
    let read = {
        let server = server.clone();
        tokio::spawn(async move { server.read("thing", &Path::instance(3, 0), None).await })
    };
    let first = device.receive().await;
    let again = device.receive().await;
    assert_eq!((first.header.get_type(), code(&first)), (CON, Code::CREATED));
    assert_eq!(first.get_token(), packet.get_token());
    assert_eq!(first.to_bytes().unwrap(), again.to_bytes().unwrap(), "nothing but repetitions");
    device.send(&empty(ACK, first.header.message_id)).await;
    let mut request = device.receive().await;
    while code(&request) == Code::CREATED {
        request = device.receive().await; // a repetition that was on its way already
    }
    assert_eq!(texts(&request, CoapOption::UriPath), ["3", "0"]);
    device.send(&Device::piggybacked(&request, Code::NOT_FOUND, 0, &[])).await;
    assert_eq!(read.await.unwrap().unwrap().code, Code::NOT_FOUND);
}

#[tokio::test]
async fn pings_and_rubbish() {
    let server = server(|_| {}).await;
    let mut device = Device::new(&server).await;
    for rubbish in [&[][..], &[0xff; 40], &[0x40], &[0x4f, 1, 2, 3], &[0x40, 1, 0, 1, 0xff]] {
        device.send_bytes(rubbish).await;
    }
    let id = device.next_id();
    let answer = device.ask(&empty(CON, id)).await;
    assert_eq!((answer.header.get_type(), answer.header.message_id), (RST, id));
    assert_eq!(server.statistics().await.unwrap().malformed, 5);
    let mut stray = device.notification(&[1, 2, 3], CON, 5, "1");
    let answer = device.ask(&stray).await;
    assert_eq!(answer.header.get_type(), RST);
    stray.header.message_id = device.next_id();
    stray.header.set_type(device::NON);
    let answer = device.ask(&stray).await;
    assert_eq!(answer.header.get_type(), RST, "an answer to nothing is reset");
    assert_eq!(number(&answer, CoapOption::Observe), None);
}
