//! Requests to a device: what goes out, how the answer may come, what can go wrong.

mod device;

use std::time::Duration;

use coap_lite::{CoapOption, MessageClass, Packet};
use device::{ACK, CON, Device, NON, RST, code, empty, number, path, server, set_number, texts};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_server::{Delivery, Error, Response, Server, Switch};
use tokio::task::JoinHandle;

fn read(server: &Server, target: &str) -> JoinHandle<Result<Response, Error>> {
    let (server, target) = (server.clone(), path(target));
    tokio::spawn(async move { server.read("thing", &target, None).await })
}

#[tokio::test]
async fn each_operation_has_its_method_path_options_and_payload() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let serve = tokio::spawn(async move {
        let mut requests = Vec::new();
        for _ in 0..9 {
            let request = device.receive().await;
            device.send(&Device::piggybacked(&request, Code::CHANGED, 0, &[])).await;
            requests.push(request);
        }
        requests
    });
    let lifetime = path("/1/0/1");
    let one = [Entry::new(lifetime.clone(), Value::Integer(60))];
    let instance = path("/1/0");
    let format = ContentFormat::TEXT;
    server.read("thing", &path("/3/0"), Some(ContentFormat::TLV)).await.unwrap();
    server.discover("thing", &path("/3"), Some(1)).await.unwrap();
    server.write("thing", &lifetime, WriteMode::Replace, format, &one).await.unwrap();
    server.write("thing", &instance, WriteMode::Partial, ContentFormat::TLV, &one).await.unwrap();
    server.write_attributes("thing", &path("/3/0/7"), &["pmin=1", "pmax"]).await.unwrap();
    server.execute("thing", &path("/1/0/8"), Some("0='U'")).await.unwrap();
    server.execute("thing", &path("/3/0/12"), None).await.unwrap();
    server.create("thing", &path("/1"), ContentFormat::SENML_CBOR, &one).await.unwrap();
    server.delete("thing", &instance).await.unwrap();
    let seen: Vec<String> = serve.await.unwrap().iter().map(describe).collect();
    assert_eq!(
        seen,
        [
            "0.01 /3/0 accept 11542",
            "0.01 /3?depth=1 accept 40",
            "0.03 /1/0/1 format 0 2 bytes",
            "0.02 /1/0 format 11542 3 bytes",
            "0.03 /3/0/7?pmin=1&pmax",
            "0.02 /1/0/8 format 0 5 bytes",
            "0.02 /3/0/12",
            "0.02 /1 format 112 13 bytes",
            "0.04 /1/0",
        ]
    );
}

fn describe(request: &Packet) -> String {
    assert_eq!((request.header.get_type(), request.get_token().len()), (CON, 8));
    let mut text = format!("{} /{}", code(request), texts(request, CoapOption::UriPath).join("/"));
    let queries = texts(request, CoapOption::UriQuery);
    if !queries.is_empty() {
        text += &format!("?{}", queries.join("&"));
    }
    for (name, option) in [("accept", CoapOption::Accept), ("format", CoapOption::ContentFormat)] {
        if let Some(value) = number(request, option) {
            text += &format!(" {name} {value}");
        }
    }
    if !request.payload.is_empty() {
        text += &format!(" {} bytes", request.payload.len());
    }
    text
}

#[tokio::test]
async fn a_piggybacked_value_is_read_by_its_definition() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let reading = read(&server, "/3/0/9");
    let request = device.receive().await;
    device.answer_text(&request, "77").await;
    let response = reading.await.unwrap().unwrap();
    assert_eq!((response.code, response.delivery), (Code::CONTENT, Delivery::Piggybacked));
    assert_eq!(response.value(&path("/3/0/9")), Some(&Value::Integer(77)));
    assert_eq!((response.traffic.sent.len(), response.traffic.received.len()), (1, 1));
    for (text, problem) in [
        ("101", "/3/0/9: expected 0 to 100, got 101"),
        ("full", "/3/0/9: expected Integer, got text \"full\""),
    ] {
        let reading = read(&server, "/3/0/9");
        let request = device.receive().await;
        device.answer_text(&request, text).await;
        assert_eq!(reading.await.unwrap().unwrap().problem.as_deref(), Some(problem));
    }
}

#[tokio::test]
async fn links_of_a_discover_are_read() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let discovering = {
        let server = server.clone();
        tokio::spawn(async move { server.discover("thing", &Path::instance(3, 0), None).await })
    };
    let request = device.receive().await;
    let links = b"</3/0>;pmin=10,</3/0/7>;dim=2;gt=4200,</3/0/9>";
    device.send(&Device::piggybacked(&request, Code::CONTENT, 40, links)).await;
    let response = discovering.await.unwrap().unwrap();
    assert_eq!(response.problem, None);
    assert_eq!(response.links.len(), 3);
    assert_eq!(response.links[1].path, path("/3/0/7"));
    assert_eq!(response.links[1].parameter("dim"), Some("2"));
}

#[tokio::test]
async fn blocks_are_fetched_and_put_together() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let reading = read(&server, "/3/0/0");
    let text = "Manufacturer with a name of more than thirty-two bytes";
    let mut tokens = Vec::new();
    for (place, part) in text.as_bytes().chunks(32).enumerate() {
        let request = device.receive().await;
        let asked = number(&request, CoapOption::Block2).unwrap_or(1);
        assert_eq!(asked, (place as u32) << 4 | 1, "block {place} of 32 bytes");
        tokens.push(request.get_token().to_vec());
        let mut answer = Device::piggybacked(&request, Code::CONTENT, 0, part);
        let more = u32::from((place + 1) * 32 < text.len());
        set_number(&mut answer, CoapOption::Block2, (place as u32) << 4 | more << 3 | 1);
        answer.add_option(CoapOption::ETag, vec![7]);
        device.send(&answer).await;
    }
    let response = reading.await.unwrap().unwrap();
    assert_eq!(response.payload, text.as_bytes());
    assert_eq!(response.value(&path("/3/0/0")), Some(&Value::String(text.into())));
    assert_eq!((response.traffic.sent.len(), tokens.len()), (2, 2));
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn content_that_changes_between_blocks_is_an_error() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let reading = read(&server, "/3/0/0");
    for (place, etag) in [(0, 1), (1, 2)] {
        let request = device.receive().await;
        let mut answer = Device::piggybacked(&request, Code::CONTENT, 0, &[b'x'; 16]);
        set_number(&mut answer, CoapOption::Block2, place << 4 | 8);
        answer.add_option(CoapOption::ETag, vec![etag]);
        device.send(&answer).await;
    }
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "block-wise answer: the content changed between blocks");
}

#[tokio::test]
async fn separate_responses_are_acknowledged_each_time_they_come() {
    let server = server(|_| {}).await;
    let (mut device, _) = Device::registered(&server, "thing", &[]).await;
    for kind in [CON, NON] {
        let reading = read(&server, "/3/0/9");
        let request = device.receive().await;
        device.send(&empty(ACK, request.header.message_id)).await;
        let mut answer = Device::piggybacked(&request, Code::CONTENT, 0, b"5");
        answer.header.set_type(kind);
        answer.header.message_id = device.next_id();
        device.send(&answer).await;
        let response = reading.await.unwrap().unwrap();
        assert_eq!(response.delivery, Delivery::Separate { confirmable: kind == CON });
        assert_eq!(response.value(&path("/3/0/9")), Some(&Value::Integer(5)));
        if kind == CON {
            let first = device.receive().await;
            assert_eq!((first.header.get_type(), code(&first).byte()), (ACK, 0));
            let second = device.ask(&answer).await;
            assert_eq!(first, second, "the duplicate is acknowledged too");
        }
    }
    assert_eq!(server.statistics().await.unwrap().duplicates, 1);
    assert_eq!(server.statistics().await.unwrap().retransmissions, 0);
}

#[tokio::test]
async fn a_request_is_repeated_with_the_same_message_id_and_then_given_up() {
    let server = server(device::impatient).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let reading = read(&server, "/3/0/9");
    let first = device.receive().await;
    for _ in 0..4 {
        assert_eq!(device.receive().await, first);
    }
    let error = reading.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NoAnswer { transmissions: 5 }), "{error}");

    let reading = read(&server, "/3/0/9");
    let request = device.receive().await;
    device.send(&empty(ACK, request.header.message_id)).await;
    let error = reading.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NoResponse(_)), "{error}");

    // Repetitions that were on their way may still lie in the socket.
    let given_up = request.header.message_id;
    let reading = read(&server, "/3/0/9");
    let request = loop {
        let message = device.receive().await;
        if message.header.message_id != given_up {
            break message;
        }
    };
    device.send(&empty(RST, request.header.message_id)).await;
    assert!(matches!(reading.await.unwrap(), Err(Error::Reset)));
}

#[tokio::test]
async fn answers_that_fit_nothing_are_ignored() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let stranger = Device::new(&server).await;
    let reading = read(&server, "/3/0/9");
    let request = device.receive().await;
    stranger.answer_text(&request, "1").await;
    let mut wrong_token = Device::piggybacked(&request, Code::CONTENT, 0, b"2");
    wrong_token.set_token(vec![0; 8]);
    device.send(&wrong_token).await;
    let mut wrong_id = Device::piggybacked(&request, Code::CONTENT, 0, b"3");
    wrong_id.header.message_id = request.header.message_id.wrapping_add(1);
    device.send(&wrong_id).await;
    device.answer_text(&request, "4").await;
    let response = reading.await.unwrap().unwrap();
    assert_eq!(response.payload, b"4");
}

#[tokio::test]
async fn requests_go_out_one_by_one_or_as_many_as_allowed() {
    for outstanding in [1, 3] {
        let server = server(|config| config.outstanding = outstanding).await;
        let (device, _) = Device::registered(&server, "thing", &[]).await;
        let readings: Vec<_> = (0..3).map(|_| read(&server, "/3/0/9")).collect();
        let mut open = Vec::new();
        for _ in 0..outstanding {
            open.push(device.receive().await);
        }
        assert!(device.receive_within(Duration::from_millis(30)).await.is_none());
        for answered in 0..3 {
            if open.is_empty() {
                open.push(device.receive().await);
            }
            device.answer_text(&open.remove(0), &answered.to_string()).await;
        }
        for reading in readings {
            assert_eq!(reading.await.unwrap().unwrap().code, Code::CONTENT);
        }
    }
}

#[tokio::test]
async fn duplicated_requests_carry_one_message_id() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    server.duplicate_requests(Switch::On).await.unwrap();
    let reading = read(&server, "/3/0/9");
    let (first, second) = (device.receive().await, device.receive().await);
    assert_eq!(first, second);
    device.answer_text(&first, "1").await;
    device.answer_text(&second, "1").await;
    assert_eq!(reading.await.unwrap().unwrap().traffic.sent.len(), 2);
}

#[tokio::test]
async fn everything_gets_through_a_lossy_network() {
    let server = server(|config| {
        config.loss = 0.3;
        config.seed = 42;
        device::insistent(config);
    })
    .await;
    let mut device = Device::new(&server).await;
    let register = device.register_request("thing", &[]);
    let mut answer = None;
    while answer.is_none() {
        device.send(&register).await;
        answer = device.receive_within(Duration::from_millis(10)).await;
    }
    assert_eq!(code(&answer.unwrap()), Code::CREATED);
    tokio::spawn(async move {
        loop {
            let request = device.receive().await;
            device.answer_text(&request, "5").await;
        }
    });
    for _ in 0..50 {
        let response = server.read("thing", &path("/3/0/9"), None).await.unwrap();
        assert_eq!(response.value(&path("/3/0/9")), Some(&Value::Integer(5)));
    }
    let statistics = server.statistics().await.unwrap();
    assert!(statistics.lost > 10 && statistics.retransmissions > 10, "{statistics:?}");
}

#[tokio::test]
async fn a_raw_request_goes_out_as_it_is_below_the_alternate_path() {
    let server = server(|_| {}).await;
    let mut device = Device::new(&server).await;
    let mut register = device.register_request("thing", &[]);
    register.payload = b"</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/3/0>".to_vec();
    assert_eq!(code(&device.ask(&register).await), Code::CREATED);
    let mut odd = Packet::new();
    odd.header.code = MessageClass::from(5);
    odd.add_option(CoapOption::UriPath, b"3".to_vec());
    odd.payload = b"?".to_vec();
    let asking = {
        let server = server.clone();
        tokio::spawn(async move { server.raw("thing", odd).await })
    };
    let request = device.receive().await;
    assert_eq!(code(&request), Code::from_byte(5));
    assert_eq!(texts(&request, CoapOption::UriPath), ["lwm2m", "3"]);
    device.send(&Device::piggybacked(&request, Code::METHOD_NOT_ALLOWED, 0, &[])).await;
    assert_eq!(code(&asking.await.unwrap().unwrap()), Code::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn requests_that_cannot_be_sent_say_why() {
    let server = server(|_| {}).await;
    let unknown = server.read("nobody", &path("/3/0"), None).await;
    assert!(matches!(unknown, Err(Error::NotRegistered(_))));
    let (_device, _) = Device::registered(&server, "thing", &[]).await;
    let long = "x".repeat((128 << 20) + 1);
    let too_large = server.execute("thing", &path("/3/0/4"), Some(&long)).await;
    assert!(matches!(too_large, Err(Error::TooLarge(0x0800_0001))));
    let two = [1, 6].map(|id| Entry::new(Path::resource(1, 0, id), Value::Integer(1)));
    let written =
        server.write("thing", &path("/1/0"), WriteMode::Replace, ContentFormat::TEXT, &two).await;
    assert!(matches!(written, Err(Error::Encode(_))));
    let other = server.clone();
    server.stop().await;
    assert!(matches!(other.registrations().await, Err(Error::Stopped)));
}

#[tokio::test]
async fn a_device_that_moves_gets_reads_again_and_nothing_else() {
    let server = server(|_| {}).await;
    for (target, repeated) in [("/3/0/9", true), ("/3/0/4", false)] {
        let (device, location) = Device::registered(&server, "thing", &[]).await;
        let asking = {
            let (server, target) = (server.clone(), path(target));
            tokio::spawn(async move {
                match repeated {
                    true => server.read("thing", &target, None).await,
                    false => server.execute("thing", &target, None).await,
                }
            })
        };
        device.receive().await;
        let mut moved = Device::new(&server).await;
        assert_eq!(code(&moved.update(&location, &[]).await), Code::CHANGED);
        if repeated {
            let request = moved.receive().await;
            moved.answer_text(&request, "3").await;
            assert_eq!(asking.await.unwrap().unwrap().payload, b"3");
        } else {
            assert!(matches!(asking.await.unwrap(), Err(Error::Moved)));
        }
    }
}
