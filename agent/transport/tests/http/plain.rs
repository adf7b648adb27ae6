//! HTTP without security (Objects 7.2).

use std::time::Duration;

use crate::web::{Server, Step, attempt, get, pattern, resume};
use FetchFailureKind::{Damaged, InvalidUri, Lost, UnsupportedScheme};
use lwm2m_engine::{FetchFailureKind, Fetched, MAX_PART};
use lwm2m_transport::{HttpFetch, MAX_HEADER, MAX_REDIRECTS};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[tokio::test]
async fn a_package_comes_with_its_size_and_etag() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"a\"\r\n\r\nabc";
    let server = Server::answering(answer).await;
    let got = get(&server.uri("/a/b%20c?d=e#f")).await;
    got.succeeded(0, Some(3));
    assert_eq!(got.begin.unwrap().2.unwrap(), b"\"a\"");
    assert_eq!(got.bytes, b"abc");
    let version = env!("CARGO_PKG_VERSION");
    let asked = format!(
        "GET /a/b%20c?d=e HTTP/1.1\r\nhost: {}\r\nuser-agent: lwm2md/{version}\r\n\
         accept-encoding: identity\r\nconnection: close\r\n\r\n",
        server.address
    );
    assert_eq!(server.heads(), [asked]);
}

#[tokio::test]
async fn each_framing_of_a_body_is_read() {
    for (answer, size) in [
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: u\r\n\r\n",
            None,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nabc", None),
        ("HTTP/1.0 200 OK\r\n\r\nabc", None),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", Some(3)),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            Some(3),
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: W/\"a\"\r\n\r\nabc", Some(3)),
    ] {
        let server = Server::answering(answer).await;
        let got = get(&server.uri("/")).await;
        got.succeeded(0, size);
        assert_eq!(got.bytes, b"abc", "{answer}");
        assert_eq!(got.begin.unwrap().2, None, "no strong ETag: {answer}");
    }
}

/// Objects 7.2: each failure has its kind, of which the result follows.
#[tokio::test]
async fn what_is_no_package_has_its_kind_of_failure() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(MAX_HEADER));
    let endless = "X".repeat(4 * MAX_HEADER);
    for (answer, kind, cause) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            InvalidUri,
            "404 Not Found: it knows no such package",
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\nno", InvalidUri, "403 Forbidden"),
        ("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 9\r\n\r\n", Lost, "503"),
        ("HTTP/1.1 204 No Content\r\n\r\n", Damaged, "204 No Content"),
        (
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/3\r\n\r\nbc",
            Damaged,
            "a part where the whole",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Damaged, "the package is empty"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Damaged,
            "the package is empty",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
            Damaged,
            "coded (content-encoding: gzip)",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Damaged,
            "coded (transfer-encoding",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Lost, "the connection was lost"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            Lost,
            "the connection was lost",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            Lost,
            "the connection was lost",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", Lost, "not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc", Lost, "not HTTP"),
        ("SSH-2.0-OpenSSH_9.2\r\n", Lost, "not HTTP"),
        ("HTTP/1.1 2x0 OK\r\n\r\n", Lost, "not HTTP"),
        ("\0\0\0\0\r\n\r\n", Lost, "not HTTP"),
        ("", Lost, "the connection was lost"),
        ("HTTP/1.1 200 OK\r\nX", Lost, "the connection was lost"),
        (&many, Lost, "not HTTP"),
        (&long, Lost, "not HTTP"),
        (&endless, Lost, "not HTTP"),
    ] {
        let server = Server::answering(answer).await;
        let got = get(&server.uri("/fw")).await;
        got.failed(kind, cause);
        assert!(b"abc".starts_with(&got.bytes), "{answer}");
    }
}

/// Objects 7.2: results 7 and 9 without a word to anybody.
#[tokio::test]
async fn a_uri_that_cannot_be_fetched_is_not_tried() {
    for (uri, kind, cause) in [
        ("nothing", InvalidUri, "no scheme"),
        ("ftp://127.0.0.1/x", UnsupportedScheme, "ftp"),
        ("coap://127.0.0.1/x", UnsupportedScheme, "coap"),
        ("coaps://127.0.0.1/x", UnsupportedScheme, "coaps"),
        ("http://user:secret@127.0.0.1/x", InvalidUri, "credentials"),
        ("http:///x", InvalidUri, "no host"),
        ("http://127.0.0.1/<x>", InvalidUri, ""),
        (&format!("http://{}/", "a".repeat(64)), InvalidUri, "cannot resolve"),
    ] {
        let got = get(uri).await;
        got.failed(kind, cause);
        assert!(!got.failure.unwrap().cause.contains("secret"), "{uri}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_lost() {
    let gone = Server::answering("").await;
    let uri = gone.uri("/");
    drop(gone);
    tokio::task::yield_now().await;
    get(&uri).await.failed(Lost, "nothing listens at 127.0.0.1:");
}

#[tokio::test]
async fn an_address_of_ipv6_is_asked() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        return; // a machine without IPv6
    };
    let address = listener.local_addr().unwrap();
    let uri = format!("http://[::1]:{}/", address.port());
    let fetch = get(&uri);
    let (got, accepted) = tokio::join!(fetch, async {
        let (stream, peer) = listener.accept().await.unwrap();
        drop(stream);
        peer
    });
    assert!(accepted.is_ipv6());
    got.failed(Lost, "the connection was lost");
}

/// A server of `PACKAGE` that heeds ranges.
fn ranges(etag: &'static str) -> impl Fn(&str) -> Vec<Step> + Send + Sync + 'static {
    move |head| {
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let from = field("range: bytes=").map(|range| range.trim_end_matches('-'));
        let same = field("if-range: ") == Some(etag);
        let from = from.filter(|_| same).map_or(0, |from| from.parse::<usize>().unwrap());
        let size = PACKAGE.len();
        let head = match PACKAGE.get(from..).filter(|rest| !rest.is_empty()) {
            None => format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{size}"),
            Some(_) if from == 0 => format!("200 OK\r\nContent-Length: {size}"),
            Some(rest) => format!(
                "206 Partial Content\r\nContent-Range: bytes {from}-{}/{size}\r\nContent-Length: {}",
                size - 1,
                rest.len()
            ),
        };
        let body = PACKAGE.get(from..).unwrap_or_default();
        vec![Step::Send(
            [format!("HTTP/1.1 {head}\r\nETag: {etag}\r\n\r\n").as_bytes(), body].concat(),
        )]
    }
}

const PACKAGE: &[u8] = b"0123456789";

/// OBJ-94: no byte comes twice while the package is the same.
#[tokio::test]
async fn the_rest_comes_while_the_etag_is_the_same() {
    for (server_has, resumed, offset, begins, requests, asked_for_rest) in [
        ("\"a\"", "\"a\"", 4, 4, 1, true),
        ("\"a\"", "\"a\"", 9, 9, 1, true),
        // All of it is stored.
        ("\"a\"", "\"a\"", 10, 10, 1, true),
        // It has become shorter than what is stored.
        ("\"a\"", "\"a\"", 11, 0, 2, true),
        ("\"b\"", "\"a\"", 4, 0, 1, true),
        // Weak ones prove nothing, and neither does none.
        ("W/\"a\"", "W/\"a\"", 4, 0, 1, false),
        ("\"a\"", "", 4, 0, 1, false),
        ("\"a\"", "a\r\nX: y", 4, 0, 1, false),
        ("\"a\"", "\"a\"", 0, 0, 1, false),
    ] {
        let what = format!("{server_has} {resumed} {offset}");
        let server = Server::start(ranges(server_has)).await;
        let fetch = HttpFetch::default();
        let got = attempt(&fetch, &server.uri("/"), resume(offset, resumed)).await;
        got.succeeded(begins, Some(10));
        let from = usize::try_from(begins).unwrap();
        assert_eq!(got.bytes, PACKAGE[from..], "{what}");
        assert_eq!(server.heads().len(), requests, "{what}");
        assert_eq!(server.heads()[0].contains("\r\nrange: bytes="), asked_for_rest, "{what}");
        assert!(!server.heads().concat().contains("X: y"), "{what}");
        let strong = server_has.starts_with('"');
        assert_eq!(got.begin.unwrap().2.is_some(), strong, "{what}");
    }
}

/// A server that takes Range and knows no If-Range would mix two packages.
#[tokio::test]
async fn a_rest_of_another_package_is_not_taken() {
    for part in [
        "Content-Range: bytes 4-9/10\r\nETag: \"b\"",
        "Content-Range: bytes 4-9/10",
        "Content-Range: bytes 3-9/10\r\nETag: \"a\"",
        "ETag: \"a\"\r\nContent-Type: multipart/byteranges; boundary=x",
    ] {
        let server = Server::start(move |head| {
            vec![Step::Send(match head.contains("\r\nrange: ") {
                true => format!("HTTP/1.1 206 Partial Content\r\n{part}\r\n\r\n456789").into(),
                false => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
            })]
        })
        .await;
        let got = attempt(&HttpFetch::default(), &server.uri("/"), resume(4, "\"a\"")).await;
        got.succeeded(0, Some(3));
        assert_eq!(got.bytes, b"abc", "{part}");
    }
}

/// A part of the rest is good as far as it goes; one that contradicts itself is not.
#[tokio::test]
async fn a_rest_that_is_not_whole_has_its_kind_of_failure() {
    for (fields, body, kind, cause) in [
        (
            "Content-Range: bytes 4-6/10\r\nContent-Length: 3",
            "456",
            Lost,
            "ended after 7 of 10 bytes",
        ),
        ("Content-Range: bytes 4-9/10\r\nContent-Length: 6", "45", Lost, "the connection was lost"),
        ("Content-Range: bytes 4-9/10", "45", Lost, "ended after 6 of 10 bytes"),
        (
            "Content-Range: bytes 4-9/10\r\nContent-Length: 5",
            "45678",
            Damaged,
            "sends 5 bytes and calls them 6",
        ),
        ("Content-Range: bytes 4-9/10", "4567890", Damaged, "more of the package than it said"),
    ] {
        let answer =
            format!("HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\n{fields}\r\n\r\n{body}");
        let server = Server::answering(answer).await;
        let got = attempt(&HttpFetch::default(), &server.uri("/"), resume(4, "\"a\"")).await;
        got.failed(kind, cause);
    }
}

/// OBJ-94: a body that is cut is resumed until it is whole, each byte once.
#[tokio::test]
async fn a_package_that_is_cut_again_and_again_comes_whole() {
    const SIZE: u64 = 100_000;
    let server = Server::start(|head| {
        let from = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        let from: u64 = from.map_or(0, |from| from.trim_end_matches('-').parse().unwrap());
        let range = match from {
            0 => "200 OK\r\n".to_owned(),
            from => format!(
                "206 Partial Content\r\nContent-Range: bytes {from}-{}/{SIZE}\r\n",
                SIZE - 1
            ),
        };
        let head =
            format!("HTTP/1.1 {range}ETag: \"a\"\r\nContent-Length: {}\r\n\r\n", SIZE - from);
        let bytes = (from..SIZE.min(from + 30_000)).map(pattern).collect();
        vec![Step::Send(head.into_bytes()), Step::Send(bytes)]
    })
    .await;
    let mut stored = Vec::new();
    for attempts in 1.. {
        let from = resume(stored.len() as u64, "\"a\"");
        let got = attempt(&HttpFetch::default(), &server.uri("/"), from).await;
        assert_eq!(got.begin.unwrap().0, stored.len() as u64);
        stored.extend(got.bytes);
        match got.failure {
            None => break,
            Some(failure) => assert_eq!(failure.kind, Lost),
        }
        assert!(attempts < 10);
    }
    assert!(stored.iter().copied().eq((0..SIZE).map(pattern)));
    assert_eq!(server.heads().len(), 4);
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_they_may_go() {
    for status in [301, 302, 303, 307, 308] {
        for location in ["/there?x", "there?x", "http://ADDRESS/there?x", "//ADDRESS/a/../there?x"]
        {
            let server = redirecting(status, location, "/from").await;
            let got = get(&server.uri("/from")).await;
            assert_eq!(got.failure, None, "{status} {location}");
            assert_eq!(got.bytes, b"abc");
            assert!(
                server.heads()[1].starts_with("GET /there?x HTTP/1.1\r\n")
                    || location.starts_with("//")
            );
        }
    }
    let looping = Server::answering("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n").await;
    get(&looping.uri("/")).await.failed(InvalidUri, "more than 5 redirects");
    assert_eq!(looping.heads().len(), MAX_REDIRECTS + 1);
}

/// Objects 7.2: results 7 and 9.
#[tokio::test]
async fn a_redirect_to_nowhere_ends_the_attempt() {
    for (location, kind, cause) in [
        ("ftp://h/x", UnsupportedScheme, "\"ftp\""),
        ("coap://h/x", UnsupportedScheme, "\"coap\""),
        ("http://user:secret@h/x", InvalidUri, "credentials"),
        ("http://", InvalidUri, "no host"),
        ("http://h:99999/", InvalidUri, "port"),
        ("/a b", InvalidUri, "character ' '"),
    ] {
        let server = redirecting(302, location, "/from").await;
        let got = get(&server.uri("/from")).await;
        got.failed(kind, cause);
        assert!(!got.failure.unwrap().cause.contains("secret"), "{location}");
    }
}

/// A server that redirects `from` to `location`, in which ADDRESS is its own.
async fn redirecting(status: u16, location: &'static str, from: &'static str) -> Server {
    Server::start(move |head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let location = location.replace("ADDRESS", host);
        vec![Step::Send(match head.starts_with(&format!("GET {from} ")) {
            true => format!("HTTP/1.1 {status} There\r\nLocation: {location}\r\n\r\n").into(),
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        })]
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_lost() {
    let hour = || Step::Wait(Duration::from_secs(3600));
    let head = || Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec());
    let byte = || Step::Send(b"a".to_vec());
    let minute = || Step::Wait(Duration::from_secs(59));
    for (what, steps, seconds, bytes) in [
        ("before the head", vec![hour()], 30, 0),
        ("in the head", vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), hour()], 30, 0),
        ("after the head", vec![head(), hour()], 60, 0),
        ("in the body", vec![head(), byte(), minute(), byte(), hour()], 119, 2),
    ] {
        let server = Server::start(move |_| steps.clone()).await;
        let begun = Instant::now();
        let got = get(&server.uri("/")).await;
        got.failed(Lost, "the server ");
        assert_eq!((begun.elapsed().as_secs(), got.bytes.len()), (seconds, bytes), "{what}");
    }
}

/// A link that carries a byte a minute is slow, not lost.
#[tokio::test(start_paused = true)]
async fn a_server_that_drips_is_waited_for() {
    let server = Server::start(|_| {
        let mut steps = vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n".to_vec())];
        for _ in 0..30 {
            steps.extend([Step::Wait(Duration::from_secs(59)), Step::Send(b"a".to_vec())]);
        }
        steps
    })
    .await;
    let got = get(&server.uri("/")).await;
    got.succeeded(0, Some(30));
    assert_eq!((got.bytes.len(), got.parts), (30, 30));
}

/// Time that the taker needs does not count as silence of the server.
#[tokio::test(start_paused = true)]
async fn a_taker_that_is_slow_holds_the_server_back() {
    const SIZE: u64 = 20 * MAX_PART as u64;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
    let server =
        Server::start(move |_| vec![Step::Send(head.clone().into()), Step::Pattern(SIZE)]).await;
    let (out, mut parts) = mpsc::channel(1);
    let (fetch, uri) = (HttpFetch::default(), server.uri("/"));
    let take = async {
        let mut stored = Vec::new();
        while let Some(fetched) = parts.recv().await {
            tokio::time::sleep(Duration::from_secs(300)).await;
            if let Fetched::Part(bytes) = fetched {
                stored.extend(bytes);
            }
        }
        stored
    };
    let (result, stored) = tokio::join!(fetch.fetch(&uri, None, out), take);
    assert_eq!(result, Ok(()));
    assert!(stored.into_iter().eq((0..SIZE).map(pattern)));
}

#[tokio::test]
async fn an_attempt_can_be_dropped_or_left_by_its_taker_at_any_time() {
    fn spawnable(_: &(impl Future<Output = Result<(), lwm2m_engine::FetchFailure>> + Send)) {}

    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    let server =
        Server::start(move |_| vec![Step::Send(head.clone()), Step::Pattern(1_000_000)]).await;
    let (fetch, uri) = (HttpFetch::default(), server.uri("/"));
    for taken in 0..5 {
        let (out, mut parts) = mpsc::channel(1);
        let attempt = fetch.fetch(&uri, None, out);
        spawnable(&attempt);
        tokio::select! {
            _ = attempt => panic!("nobody takes the rest"),
            () = async { for _ in 0..taken { parts.recv().await.unwrap(); } } => {}
        }
    }
    let (out, parts) = mpsc::channel(1);
    drop(parts);
    let failure = fetch.fetch(&uri, None, out).await.unwrap_err();
    assert_eq!((failure.kind, failure.cause.as_str()), (Lost, "nobody takes the package any more"));
}
