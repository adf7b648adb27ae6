//! Requests in blocks, in both directions (RFC 7959 2.5, RFC 9175).

mod device;

use coap_lite::{CoapOption, Packet};
use device::{Device, code, number, path, server, set_number, texts};
use lwm2m_model::{Code, ContentFormat, Entry, Value, WriteMode};
use lwm2m_test_server::{Error, Server, ServerEvent};
use tokio::task::JoinHandle;

const REQUEST_TAG: CoapOption = CoapOption::Unknown(292);

/// Block number, whether more follow, size.
fn block1(packet: &Packet) -> Option<(usize, bool, usize)> {
    let value = number(packet, CoapOption::Block1)?;
    Some(((value >> 4) as usize, value & 8 != 0, 16 << (value & 7)))
}

/// Block `place` of a request, of 16 bytes shifted left by `exponent`.
fn block_of(request: &Packet, id: u16, place: usize, exponent: u32) -> Packet {
    let size = 16_usize << exponent;
    let mut packet = request.clone();
    packet.header.message_id = id;
    packet.set_token(id.to_be_bytes().to_vec());
    let more = (place + 1) * size < request.payload.len();
    let value = (place as u32) << 4 | u32::from(more) << 3 | exponent;
    set_number(&mut packet, CoapOption::Block1, value);
    packet.add_option(REQUEST_TAG, vec![1]);
    packet.payload = request.payload.chunks(size).nth(place).unwrap_or_default().to_vec();
    packet
}

/// A Register with so many objects.
fn register(device: &mut Device, objects: usize) -> Packet {
    let mut request = device.register_request("thing", &[]);
    let links: Vec<String> = (0..objects).map(|id| format!("</{}/0>", 10_000 + id)).collect();
    request.payload = links.join(",").into_bytes();
    request
}

/// TRN-36
#[tokio::test]
async fn a_register_in_blocks_is_taken_in_the_size_that_the_server_likes() {
    let server = server(|config| config.block_size = "64".parse().unwrap()).await;
    let mut events = server.events().unwrap();
    let mut device = Device::new(&server).await;
    let request = register(&mut device, 300);
    let first = block_of(&request, device.next_id(), 0, 6);
    let mut sent = first.to_bytes().unwrap().len();
    let answer = device.ask(&first).await;
    assert_eq!((code(&answer), block1(&answer)), (Code::CONTINUE, Some((0, true, 64))));
    let last = (request.payload.len() - 1) / 64;
    for place in 16..=last {
        let block = block_of(&request, device.next_id(), place, 2);
        let bytes = block.to_bytes().unwrap();
        sent += bytes.len();
        let answer = device.ask(&block).await;
        let wanted = if place < last { Code::CONTINUE } else { Code::CREATED };
        assert_eq!((code(&answer), block1(&answer)), (wanted, Some((place, place < last, 64))));
        assert_eq!(answer.get_token(), block.get_token());
        device.send_bytes(&bytes).await;
        let again = device.receive().await;
        assert_eq!(again, answer, "a repetition gets the same answer");
    }
    let known = server.registration("thing").await.unwrap();
    assert_eq!(known.links.len(), 300);
    let event = events.next().await.unwrap();
    assert!(matches!(event, ServerEvent::Registered { bytes, .. } if bytes == sent), "{event:?}");

    let mut update = device.request(2, &known.location, &[]);
    set_number(&mut update, CoapOption::ContentFormat, 40);
    update.payload = b"</1/0>,</3/0>,</10299/0>".to_vec();
    for (place, wanted) in [(0, Code::CONTINUE), (1, Code::CHANGED)] {
        let block = block_of(&update, device.next_id(), place, 0);
        assert_eq!(code(&device.ask(&block).await), wanted);
    }
    assert_eq!(server.registration("thing").await.unwrap().links.len(), 3);
}

/// TRN-36
#[tokio::test]
async fn blocks_in_wrong_order_and_bodies_too_large_are_refused() {
    let server = server(|_| {}).await;
    let mut device = Device::new(&server).await;
    let request = register(&mut device, 30);
    for (place, wanted) in [
        (1, Code::REQUEST_ENTITY_INCOMPLETE),
        (0, Code::CONTINUE),
        (2, Code::REQUEST_ENTITY_INCOMPLETE),
        (1, Code::CONTINUE),
    ] {
        let block = block_of(&request, device.next_id(), place, 2);
        assert_eq!(code(&device.ask(&block).await), wanted, "{place}");
    }
    let mut too_large = block_of(&request, device.next_id(), 0, 2);
    set_number(&mut too_large, CoapOption::Size1, 100_000);
    let answer = device.ask(&too_large).await;
    assert_eq!(code(&answer), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(number(&answer, CoapOption::Size1), Some(65_536));
    assert_eq!(block1(&answer), None, "a smaller block would not help");
    let mut reserved = block_of(&request, device.next_id(), 0, 2);
    reserved.clear_option(CoapOption::Block1);
    set_number(&mut reserved, CoapOption::Block1, 7);
    assert_eq!(code(&device.ask(&reserved).await), Code::BAD_REQUEST);
    assert!(server.registrations().await.unwrap().is_empty());
}

fn write(server: &Server, value: &str) -> JoinHandle<Result<Code, Error>> {
    let (server, target) = (server.clone(), path("/3303/0/5750"));
    let entries = [Entry::new(target.clone(), Value::String(value.into()))];
    tokio::spawn(async move {
        let format = ContentFormat::TEXT;
        let mode = WriteMode::Replace;
        let answer = server.write("thing", &target, mode, format, &entries).await?;
        assert_eq!(answer.traffic.sent.len(), answer.traffic.received.len());
        Ok(answer.code)
    })
}

/// TRN-36, TRN-37
#[tokio::test]
async fn a_write_larger_than_a_block_goes_in_blocks() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let value = "0123456789".repeat(500);
    let writing = write(&server, &value);
    let (mut body, mut tags, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let code = loop {
        let request = device.receive().await;
        let (place, more, size) = block1(&request).unwrap();
        assert_eq!(place * size, body.len());
        assert_eq!(texts(&request, CoapOption::UriPath), ["3303", "0", "5750"]);
        let announced = number(&request, CoapOption::Size1);
        assert_eq!(announced, (place == 0).then_some(5000));
        body.extend_from_slice(&request.payload);
        tags.push(request.get_first_option(REQUEST_TAG).unwrap().clone());
        tokens.push(request.get_token().to_vec());
        let code = if more { Code::CONTINUE } else { Code::CHANGED };
        let mut answer = Device::piggybacked(&request, code, 0, &[]);
        // From the second block on in blocks of 256 bytes.
        let value = (place as u32) << 4 | u32::from(more) << 3 | 4;
        set_number(&mut answer, CoapOption::Block1, value);
        device.send(&answer).await;
        if !more {
            break code;
        }
    };
    assert_eq!(writing.await.unwrap().unwrap(), code);
    assert_eq!(body, value.as_bytes());
    assert_eq!(tokens.len(), 1 + (5000_usize - 1024).div_ceil(256));
    tokens.sort();
    tokens.dedup();
    tags.dedup();
    assert_eq!((tokens.len(), tags.len()), (17, 1), "one tag, and a token for each block");
}

#[tokio::test]
async fn a_write_in_blocks_ends_with_a_refusal_or_nonsense() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    let value = "x".repeat(1025);
    let writing = write(&server, &value);
    let request = device.receive().await;
    device.send(&Device::piggybacked(&request, Code::REQUEST_ENTITY_TOO_LARGE, 0, &[])).await;
    assert_eq!(writing.await.unwrap().unwrap(), Code::REQUEST_ENTITY_TOO_LARGE);
    let writing = write(&server, &value);
    let request = device.receive().await;
    device.send(&Device::piggybacked(&request, Code::CONTINUE, 0, &[])).await;
    let error = writing.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "block-wise answer: 2.31 without Block1");
}

#[tokio::test]
async fn small_blocks_are_asked_for_from_the_start() {
    let server = server(|_| {}).await;
    let (device, _) = Device::registered(&server, "thing", &[]).await;
    server.set_block_size("32".parse().unwrap()).await.unwrap();
    let reading = {
        let server = server.clone();
        tokio::spawn(async move { server.read("thing", &path("/3/0/9"), None).await })
    };
    let request = device.receive().await;
    assert_eq!(number(&request, CoapOption::Block2), Some(1));
    device.answer_text(&request, "7").await;
    assert_eq!(reading.await.unwrap().unwrap().payload, b"7");
}
