#![no_main]

use lwm2m_model::ContentFormat;

libfuzzer_sys::fuzz_target!(|data: &[u8]| lwm2m_fuzz::decoder(ContentFormat::OMA_JSON, data));
