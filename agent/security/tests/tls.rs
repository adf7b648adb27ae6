//! TLS to a server of the same library, in memory (TRN-122).

mod authority;

use std::pin::Pin;

use authority::{Authority, Certified};
use lwm2m_security::{
    ClientCertificate, MAX_AUTHORITIES, Secret, SecureStream, TlsClient, TlsError, Trust,
};
use openssl::ssl::{
    Ssl, SslAcceptor, SslAcceptorBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion,
};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_openssl::SslStream;

type Settings = fn(&mut SslAcceptorBuilder);

const HOST: &str = "fw.example";

fn file(content: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

fn trusting(authority: &Authority) -> TlsClient {
    let file = file(&authority.pem());
    TlsClient::new(&Trust::File(file.path().to_owned()), None).unwrap()
}

/// A handshake, and an echo of two bytes if it succeeds.
async fn shake(
    client: &TlsClient,
    host: &str,
    server: &Certified,
    settings: Settings,
) -> Result<SecureStream<DuplexStream>, TlsError> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(&server.certificate).unwrap();
    acceptor.set_private_key(&server.key).unwrap();
    settings(&mut acceptor);
    let ssl = Ssl::new(acceptor.build().context()).unwrap();
    let (near, far) = duplex(1024);
    let mut far = SslStream::new(ssl, far).unwrap();
    let serve = async move {
        let accepted = Pin::new(&mut far).accept().await.is_ok();
        let mut bytes = [0; 2];
        if accepted && far.read_exact(&mut bytes).await.is_ok() {
            far.write_all(&bytes).await.unwrap();
        }
        // Kept, so that what it sent last can be read.
        far
    };
    let connect = async {
        let mut stream = client.connect(host, near).await?;
        stream.write_all(b"hi").await.unwrap();
        let mut bytes = [0; 2];
        let echo = stream.read_exact(&mut bytes).await;
        echo.map_err(|error| TlsError::Stream(error.to_string()))?;
        assert_eq!(&bytes, b"hi");
        Ok(stream)
    };
    tokio::join!(connect, serve).0
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let authority = Authority::new("authority");
    let server = authority.certify(&[HOST]);
    let client = trusting(&authority);
    let only_1_2: Settings =
        |acceptor| acceptor.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    for (settings, version) in [((|_| {}) as Settings, "TLSv1.3"), (only_1_2, "TLSv1.2")] {
        let stream = shake(&client, HOST, &server, settings).await.unwrap();
        assert_eq!(stream.version(), version);
    }
    let only_1_1: Settings = |acceptor| {
        acceptor.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        acceptor.clear_options(SslOptions::NO_TLSV1_1);
        acceptor.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        acceptor.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    };
    let error = shake(&client, HOST, &server, only_1_1).await.unwrap_err();
    assert!(matches!(&error, TlsError::Refused(alert) if alert.code() == 70), "{error}");
}

/// TRN-122: certificate and host name are checked.
#[tokio::test]
async fn a_server_that_is_not_proven_is_refused_with_the_reason() {
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    let client = trusting(&authority);
    for (what, server, host, expected) in [
        ("another name", authority.certify(&["a.example"]), HOST, "hostname mismatch"),
        ("name for address", authority.certify(&[HOST]), "192.0.2.1", "IP address mismatch"),
        ("part of a name", authority.certify(&["example"]), HOST, "hostname mismatch"),
        ("another authority", other.certify(&[HOST]), HOST, "unable to get local issuer"),
        (
            "expired",
            authority.certify_for_days(&[HOST], (-9, -1)),
            HOST,
            "has expired (is the clock",
        ),
        (
            "to come",
            authority.certify_for_days(&[HOST], (1, 9)),
            HOST,
            "not yet valid (is the clock",
        ),
    ] {
        let error = shake(&client, host, &server, |_| {}).await.unwrap_err();
        assert!(matches!(error, TlsError::Certificate { .. }), "{what}: {error}");
        let error = error.to_string();
        assert!(error.starts_with("the certificate of the server is not accepted: "), "{error}");
        assert!(error.contains(expected), "{what}: {error}");
    }
    for host in ["192.0.2.1", "2001:db8::1"] {
        let server = authority.certify(&[host]);
        shake(&client, host, &server, |_| {}).await.unwrap();
    }
}

/// The system's store does not know an authority that was made a moment ago.
#[tokio::test]
async fn the_store_of_the_system_is_the_default() {
    let server = Authority::new("authority").certify(&[HOST]);
    let client = TlsClient::new(&Trust::System, None).unwrap();
    let error = shake(&client, HOST, &server, |_| {}).await.unwrap_err();
    assert!(matches!(error, TlsError::Certificate { time: false, .. }), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let authority = Authority::new("authority");
    let server = authority.certify(&[HOST]);
    let device = authority.certify(&["device"]);
    let key = Secret::new(device.key.private_key_to_pem_pkcs8().unwrap());
    let device = ClientCertificate::from_pem(&device.certificate.to_pem().unwrap(), &key).unwrap();
    let trust = file(&authority.pem());
    let trust = Trust::File(trust.path().to_owned());
    let asking: Settings = |acceptor| {
        // Only that one is shown is asked here.
        let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        acceptor.set_verify_callback(mode, |_, _| true);
    };
    let client = TlsClient::new(&trust, Some(&device)).unwrap();
    shake(&client, HOST, &server, asking).await.unwrap();
    let client = TlsClient::new(&trust, None).unwrap();
    // At TLS 1.3 the alert comes after the handshake of this side.
    let error = shake(&client, HOST, &server, asking).await.unwrap_err().to_string();
    assert!(error.contains("certificate required"), "{error}");
}

#[test]
fn files_and_keys_that_are_none_are_clear_errors() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "nothing\n").unwrap();
    let error = |path| TlsClient::new(&Trust::File(path), None).unwrap_err().to_string();
    // Opening a pipe would wait for a writer.
    let (pipe, huge) = (dir.path().join("pipe"), dir.path().join("huge"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::File::create(&huge).unwrap().set_len(MAX_AUTHORITIES as u64 + 1).unwrap();
    assert!(error(pipe).ends_with("/pipe is not a regular file"));
    assert!(error(huge).contains("/huge is longer than 1048576 bytes"));
    assert!(error("/dev/zero".into()).ends_with("/dev/zero is not a regular file"));
    assert!(error(missing).starts_with("cannot read the authorities in /"));
    assert!(error(empty).ends_with("/empty holds no certificates in PEM"));

    let authority = Authority::new("authority");
    let (one, two) = (authority.certify(&["a"]), authority.certify(&["b"]));
    let certificate = one.certificate.to_pem().unwrap();
    let plain = |key: &Certified| key.key.private_key_to_pem_pkcs8().unwrap();
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let locked = one.key.private_key_to_pem_pkcs8_passphrase(cipher, b"word").unwrap();
    for (certificate, key, expected) in [
        (&b"none"[..], plain(&one), "the client certificate is not PEM"),
        (b"", plain(&one), "the client certificate is not PEM"),
        (
            &certificate,
            b"none".to_vec(),
            "the key of the client certificate is not PEM, or has a passphrase",
        ),
        (&certificate, locked, "the key of the client certificate is not PEM, or has a passphrase"),
        (&certificate, plain(&two), "the key is not that of the client certificate"),
    ] {
        let error = ClientCertificate::from_pem(certificate, &Secret::new(key)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let shown = ClientCertificate::from_pem(&certificate, &Secret::new(plain(&one))).unwrap();
    assert_eq!(format!("{shown:?}"), "ClientCertificate { key: \"<secret>\", .. }");
}

/// A stream that ends, or is no TLS, is an error and no hang.
#[tokio::test]
async fn what_is_no_tls_ends_the_handshake() {
    let client = trusting(&Authority::new("authority"));
    for (bytes, expected) in [
        (&b""[..], "the connection was lost in the TLS handshake"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "the TLS handshake failed here: wrong version number",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x28",
            "the server refused the TLS handshake (alert 40 handshake_failure)",
        ),
    ] {
        let (near, mut far) = duplex(4096);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        let error = client.connect(HOST, near).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// A stream that is cut must not look like one that has ended (RFC 8446 6.1).
#[tokio::test]
async fn the_end_of_a_stream_is_told_from_a_cut() {
    let authority = Authority::new("authority");
    let server = authority.certify(&[HOST]);
    for goodbye in [true, false] {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate(&server.certificate).unwrap();
        acceptor.set_private_key(&server.key).unwrap();
        let ssl = Ssl::new(acceptor.build().context()).unwrap();
        let (near, far) = duplex(4096);
        let mut far = SslStream::new(ssl, far).unwrap();
        let client = trusting(&authority);
        let serve = async {
            Pin::new(&mut far).accept().await.unwrap();
            far.write_all(b"hi").await.unwrap();
            match goodbye {
                true => far.shutdown().await.unwrap(),
                false => far.get_mut().shutdown().await.unwrap(),
            }
        };
        let (stream, ()) = tokio::join!(client.connect(HOST, near), serve);
        let mut bytes = Vec::new();
        let read = stream.unwrap().read_to_end(&mut bytes).await;
        assert_eq!(bytes, b"hi");
        let failure = read.err().map(|error| error.kind());
        assert_eq!(failure, (!goodbye).then_some(std::io::ErrorKind::UnexpectedEof));
    }
}
