//! Packages from CoAP servers that others wrote: libcoap's, with and without DTLS, and
//! aiocoap's file server.

use std::collections::HashMap;
use std::time::Duration;

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, Resume};
use lwm2m_interop::{aiocoap, libcoap, scenario};
use lwm2m_security::{Psk, Secret};
use lwm2m_transport::{CoapSource, LinkSecurity, Origin};
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(30);
const KEY: &str = "sesame";

fn package() -> Vec<u8> {
    (0..256 * 1024_u32 + 7).map(|at| (at.wrapping_mul(97) >> 5) as u8).collect()
}

/// TRN-121.
#[tokio::test]
async fn packages_come_from_libcoap_with_and_without_dtls() {
    let names = ["fetches a package", "fetches a package over DTLS"];
    if !libcoap::available() {
        for name in names {
            eprintln!("not run: {name}: needs libcoap3-bin");
            scenario::not_run("libcoap", "needs libcoap3-bin").unwrap();
        }
        return;
    }
    let server = libcoap::start_package_server(KEY).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("package");
    std::fs::write(&file, package()).unwrap();
    let put = libcoap::put_file(server.address, "/fw/a%20b", &file, LIMIT).unwrap();
    assert!(put.status.is_some_and(|status| status.success()), "{put:?}");

    let secure = (server.address.ip(), server.address.port() + 1);
    let [plain, secure] =
        [format!("coap://{}", server.address), format!("coaps://{}:{}", secure.0, secure.1)];
    let psk = Psk::new("gw", Secret::new(KEY.into())).unwrap();
    let source =
        CoapSource::new(HashMap::from([(Origin::parse(&secure).unwrap(), LinkSecurity::Psk(psk))]));
    for (origin, name) in [(plain, names[0]), (secure.clone(), names[1])] {
        whole_and_rest(&source, &format!("{origin}/fw/a%20b"), Etag::OfTransfer).await;
        let missing = attempt(&source, &format!("{origin}/none"), None, usize::MAX).await;
        assert_eq!(missing.result.unwrap_err().kind, FetchFailureKind::InvalidUri);
        scenario::ran("libcoap", name).unwrap();
    }
    let nobody = attempt(&CoapSource::default(), &format!("{secure}/fw"), None, usize::MAX).await;
    let cause = format!("no credentials are configured for {secure}");
    assert_eq!(nobody.result, Err(FetchFailure::new(FetchFailureKind::InvalidUri, cause)));
}

/// TRN-121, OBJ-94.
#[tokio::test]
async fn packages_come_from_the_file_server_of_aiocoap() {
    let name = "fetches a package";
    if !aiocoap::available() {
        eprintln!("not run: {name}: needs Python with venv");
        return scenario::not_run("aiocoap", "needs Python with venv").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("releases")).unwrap();
    std::fs::write(dir.path().join("releases/fw.bin"), package()).unwrap();
    let (address, _server) = aiocoap::start_file_server(dir.path()).unwrap();
    let source = CoapSource::default();
    whole_and_rest(&source, &format!("coap://{address}/releases/fw.bin"), Etag::OfFile).await;
    let missing = attempt(&source, &format!("coap://{address}/none"), None, usize::MAX).await;
    assert_eq!(missing.result.unwrap_err().kind, FetchFailureKind::InvalidUri);
    scenario::ran("aiocoap", name).unwrap();
}

/// What an ETag of the server stands for.
#[derive(PartialEq)]
enum Etag {
    OfFile,
    /// It is another one each time, so nothing can be resumed.
    OfTransfer,
}

/// Fetches the package, a part of it, and then the rest.
async fn whole_and_rest(source: &CoapSource, uri: &str, stands_for: Etag) {
    let whole = attempt(source, uri, None, usize::MAX).await;
    assert_eq!(whole.result, Ok(()), "{uri}");
    assert_eq!(whole.offset, 0);
    assert!(whole.bytes == package(), "{uri}");

    let cut = attempt(source, uri, None, 100_000).await;
    assert!(cut.result.is_err() && cut.bytes.len() >= 100_000);
    let etag = cut.etag.expect("an ETag");
    // Not at the border of a block.
    let offset = 100_001;
    let resume = Resume { offset, etag };
    let rest = attempt(source, uri, Some(resume), usize::MAX).await;
    assert_eq!(rest.result, Ok(()), "{uri}");
    assert_eq!(rest.offset, if stands_for == Etag::OfFile { offset } else { 0 });
    assert!(rest.bytes == package()[rest.offset as usize..], "{uri}");

    let other = Resume { offset, etag: b"another".to_vec() };
    let anew = attempt(source, uri, Some(other), usize::MAX).await;
    assert_eq!((anew.result, anew.offset), (Ok(()), 0));
    assert!(anew.bytes == package(), "{uri}");
}

struct Attempt {
    result: Result<(), FetchFailure>,
    offset: u64,
    etag: Option<Vec<u8>>,
    bytes: Vec<u8>,
}

/// Takes `most` bytes or a few more, then nothing.
async fn attempt(source: &CoapSource, uri: &str, resume: Option<Resume>, most: usize) -> Attempt {
    let (out, mut parts) = mpsc::channel(1);
    let take = async {
        let (mut begun, mut found, mut bytes) = (0, None, Vec::new());
        while let Some(fetched) = parts.recv().await {
            match fetched {
                Fetched::Begin { offset, etag, .. } => (begun, found) = (offset, etag),
                Fetched::Part(part) => bytes.extend(part),
            }
            if bytes.len() >= most {
                break;
            }
        }
        drop(parts);
        (begun, found, bytes)
    };
    let fetch = tokio::time::timeout(LIMIT, source.fetch(uri, resume, out));
    let (result, (offset, etag, bytes)) = tokio::join!(fetch, take);
    Attempt { result: result.expect("in time"), offset, etag, bytes }
}
