//! `monitor`: one line a message, its values indented below.

use std::fmt::Write;

use lwm2m_bus::MessageRecord;
use serde_json::json;

use super::text::{columns, printable};
use super::{Bytes, values};

/// `101 <- Read /3/0/9 [text]`, then the values, then the bytes if wanted.
pub(crate) fn readable(record: &MessageRecord, bytes: Bytes) -> String {
    let arrow = if record.direction == "received" { "<-" } else { "->" };
    let mut line = format!("{} {arrow} {}", record.server, printable(&record.operation));
    for part in [&record.path, &record.code].into_iter().flatten() {
        let _ = write!(line, " {}", printable(part));
    }
    if !record.detail.is_empty() {
        let _ = write!(line, " {}", printable(&record.detail));
    }
    if !record.payload.is_empty() {
        let format = record.format.as_deref().unwrap_or("no format");
        let _ = write!(line, " [{}, {} bytes]", printable(format), record.payload.len());
    }
    line.push('\n');
    let rows: Vec<[String; 3]> = record.values.iter().map(values::row).collect();
    indent(&mut line, &columns(&rows));
    if bytes == Bytes::Shown {
        indent(&mut line, &hexadecimal(&record.payload));
    }
    line
}

/// One object a message.
pub(crate) fn json(record: &MessageRecord) -> serde_json::Value {
    json!({
        "server": record.server,
        "direction": record.direction,
        "operation": record.operation,
        "path": record.path,
        "detail": record.detail,
        "code": record.code,
        "format": record.format,
        "values": values::json(&record.values),
        "payload": plain_hexadecimal(&record.payload),
    })
}

fn indent(to: &mut String, lines: &str) {
    for line in lines.lines() {
        to.push_str("      ");
        to.push_str(line);
        to.push('\n');
    }
}

/// Offset, up to sixteen bytes, and the same as ASCII.
fn hexadecimal(bytes: &[u8]) -> String {
    let rows: Vec<[String; 3]> = bytes
        .chunks(BYTES_PER_LINE)
        .enumerate()
        .map(|(line, chunk)| {
            let digits: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let shown = |byte: &u8| match byte {
                b' '..=b'~' => char::from(*byte),
                _ => '.',
            };
            [
                format!("{:04x}", line * BYTES_PER_LINE),
                digits.join(" "),
                chunk.iter().map(shown).collect(),
            ]
        })
        .collect();
    columns(&rows)
}

fn plain_hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const BYTES_PER_LINE: usize = 16;

#[cfg(test)]
mod tests {
    use lwm2m_bus::TypedValue;
    use lwm2m_model::{Entry, Path, Value};

    use super::*;

    fn request() -> MessageRecord {
        MessageRecord {
            server: 101,
            direction: "received".into(),
            operation: "Observe".into(),
            path: Some("/3/0/9".into()),
            detail: "pmin=1&pmax=60".into(),
            code: None,
            format: None,
            values: vec![],
            payload: vec![],
        }
    }

    fn answer() -> MessageRecord {
        MessageRecord {
            direction: "sent".into(),
            detail: String::new(),
            code: Some("2.05".into()),
            format: Some("tlv".into()),
            values: vec![
                TypedValue::from_entry(&Entry::new(Path::resource(3, 0, 9), Value::Integer(87))),
                TypedValue::from_entry(&Entry::new(
                    Path::resource(3, 0, 16),
                    Value::String("U".into()),
                )),
            ],
            payload: b"0123456789abcdef\x00\xff".to_vec(),
            ..request()
        }
    }

    #[test]
    fn messages_read_as_a_conversation() {
        assert_eq!(readable(&request(), Bytes::Shown), "101 <- Observe /3/0/9 pmin=1&pmax=60\n");
        assert_eq!(
            readable(&answer(), Bytes::Counted),
            "\
101 -> Observe /3/0/9 2.05 [tlv, 18 bytes]
      /3/0/9   Battery Level                87 %
      /3/0/16  Supported Binding and Modes  \"U\"
"
        );
        let shown = readable(&answer(), Bytes::Shown);
        assert!(
            shown.ends_with(
                "
      0000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef
      0010  00 ff                                            ..
"
            ),
            "{shown}"
        );
    }

    #[test]
    fn json_has_the_payload_in_hexadecimal() {
        assert_eq!(
            json(&request()).to_string(),
            r#"{"code":null,"detail":"pmin=1&pmax=60","direction":"received","format":null,"operation":"Observe","path":"/3/0/9","payload":"","server":101,"values":[]}"#
        );
        assert!(
            json(&answer())
                .to_string()
                .contains(r#""payload":"3031323334353637383961626364656600ff""#)
        );
    }
}
