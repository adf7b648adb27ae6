//! What the sentences of RAUC mean: its errors have no codes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Package, Reason};

/// What a sentence of RAUC means, as far as it can be told.
pub(crate) fn reason_of(sentence: &str) -> Reason {
    let known = SENTENCES.iter().find(|(part, _)| sentence.contains(part));
    known.map_or(Reason::Other, |(_, reason)| *reason)
}

/// What it means of a bundle that is only looked at.
pub(crate) fn reason_of_refusal(sentence: &str, package: &Package) -> Reason {
    match (reason_of(sentence), package) {
        // Before RAUC 1.9 one sentence stands for everything.
        (Reason::Other, Package::Stored(path)) if !looks_like_a_bundle(path) => Reason::Unsupported,
        (Reason::Other, Package::Stored(_)) => Reason::Refused,
        (reason, _) => reason,
    }
}

/// What RAUC says without the URI, which may hold what proves the device to the source.
pub(crate) fn without_uri(sentence: &str, package: &Package) -> String {
    match package {
        Package::Stored(_) => sentence.to_owned(),
        Package::Remote(uri) => sentence.replace(uri.as_str(), "from Package URI"),
    }
}

/// True unless it cannot be a bundle: those begin with a squashfs.
fn looks_like_a_bundle(package: &Path) -> bool {
    let mut start = [0; SQUASHFS.len()];
    let read = File::open(package).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *SQUASHFS
}

/// Parts of what RAUC says, the more telling first.
const SENTENCES: &[(&str, Reason)] = &[
    // A clock that is not set says the same.
    ("not yet valid", Reason::Refused),
    ("has expired", Reason::Refused),
    ("signature verification failed", Reason::Integrity),
    ("No such file", Reason::Other),
    // Of a bundle that RAUC reads from its origin.
    ("recompile with -Dstreaming=true", Reason::NotStreamed),
    ("not supported in streaming mode", Reason::Unsupported),
    ("not found: ", Reason::InvalidUri),
    ("unauthorized: ", Reason::InvalidUri),
    ("failed to configure streaming: ", Reason::Lost),
    ("failed to read data from remote server", Reason::Lost),
    ("Invalid bundle format", Reason::Unsupported),
    ("Compatible mismatch", Reason::Unsupported),
];
const SQUASHFS: &[u8; 4] = b"hsqs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_rauc_say_what_is_wrong() {
        #[rustfmt::skip] // a table: one row a sentence
        let cases = [
            ("signature verification failed: Verify error: unable to get local issuer certificate", Reason::Integrity),
            ("signature verification failed: error:1700009E:CMS routines::verification failure", Reason::Integrity),
            ("signature verification failed: Verify error: certificate is not yet valid", Reason::Refused),
            ("signature verification failed: Verify error: certificate has expired", Reason::Refused),
            ("Invalid bundle format: Signature size (7) exceeds bundle size", Reason::Unsupported),
            ("Invalid bundle format: Failed to open bundle for reading: x: No such file or directory", Reason::Other),
            ("Installation error: Compatible mismatch: Expected 'x' but bundle manifest has 'y'", Reason::Unsupported),
            ("Installation error: Bundle rejected: Hook returned: no", Reason::Other),
            ("Slot (8 bytes) is too small for image (9 bytes).", Reason::Other),
            ("Failed mounting bundle: Failed to open /dev/mapper/control", Reason::Other),
        ];
        for (sentence, reason) in cases {
            assert_eq!(reason_of(sentence), reason, "{sentence}");
        }
    }
}
