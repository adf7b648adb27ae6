//! Text from files that nobody vouches for: bounded, UTF-8, without control
//! characters.

use std::io::Read;
use std::path::Path;

/// The content of a file of at most [`MAX_FILE`] bytes; `None` if it cannot be
/// read, is longer, or is empty.
pub fn bytes(path: &Path) -> Option<Vec<u8>> {
    // With room from the start one read gets it all, and another the end.
    let mut content = Vec::with_capacity(TYPICAL_FILE);
    let limit = u64::try_from(MAX_FILE).ok()? + 1;
    crate::durable::open(path).ok()?.take(limit).read_to_end(&mut content).ok()?;
    (!content.is_empty() && content.len() <= MAX_FILE).then_some(content)
}

/// The one line a file holds, see [`clean`].
pub fn line(path: &Path) -> Option<String> {
    clean(&bytes(path)?)
}

/// Text without NUL and blanks at its ends; `None` if nothing is left, if it is
/// longer than [`MAX_LINE`] bytes, no UTF-8, or has control characters inside.
pub fn clean(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let fits = !text.is_empty() && text.len() <= MAX_LINE && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// A decimal number in a file of its own.
pub fn number(path: &Path) -> Option<i64> {
    line(path)?.parse().ok()
}

/// Room for what most files of interest have, `meminfo` with its 1.5 KB too.
const TYPICAL_FILE: usize = 2048;
/// Longest file that is read, in bytes; the files of interest have less than 10 KB.
pub const MAX_FILE: usize = 256 * 1024;
/// Longest text that becomes a value, in bytes.
pub const MAX_LINE: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_none_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (told, answer) = std::sync::mpsc::channel();
        let paths = [pipe, folder.path().to_owned(), folder.path().join("none")];
        std::thread::spawn(move || told.send(paths.map(|path| bytes(&path))));
        let limit = std::time::Duration::from_secs(10);
        assert_eq!(answer.recv_timeout(limit), Ok([None, None, None]));
    }

    #[test]
    fn only_plain_text_is_taken() {
        let long = vec![b'x'; MAX_LINE + 1];
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"Raspberry Pi 4\0", Some("Raspberry Pi 4")),
            (b"  GW-100 \n", Some("GW-100")),
            ("Grün".as_bytes(), Some("Grün")),
            (b"", None),
            (b"\0\n ", None),
            (b"a\x1bb", None),
            (b"\xff\xfe", None),
            (&long, None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(clean(bytes).as_deref(), expected, "{bytes:?}");
        }
    }
}
