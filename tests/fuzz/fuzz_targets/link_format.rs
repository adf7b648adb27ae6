#![no_main]

use lwm2m_codec::link_format::{parse, write};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(links) = parse(text) else { return };
    let mut out = String::new();
    write(&links, &mut out);
    assert_eq!(parse(&out).as_deref(), Ok(&links[..]));
});
