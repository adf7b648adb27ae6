//! The retransmission timer of the DTLS handshake (RFC 6347 4.2.4).
//!
//! libssl measures it with its own clock, the wall clock: nothing here can
//! move it, only ask it and let it act.

use std::ffi::{c_int, c_long, c_uint};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslRef, SslStream};

use crate::timeval::Timeval;

/// Shortest time to the first retransmission. The library takes what is due
/// within 15 ms as due now, so that with less it would send again at once,
/// inside the very call that reads.
pub const MIN_RETRANSMISSION: Duration = Duration::from_millis(20);

/// Longest time between two retransmissions (RFC 6347 4.2.4.1).
pub const MAX_RETRANSMISSION: Duration = Duration::from_secs(60);

/// Time until the last flight is due to be sent again; `None` while no timer
/// runs, zero when it is due.
pub fn retransmission_due_in<S>(stream: &SslStream<S>) -> Option<Duration> {
    let mut left = Timeval::unwritten();
    // SAFETY: the pointer is of a live `SSL`, the call reads its timer only,
    // and `left` has room for a `struct timeval` of either width.
    let running = unsafe {
        openssl_sys::SSL_ctrl(
            stream.ssl().as_ptr(),
            DTLS_CTRL_GET_TIMEOUT,
            0,
            ptr::from_mut(&mut left).cast(),
        )
    };
    (running == 1).then(|| left.duration())
}

/// Sends the last flight again if that is due; says whether it was.
///
/// # Errors
///
/// The library gave up after many time-outs, or could not write.
// It takes the stream, not the `SslRef`: the call writes to the stream `S`, so
// nobody may hold a reference to it meanwhile.
pub fn handle_timeout<S>(stream: &mut SslStream<S>) -> Result<bool, ErrorStack> {
    // SAFETY: the pointer is of a live `SSL`; the exclusive borrow of the
    // stream makes this the only user of `SSL` and `S`; panics of `S` are
    // caught by the `openssl` crate inside its callbacks.
    let outcome = unsafe {
        openssl_sys::SSL_ctrl(stream.ssl().as_ptr(), DTLS_CTRL_HANDLE_TIMEOUT, 0, ptr::null_mut())
    };
    if outcome < 0 { Err(ErrorStack::get()) } else { Ok(outcome > 0) }
}

/// Sets the time to the first retransmission; it doubles with each one up to
/// [`MAX_RETRANSMISSION`]. The library's own value is 1 s. What is outside
/// [`MIN_RETRANSMISSION`] and [`MAX_RETRANSMISSION`] is moved to the nearer end.
///
/// # Errors
///
/// Out of memory.
pub fn set_initial_retransmission(ssl: &mut SslRef, first: Duration) -> Result<(), ErrorStack> {
    let first = first.clamp(MIN_RETRANSMISSION, MAX_RETRANSMISSION);
    let index = first_index()?;
    ssl.set_ex_data(index, first);
    // SAFETY: the pointer is of a live `SSL` that we hold exclusively, and
    // `next_interval` has the type the library expects and lives for ever.
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), next_interval) };
    Ok(())
}

/// The interval after one of `last` microseconds; 0 asks for the first.
extern "C" fn next_interval(ssl: *mut openssl_sys::SSL, last: c_uint) -> c_uint {
    let max = micros(MAX_RETRANSMISSION);
    if last > 0 {
        return last.saturating_mul(2).min(max);
    }
    // SAFETY: the library calls this with the `SSL` it works on, alive for the
    // call; only a shared reference is made and nothing else touches the
    // extra data meanwhile.
    let ssl = unsafe { SslRef::from_ptr(ssl) };
    let first = first_index().ok().and_then(|index| ssl.ex_data(index));
    first.map_or(DEFAULT_MICROS, |first| micros(*first))
}

/// Where an `SSL` keeps its first interval.
fn first_index() -> Result<Index<Ssl, Duration>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, Duration>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    // Two threads may both make one; the first to store it wins, the other
    // index stays unused.
    let index = Ssl::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| index))
}

/// Whole microseconds, as the library counts intervals.
fn micros(span: Duration) -> c_uint {
    c_uint::try_from(span.as_micros()).unwrap_or(c_uint::MAX)
}

unsafe extern "C" {
    /// `DTLS_set_timer_cb` of libssl 1.1.1 and later.
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint,
    );
}

/// RFC 6347 4.2.4.1, and the library's own value.
const DEFAULT_MICROS: c_uint = 1_000_000;

// Commands of `SSL_ctrl` that libssl's header hides behind macros; `ssl.h`,
// unchanged since 1.0.
const DTLS_CTRL_GET_TIMEOUT: c_int = 73;
const DTLS_CTRL_HANDLE_TIMEOUT: c_int = 74;

// `SSL_ctrl` returns a `long`; a count of retransmissions fits anything.
const _: () = assert!(size_of::<c_long>() >= 4);

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use openssl::ssl::{SslContext, SslMethod};

    use super::*;

    /// Takes every datagram and never gives one.
    #[derive(Debug)]
    struct Sink {
        written: usize,
    }

    impl Read for Sink {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Sink {
        fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
            self.written += 1;
            Ok(datagram.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn client(first: Option<Duration>) -> SslStream<Sink> {
        let context = SslContext::builder(SslMethod::dtls_client()).unwrap().build();
        let mut ssl = Ssl::new(&context).unwrap();
        ssl.set_mtu(1200).unwrap();
        ssl.set_connect_state();
        if let Some(first) = first {
            set_initial_retransmission(&mut ssl, first).unwrap();
        }
        SslStream::new(ssl, Sink { written: 0 }).unwrap()
    }

    #[test]
    fn no_timer_runs_before_the_first_flight() {
        assert_eq!(retransmission_due_in(&client(None)), None);
    }

    #[test]
    fn the_first_interval_is_one_second_unless_set() {
        for (first, at_most) in [(None, 1), (Some(9), 9)] {
            let mut stream = client(first.map(Duration::from_secs));
            stream.do_handshake().unwrap_err();
            let left = retransmission_due_in(&stream).unwrap();
            assert!(left <= Duration::from_secs(at_most), "{left:?}");
            assert!(left > Duration::from_secs(at_most) / 2, "{left:?}");
            assert!(!handle_timeout(&mut stream).unwrap(), "not due yet");
        }
    }

    #[test]
    fn a_due_flight_is_sent_again() {
        let mut stream = client(Some(Duration::ZERO));
        stream.do_handshake().unwrap_err();
        let before = stream.get_ref().written;
        while retransmission_due_in(&stream).unwrap() > Duration::ZERO {
            std::thread::yield_now();
        }
        assert!(handle_timeout(&mut stream).unwrap());
        assert!(stream.get_ref().written > before);
    }

    #[test]
    fn intervals_double_up_to_the_limit() {
        let doubled = |last| next_interval(ptr::null_mut(), last);
        assert_eq!(doubled(1_000_000), 2_000_000);
        assert_eq!(doubled(40_000_000), 60_000_000);
        assert_eq!(doubled(c_uint::MAX), 60_000_000);
    }
}
