//! Takes out of a datagram what cannot be a record of the link.
//!
//! RFC 6347 4.1.2.7 has invalid records dropped silently. libssl ends the link
//! instead in two cases that cost a stranger one datagram: in a handshake, on
//! plaintext that is no message of a handshake; and at any time, on a protected
//! record too short for its nonce and tag (seen with 3.0.19, whatever the
//! suite). Nothing here looks at keys: what is well formed passes.

/// The records of `datagram` that the library may see. `overhead` is what
/// protection adds to a fragment, in bytes: explicit nonce and tag.
pub(crate) fn sieve(datagram: &[u8], overhead: usize) -> Vec<u8> {
    let mut kept = Vec::with_capacity(datagram.len());
    let mut rest = datagram;
    while let Some((record, after)) = split_record(rest) {
        if is_plausible(record, overhead) {
            kept.extend_from_slice(record);
        }
        rest = after;
    }
    kept
}

/// The first record, header included, and what follows it; `None` if the
/// datagram ends before the record does.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = bytes.get(11..HEADER)?.try_into().ok().map(u16::from_be_bytes)?;
    bytes.split_at_checked(HEADER + usize::from(len))
}

fn is_plausible(record: &[u8], overhead: usize) -> bool {
    let &[kind, DTLS_MAJOR, _, epoch_high, epoch_low, _, _, _, _, _, _, _, _, ref fragment @ ..] =
        record
    else {
        return false;
    };
    let is_protected = (epoch_high, epoch_low) != (0, 0);
    match (kind, is_protected) {
        (CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE | APPLICATION_DATA, true) => {
            fragment.len() >= overhead
        }
        (CHANGE_CIPHER_SPEC, false) => fragment == [1],
        (ALERT, false) => matches!(fragment, [WARNING | FATAL, _]),
        (HANDSHAKE, false) => are_handshake_fragments(fragment),
        // Application data is never in the clear; other types were not agreed
        // upon.
        _ => false,
    }
}

/// Whether the headers of handshake messages (RFC 6347 4.2.2) add up.
fn are_handshake_fragments(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let &[_, l0, l1, l2, _, _, o0, o1, o2, f0, f1, f2, ref rest @ ..] = bytes else {
            return false;
        };
        let number = |a, b, c| u32::from_be_bytes([0, a, b, c]);
        let (len, offset, fragment) = (number(l0, l1, l2), number(o0, o1, o2), number(f0, f1, f2));
        let after = usize::try_from(fragment).ok().and_then(|end| rest.get(end..));
        match after {
            Some(after) if offset + fragment <= len => bytes = after,
            _ => return false,
        }
    }
    true
}

/// Type, version, epoch and sequence number, length (RFC 6347 4.1).
const HEADER: usize = 13;

const DTLS_MAJOR: u8 = 0xFE;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const WARNING: u8 = 1;
const FATAL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const OVERHEAD: usize = 16;

    fn record(kind: u8, epoch: u8, fragment: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 7];
        record.extend(u16::try_from(fragment.len()).unwrap().to_be_bytes());
        record.extend(fragment);
        record
    }

    /// A handshake message header and its fragment.
    fn message(len: u8, offset: u8, fragment: &[u8]) -> Vec<u8> {
        let fragment_len = u8::try_from(fragment.len()).unwrap();
        let mut message = vec![2, 0, 0, len, 0, 0, 0, 0, offset, 0, 0, fragment_len];
        message.extend(fragment);
        message
    }

    #[test]
    fn well_formed_records_pass() {
        for (what, kind, epoch, fragment) in [
            ("protected, just long enough", 23, 1, vec![0; OVERHEAD]),
            ("protected alert", 21, 1, vec![0; 18]),
            ("protected Finished", 22, 1, vec![0; 40]),
            ("ChangeCipherSpec", 20, 0, vec![1]),
            ("warning", 21, 0, vec![1, 90]),
            ("fatal alert", 21, 0, vec![2, 40]),
            ("empty message, as ServerHelloDone", 22, 0, message(0, 0, b"")),
            ("whole message", 22, 0, message(3, 0, b"abc")),
            ("last fragment", 22, 0, message(3, 2, b"c")),
            ("two messages", 22, 0, [message(3, 0, b"abc"), message(0, 0, b"")].concat()),
        ] {
            let datagram = record(kind, epoch, &fragment);
            assert_eq!(sieve(&datagram, OVERHEAD), datagram, "{what}");
        }
    }

    #[test]
    fn what_is_no_record_of_the_link_is_taken_out() {
        let mut other_version = record(22, 0, &message(0, 0, b""));
        other_version[1] = 3;
        let good = record(23, 1, &[0; OVERHEAD]);
        for (what, bad) in [
            ("too short for nonce and tag", record(23, 1, &[0; OVERHEAD - 1])),
            ("protected and empty", record(23, 1, b"")),
            ("unknown type", record(24, 1, &[0; 40])),
            ("application data in the clear", record(23, 0, b"abc")),
            ("ChangeCipherSpec of another value", record(20, 0, &[2])),
            ("long ChangeCipherSpec", record(20, 0, &[1, 1])),
            ("alert of unknown level", record(21, 0, &[3, 40])),
            ("long alert", record(21, 0, &[2, 40, 0])),
            ("short message header", record(22, 0, &message(0, 0, b"")[..11])),
            ("fragment beyond the record", record(22, 0, &message(9, 0, b"abc")[..14])),
            ("fragment beyond the message", record(22, 0, &message(3, 1, b"abc"))),
            ("TLS", other_version),
        ] {
            let both = [bad, good.clone()].concat();
            assert_eq!(sieve(&both, OVERHEAD), good, "{what}");
        }
    }

    #[test]
    fn a_record_cut_off_takes_nothing_before_it_along() {
        let good = record(23, 1, &[0; 20]);
        for len in 0..good.len() {
            let datagram = [&good[..], &good[..len]].concat();
            assert_eq!(sieve(&datagram, OVERHEAD), good, "{len}");
        }
    }
}
