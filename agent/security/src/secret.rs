//! Bytes that are never printed and are wiped when they go.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;
use zeroize::Zeroizing;

/// Key material: `Debug` prints `<secret>`, the memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads hex digits of either case; white space is skipped.
    ///
    /// # Errors
    ///
    /// Another character, or an odd number of digits.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        Self::from_hex_bytes(text.as_bytes())
    }

    /// As [`Self::from_hex`], from the bytes of a file.
    pub(crate) fn from_hex_bytes(text: &[u8]) -> Result<Self, SecretError> {
        // Full capacity at once: a vector that grows leaves its old memory
        // behind unwiped.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len().div_ceil(2)));
        let mut high = None;
        for (offset, byte) in text.iter().enumerate() {
            if byte.is_ascii_whitespace() {
                continue;
            }
            let digit = hex_digit(*byte).ok_or(SecretError::NotHex { offset })?;
            high = match high {
                None => Some(digit << 4),
                Some(high) => {
                    bytes.push(high | digit);
                    None
                }
            };
        }
        if high.is_some() { Err(SecretError::OddHex) } else { Ok(Self(bytes)) }
    }

    /// Reads Base64 of the standard or the URL alphabet (RFC 4648 4 and 5),
    /// padded or not; white space around it is skipped.
    ///
    /// # Errors
    ///
    /// Not Base64, or the two alphabets mixed.
    pub fn from_base64(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        // The decoder's error quotes a byte of the key: it goes no further.
        engine.decode(text).map(Self::new).map_err(|_| SecretError::NotBase64)
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Text that is a secret itself, such as a key in hex from a configuration.
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Why text is no key. It names places, never content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// A character that is neither a hex digit nor white space.
    #[error("character {} is not a hex digit", offset + 1)]
    NotHex {
        /// Bytes before it.
        offset: usize,
    },
    /// A hex digit is missing.
    #[error("the number of hex digits is odd")]
    OddHex,
    /// Neither of the two Base64 alphabets.
    #[error("not base64")]
    NotBase64,
    /// Bytes that should have been text.
    #[error("not text")]
    NotText,
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_either_case_and_with_space() {
        for text in ["00ff7aC1", "00FF7Ac1\n", " 00 ff\t7a c1 ", "0 0ff7ac1"] {
            assert_eq!(Secret::from_hex(text).unwrap().expose(), [0, 255, 0x7a, 0xc1], "{text:?}");
        }
        assert!(Secret::from_hex("").unwrap().is_empty());
    }

    #[test]
    fn base64_is_read_in_both_alphabets_with_and_without_padding() {
        for text in ["+/+/AA==", "-_-_AA==", "+/+/AA", "-_-_AA", "\n+/+/AA==\n"] {
            let bytes = [0xfb, 0xff, 0xbf, 0];
            assert_eq!(Secret::from_base64(text).unwrap().expose(), bytes, "{text:?}");
        }
    }

    /// OBJ-30.
    #[test]
    fn what_is_no_key_is_refused_without_quoting_it() {
        for (text, error) in [
            ("00fg", "character 4 is not a hex digit"),
            ("0x00", "character 2 is not a hex digit"),
            ("00:ff", "character 3 is not a hex digit"),
            ("000", "the number of hex digits is odd"),
        ] {
            assert_eq!(Secret::from_hex(text).unwrap_err().to_string(), error, "{text:?}");
        }
        for text in ["+_AA", "a", "AA=A", "AA AA", "ß"] {
            assert_eq!(Secret::from_base64(text).unwrap_err(), SecretError::NotBase64, "{text:?}");
        }
    }

    /// OBJ-30.
    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::from("topsecret".to_owned())), "<secret>");
    }
}
