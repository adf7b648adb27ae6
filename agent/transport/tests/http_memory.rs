//! What is in memory while a large package comes (DESIGN 3, "Streams"). The only test of
//! its binary: others would be counted too.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpListener;

use cap::Cap;
use lwm2m_engine::{Fetched, MAX_PART};
use lwm2m_transport::HttpFetch;
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// The taker is always behind, so all before it is as full as it gets.
#[tokio::test]
async fn memory_does_not_grow_with_the_package() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").unwrap();
        for _ in 0..SIZE / PIECE.len() {
            stream.write_all(PIECE).unwrap();
        }
    });
    let fetch = HttpFetch::default();
    let (out, mut parts) = mpsc::channel(1);
    let before = ALLOCATED.allocated();
    let take = async {
        let (mut received, mut most) = (0, 0);
        while let Some(fetched) = parts.recv().await {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            most = most.max(ALLOCATED.allocated().saturating_sub(before));
            if let Fetched::Part(bytes) = fetched {
                received += bytes.len();
            }
        }
        (received, most)
    };
    let (result, (received, most)) = tokio::join!(fetch.fetch(&uri, None, out), take);
    assert_eq!((result, received), (Ok(()), SIZE));
    server.join().unwrap();
    assert!(most < ALLOWED, "{most} bytes");
}

const SIZE: usize = 64 << 20;
static PIECE: &[u8] = &[7; 65536];

/// Two parts, what is read ahead, and the buffers of the connection and the runtime.
const ALLOWED: usize = 8 * MAX_PART;
