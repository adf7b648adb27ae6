#![no_main]

use lwm2m_coap::{Draft, Message, option};

// Numbers and lengths have one form each, so a message that is read is written
// with the same bytes.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::decode(data) else { return };
    let mut draft = message
        .options()
        .fold(Draft::new(message.code), |draft, (number, value)| draft.option(number, value));
    draft.payload = message.payload.to_vec();
    assert_eq!(draft.encode(message.kind, message.id, message.token), data);

    let _ = (message.accept(), message.content_format(), message.observe());
    let _ = message.option_uint(option::BLOCK2);
    assert!(message.texts(option::URI_PATH).count() <= data.len());
});
