//! Where a pre-shared key comes from.
//!
//! A file holds the key as hex or as raw bytes. Content of nothing but hex
//! digits and white space is hex, in any case and grouping, and an odd number
//! of digits is an error. Everything else is raw bytes, taken as they are, a
//! line feed at the end included.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::file::{self, FileError};
use crate::psk::check_key_length;
use crate::{PskError, Secret, SecretError};

/// Where to find a pre-shared key.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A systemd credential (`LoadCredential=`, `SetCredential=`) by name.
    Credential(String),
    /// A file that nobody but its owner may read.
    File(PathBuf),
    /// The key itself, in hex.
    Hex(Secret),
    /// The key itself, in Base64 of either alphabet.
    Base64(Secret),
}

impl KeySource {
    /// Loads the key, 1 to [`crate::MAX_PSK`] bytes. `credentials_dir` is
    /// systemd's `CREDENTIALS_DIRECTORY`, if it set one.
    ///
    /// # Errors
    ///
    /// What is wrong and where; content is never quoted. A file that group or
    /// others may read or write is refused, unless it is in `credentials_dir`:
    /// systemd sets the modes there.
    pub fn load(&self, credentials_dir: Option<&Path>) -> Result<Secret, KeyError> {
        let key = match self {
            Self::Credential(name) => {
                read(&credential_file(name, credentials_dir)?, Access::Anybody)?
            }
            Self::File(path) if is_inside(path, credentials_dir) => read(path, Access::Anybody)?,
            Self::File(path) => read(path, Access::OwnerAlone)?,
            Self::Hex(text) => self.decode(text, Secret::from_hex)?,
            Self::Base64(text) => self.decode(text, Secret::from_base64)?,
        };
        check_key_length(&key)
            .map_err(|cause| KeyError::Length { from: self.to_string(), cause })?;
        Ok(key)
    }

    /// Loads a secret that is text: a password, a token, a private key in PEM. A file or
    /// credential holds the text itself, at most [`MAX_TEXT`] bytes, and line feeds at its
    /// end do not count; hex and Base64 are decoded to it. `credentials_dir` is as for
    /// [`Self::load`].
    ///
    /// # Errors
    ///
    /// As for [`Self::load`], or the text is empty.
    pub fn load_text(&self, credentials_dir: Option<&Path>) -> Result<Secret, KeyError> {
        let bytes = match self {
            Self::Credential(name) => {
                read_bytes(&credential_file(name, credentials_dir)?, Access::Anybody, MAX_TEXT)?
            }
            Self::File(path) => {
                let inside = is_inside(path, credentials_dir);
                let access = if inside { Access::Anybody } else { Access::OwnerAlone };
                read_bytes(path, access, MAX_TEXT)?
            }
            Self::Hex(text) => self.decode(text, Secret::from_hex)?,
            Self::Base64(text) => self.decode(text, Secret::from_base64)?,
        };
        let end = bytes.expose().iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        match end.and_then(|end| bytes.expose().get(..=end)) {
            Some(text) => Ok(Secret::new(text.to_vec())),
            None => Err(KeyError::Empty { from: self.to_string() }),
        }
    }

    fn decode(
        &self,
        text: &Secret,
        decode: fn(&str) -> Result<Secret, SecretError>,
    ) -> Result<Secret, KeyError> {
        let text = str::from_utf8(text.expose()).map_err(|_| SecretError::NotText);
        text.and_then(decode).map_err(|cause| KeyError::Text { from: self.to_string(), cause })
    }
}

/// What an operator calls it: `key file /etc/lwm2md/psk`.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential {name:?}"),
            Self::File(path) => write!(f, "key file {}", path.display()),
            Self::Hex(_) => f.write_str("key in hex"),
            Self::Base64(_) => f.write_str("key in base64"),
        }
    }
}

/// Why a key could not be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name of a credential is no file name.
    #[error("credential {name:?} is not a name: it must be a plain file name")]
    CredentialName {
        /// The name.
        name: String,
    },
    /// systemd gave the process no credentials.
    #[error(
        "credential {name:?} is not there: systemd passed none; \
         add LoadCredential={name} to the unit"
    )]
    NoCredentials {
        /// The name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read key file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// A directory, device, pipe or socket.
    #[error("key file {} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write the file.
    #[error(
        "key file {} is open to others (mode {mode:04o}): run chmod 600 {}",
        path.display(),
        path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is far too long for a key.
    #[error("key file {} is longer than {max} bytes: not a key", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes allowed.
        max: usize,
    },
    /// The text does not decode.
    #[error("{from}: {cause}")]
    Text {
        /// The source in words.
        from: String,
        /// What is wrong with it.
        cause: SecretError,
    },
    /// The text is empty.
    #[error("{from} is empty")]
    Empty {
        /// The source in words.
        from: String,
    },
    /// The key is empty or too long.
    #[error("{from}: {cause}")]
    Length {
        /// The source in words.
        from: String,
        /// What is wrong with it.
        cause: PskError,
    },
}

/// The file of the systemd credential `name`; `dir` is systemd's
/// `CREDENTIALS_DIRECTORY`, if it set one.
///
/// # Errors
///
/// [`KeyError::CredentialName`] or [`KeyError::NoCredentials`].
pub fn credential_file(name: &str, dir: Option<&Path>) -> Result<PathBuf, KeyError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(KeyError::CredentialName { name: name.to_owned() });
    }
    let dir = dir.ok_or_else(|| KeyError::NoCredentials { name: name.to_owned() })?;
    Ok(dir.join(name))
}

/// Whether `path` really is in `dir`, links and `..` resolved.
fn is_inside(path: &Path, dir: Option<&Path>) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    match (real(path), dir.and_then(real)) {
        (Some(path), Some(dir)) => path.starts_with(dir),
        _ => false,
    }
}

/// Whose a key file must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Group and others may neither read nor write it.
    OwnerAlone,
    /// Whatever its mode says: systemd guards the directory.
    Anybody,
}

/// Reads a key file.
fn read(path: &Path, access: Access) -> Result<Secret, KeyError> {
    let content = read_bytes(path, access, MAX_FILE)?;
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace();
    if !content.expose().iter().all(is_hex) {
        return Ok(content);
    }
    Secret::from_hex_bytes(content.expose()).map_err(|cause| KeyError::Text {
        from: KeySource::File(path.to_owned()).to_string(),
        cause,
    })
}

/// Reads a file as it is.
fn read_bytes(path: &Path, access: Access, max: usize) -> Result<Secret, KeyError> {
    let failed = |cause| KeyError::Read { path: path.to_owned(), cause };
    let refused = match access {
        Access::OwnerAlone => OTHERS,
        Access::Anybody => 0,
    };
    let file = file::open(path, refused).map_err(|error| match error {
        FileError::System(cause) => failed(cause),
        FileError::NotAFile => KeyError::NotAFile { path: path.to_owned() },
        FileError::Mode(mode) => KeyError::Mode { path: path.to_owned(), mode },
    })?;
    // Full capacity at once: a vector that grows leaves its old memory behind.
    let mut content = Zeroizing::new(Vec::with_capacity(max + 1));
    file.take(max as u64 + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() > max {
        return Err(KeyError::TooLong { path: path.to_owned(), max });
    }
    Ok(Secret::new(content.to_vec()))
}

/// Reading and writing by group and others.
const OTHERS: u32 = 0o066;

/// Most bytes of a secret that is text: a private key of RSA with 8192 bits has 6 KiB.
pub const MAX_TEXT: usize = 16 * 1024;

/// A key of 64 bytes in hex, with much white space.
const MAX_FILE: usize = 1024;

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn file(dir: &TempDir, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn text(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    #[test]
    fn files_hold_hex_or_raw_bytes() {
        let dir = TempDir::new().unwrap();
        for (name, content, key) in [
            ("hex", &b"00fF10\n"[..], &[0, 255, 16][..]),
            ("grouped", b" 00ff\n10 20\r\n", &[0, 255, 16, 32]),
            ("raw", &[0, 255, 10], &[0, 255, 10]),
            ("text", b"secret\n", b"secret\n"),
            ("almost hex", b"00fg", b"00fg"),
        ] {
            let source = KeySource::File(file(&dir, name, content, 0o600));
            assert_eq!(source.load(None).unwrap().expose(), key, "{name}");
        }
    }

    /// A password of hex digits alone is still itself.
    #[test]
    fn texts_are_taken_as_they_are_without_the_line_feed_at_their_end() {
        let dir = TempDir::new().unwrap();
        let long = vec![b'a'; MAX_TEXT];
        for (name, content, loaded) in [
            ("digits", &b"00ff\n"[..], &b"00ff"[..]),
            ("lines", b"one\ntwo\r\n\n", b"one\ntwo"),
            ("spaces", b" a \n", b" a "),
            ("long", &long, &long),
        ] {
            let source = KeySource::File(file(&dir, name, content, 0o600));
            assert_eq!(source.load_text(None).unwrap().expose(), loaded, "{name}");
            let source = KeySource::Credential(name.to_owned());
            assert_eq!(source.load_text(Some(dir.path())).unwrap().expose(), loaded, "{name}");
        }
        assert_eq!(KeySource::Hex(text("6869")).load_text(None).unwrap().expose(), b"hi");
        for (name, content, mode, error) in [
            ("empty", &b"\n"[..], 0o600, "/empty is empty"),
            ("open", b"a", 0o644, "/open is open to others (mode 0644): "),
            ("too-long", &vec![b'a'; MAX_TEXT + 1], 0o600, "/too-long is longer than 16384 bytes"),
        ] {
            let source = KeySource::File(file(&dir, name, content, mode));
            let shown = source.load_text(None).unwrap_err().to_string();
            assert!(shown.contains(error), "{shown}");
        }
    }

    #[test]
    fn keys_in_the_configuration_are_decoded() {
        let hex = KeySource::Hex(text("00ff"));
        assert_eq!(hex.load(None).unwrap().expose(), [0, 255]);
        let base64 = KeySource::Base64(text("-_8="));
        assert_eq!(base64.load(None).unwrap().expose(), [0xfb, 0xff]);
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let dir = TempDir::new().unwrap();
        for mode in [0o640, 0o604, 0o660, 0o602, 0o644, 0o4644] {
            let path = file(&dir, "psk", b"00ff", mode);
            let shown = path.display().to_string();
            let error = KeySource::File(path).load(None).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "key file {shown} is open to others (mode {mode:04o}): run chmod 600 {shown}"
                )
            );
        }
        for mode in [0o600, 0o400, 0o700] {
            let path = file(&dir, "psk", b"00ff", mode);
            assert!(KeySource::File(path).load(None).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn credentials_are_found_by_name_whatever_their_mode() {
        let dir = TempDir::new().unwrap();
        let path = file(&dir, "psk", b"00ff", 0o444);
        let load = |source: KeySource| source.load(Some(dir.path()));
        assert_eq!(load(KeySource::Credential("psk".into())).unwrap().expose(), [0, 255]);
        assert_eq!(load(KeySource::File(path)).unwrap().expose(), [0, 255]);
    }

    #[test]
    fn a_link_out_of_the_credentials_directory_is_not_exempt() {
        let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let target = file(&outside, "psk", b"00ff", 0o644);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(target, &link).unwrap();
        let error = KeySource::File(link).load(Some(dir.path())).unwrap_err();
        assert!(matches!(error, KeyError::Mode { mode: 0o644, .. }), "{error}");
    }

    #[test]
    fn wrong_sources_give_the_place_and_the_cause_and_no_content() {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let at = |name: &str, content: &[u8]| KeySource::File(file(&dir, name, content, 0o600));
        let long = at("long", &[b'x'; MAX_FILE + 1]);
        let rows = [
            (
                KeySource::Credential("psk".into()),
                "credential \"psk\" is not there: systemd passed none; \
                 add LoadCredential=psk to the unit"
                    .to_owned(),
            ),
            (
                KeySource::Credential("../psk".into()),
                "credential \"../psk\" is not a name: it must be a plain file name".to_owned(),
            ),
            (
                KeySource::File(dir.path().join("none")),
                format!(
                    "cannot read key file {}: No such file or directory (os error 2)",
                    path("none")
                ),
            ),
            (
                KeySource::File(dir.path().to_owned()),
                format!("key file {} is not a regular file", dir.path().display()),
            ),
            (long, format!("key file {} is longer than 1024 bytes: not a key", path("long"))),
            (
                at("odd", b"000\n"),
                format!("key file {}: the number of hex digits is odd", path("odd")),
            ),
            (
                at("empty", b""),
                format!(
                    "key file {}: the pre-shared key has 0 bytes, allowed are 1 to 64",
                    path("empty")
                ),
            ),
            (
                at("big", &[7; 65]),
                format!(
                    "key file {}: the pre-shared key has 65 bytes, allowed are 1 to 64",
                    path("big")
                ),
            ),
            (KeySource::Hex(text("0g")), "key in hex: character 2 is not a hex digit".to_owned()),
            (KeySource::Base64(text("!")), "key in base64: not base64".to_owned()),
            (
                KeySource::Hex(text("")),
                "key in hex: the pre-shared key has 0 bytes, allowed are 1 to 64".to_owned(),
            ),
        ];
        for (source, error) in rows {
            assert_eq!(source.load(None).unwrap_err().to_string(), error);
        }
    }

    /// OBJ-30.
    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", KeySource::Hex(text("00ff"))), "Hex(<secret>)");
    }
}
