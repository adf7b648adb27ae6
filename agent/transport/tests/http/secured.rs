//! Packages over HTTPS: who is trusted, and who sees which credentials (TRN-122).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::authority::{Authority, Certified};
use crate::web::{Server, Step, attempt};
use lwm2m_engine::FetchFailureKind::{InvalidUri, Lost};
use lwm2m_security::{ClientCertificate, Secret};
use lwm2m_transport::{CONNECT_LIMIT, CredentialsError, HttpFetch, Origin, OriginCredentials};
use openssl::ssl::{SslAcceptor, SslContext, SslMethod, SslVerifyMode};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// An authority in a file, and servers that it vouches for.
struct World {
    authority: Authority,
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let (authority, dir) = (Authority::new("authority"), tempfile::tempdir().unwrap());
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        Self { authority, dir }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    async fn server(&self, script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Server {
        let certified = self.authority.certify(&["127.0.0.1"]);
        Server::start_with(Some(context(&certified, SslVerifyMode::NONE)), Arc::new(script)).await
    }

    /// Credentials for `server`: the authority alone.
    fn trust(&self, server: &Server) -> OriginCredentials {
        credentials(server).with_ca(self.ca()).unwrap()
    }
}

fn context(certified: &Certified, mode: SslVerifyMode) -> SslContext {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(&certified.certificate).unwrap();
    acceptor.set_private_key(&certified.key).unwrap();
    // Only that one is shown is asked here.
    acceptor.set_verify_callback(mode, |_, _| true);
    acceptor.build().into_context()
}

fn https(server: &Server, target: &str) -> String {
    format!("https://{}{target}", server.address)
}

fn credentials(server: &Server) -> OriginCredentials {
    OriginCredentials::new(Origin::parse(&https(server, "")).unwrap()).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn package(_: &str) -> Vec<Step> {
    vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec())]
}

/// TRN-122.
#[tokio::test]
async fn a_package_comes_from_a_server_that_the_authority_vouches_for() {
    let world = World::new();
    let server = world.server(package).await;
    let fetch = HttpFetch::new(vec![world.trust(&server)]).unwrap();
    let got = attempt(&fetch, &https(&server, "/fw"), None).await;
    got.succeeded(0, Some(3));
    assert_eq!(got.bytes, b"abc");
    // The trust is for this origin alone.
    let other = world.server(package).await;
    let got = attempt(&fetch, &https(&other, "/fw"), None).await;
    got.failed(Lost, "the certificate of the server is not accepted");
    assert!(other.heads().is_empty());
}

/// TRN-122. A clock that is wrong may be right at the next attempt: not the end.
#[tokio::test]
async fn a_server_that_is_not_proven_is_told_nothing() {
    let (world, other) = (World::new(), Authority::new("other"));
    for (certified, cause) in [
        (world.authority.certify(&["fw.example"]), "IP address mismatch"),
        (other.certify(&["127.0.0.1"]), "unable to get local issuer certificate"),
        (
            world.authority.certify_for_days(&["127.0.0.1"], (-9, -1)),
            "is the clock of this device right?",
        ),
        (
            world.authority.certify_for_days(&["127.0.0.1"], (1, 9)),
            "is the clock of this device right?",
        ),
    ] {
        let context = context(&certified, SslVerifyMode::NONE);
        let server = Server::start_with(Some(context), Arc::new(package)).await;
        let credentials = world.trust(&server).with_bearer(&secret("token")).unwrap();
        let fetch = HttpFetch::new(vec![credentials]).unwrap();
        let got = attempt(&fetch, &https(&server, "/"), None).await;
        got.failed(Lost, cause);
        assert!(server.heads().is_empty());
    }
}

#[tokio::test]
async fn a_client_certificate_opens_what_asks_for_one() {
    let world = World::new();
    let certified = world.authority.certify(&["127.0.0.1"]);
    let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    let context = context(&certified, mode);
    let server = Server::start_with(Some(context), Arc::new(package)).await;
    let device = world.authority.certify(&["device"]);
    let key = Secret::new(device.key.private_key_to_pem_pkcs8().unwrap());
    let device = ClientCertificate::from_pem(&device.certificate.to_pem().unwrap(), &key).unwrap();
    let with = world.trust(&server).with_certificate(device).unwrap();
    let fetch = HttpFetch::new(vec![with]).unwrap();
    attempt(&fetch, &https(&server, "/"), None).await.succeeded(0, Some(3));
    let fetch = HttpFetch::new(vec![world.trust(&server)]).unwrap();
    attempt(&fetch, &https(&server, "/"), None).await.failed(Lost, "");
}

/// Credentials go to the origin that they are named for, and to no other.
#[tokio::test]
async fn credentials_are_left_behind_by_a_redirect() {
    let world = World::new();
    let second = world.server(package).await;
    let there = https(&second, "/there");
    let first = world
        .server(move |head| match head.starts_with("GET /from ") {
            true => {
                let head = format!("HTTP/1.1 302 Found\r\nLocation: {there}\r\n\r\n");
                vec![Step::Send(head.into_bytes())]
            }
            false => package(head),
        })
        .await;
    let basic = || world.trust(&first).with_basic("user", &secret("password")).unwrap();
    for (second_has, expected) in [
        (world.trust(&second), None),
        (world.trust(&second).with_bearer(&secret("other")).unwrap(), Some("Bearer other")),
    ] {
        let fetch = HttpFetch::new(vec![basic(), second_has]).unwrap();
        attempt(&fetch, &https(&first, "/from"), None).await.succeeded(0, Some(3));
        let authorization = |server: &Server| {
            let head = server.heads().pop().unwrap();
            head.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned)
        };
        assert_eq!(authorization(&first).unwrap(), "Basic dXNlcjpwYXNzd29yZA==");
        assert_eq!(authorization(&second).as_deref(), expected);
    }
    assert!(!format!("{:?}", basic()).contains("dXNl"));
    let twice = HttpFetch::new(vec![basic(), basic()]).unwrap_err();
    assert_eq!(twice, CredentialsError::Twice(basic().origin().clone()));
}

/// Neither the same host by HTTP nor another port is the same origin.
#[tokio::test]
async fn credentials_for_https_do_not_go_out_in_the_clear() {
    let server = Server::start(package).await;
    let bearer = credentials(&server).with_bearer(&secret("token")).unwrap();
    let fetch = HttpFetch::new(vec![bearer]).unwrap();
    attempt(&fetch, &server.uri("/"), None).await.succeeded(0, Some(3));
    assert!(!server.heads().concat().contains("token"));
}

#[tokio::test]
async fn a_redirect_to_what_is_not_secured_is_refused() {
    let world = World::new();
    let plain = Server::start(package).await;
    let there = plain.uri("/there?signature=secret");
    let server = world
        .server(move |_| {
            let head = format!("HTTP/1.1 301 Moved\r\nLocation: {there}\r\n\r\n");
            vec![Step::Send(head.into_bytes())]
        })
        .await;
    let fetch = HttpFetch::new(vec![world.trust(&server)]).unwrap();
    let got = attempt(&fetch, &https(&server, "/"), None).await;
    got.failed(InvalidUri, "which is not secured");
    assert!(!got.failure.unwrap().cause.contains("secret"));
    assert!(plain.heads().is_empty());
}

/// A body that ends with the connection is whole only if TLS said that it ends.
#[tokio::test]
async fn a_stream_that_is_cut_is_not_the_end_of_a_package() {
    let world = World::new();
    let certified = world.authority.certify(&["127.0.0.1"]);
    let context = context(&certified, SslVerifyMode::NONE);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        use std::pin::Pin;

        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let (stream, _) = listener.accept().await.unwrap();
        let ssl = openssl::ssl::Ssl::new(&context).unwrap();
        let mut stream = tokio_openssl::SslStream::new(ssl, stream).unwrap();
        Pin::new(&mut stream).accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nab").await.unwrap();
        // The connection ends below TLS.
        stream.get_mut().shutdown().await.unwrap();
    };
    let origin = Origin::parse(&format!("https://{address}")).unwrap();
    let trust = OriginCredentials::new(origin).unwrap().with_ca(world.ca()).unwrap();
    let fetch = HttpFetch::new(vec![trust]).unwrap();
    let uri = format!("https://{address}/");
    let (got, ()) = tokio::join!(attempt(&fetch, &uri, None), server);
    got.failed(Lost, "the connection was lost");
    assert_eq!(got.bytes, b"ab");
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_told() {
    let world = World::new();
    let server = world.server(package).await;
    let missing = world.dir.path().join("missing.pem");
    let fetch = HttpFetch::new(vec![credentials(&server).with_ca(missing).unwrap()]).unwrap();
    let got = attempt(&fetch, &https(&server, "/"), None).await;
    got.failed(Lost, "cannot read the authorities in /");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_in_the_handshake_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let begun = Instant::now();
    let fetch = HttpFetch::default();
    let attempt = attempt(&fetch, &uri, None);
    let (got, _stream) = tokio::join!(attempt, listener.accept());
    got.failed(Lost, "no answer from 127.0.0.1:");
    assert!(begun.elapsed().abs_diff(CONNECT_LIMIT) < Duration::from_secs(1));
}
