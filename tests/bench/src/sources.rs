//! Servers that a package is fetched from: HTTP with and without TLS, CoAP, and one that
//! sends bytes over TCP and nothing else, which is the floor of those over TCP.

use std::io::Result as IoResult;
use std::net::SocketAddr;
use std::pin::Pin;

use anyhow::{Context, Result, bail};
use coap_lite::{CoapOption, MessageType, Packet, ResponseType};
use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_openssl::SslStream;

use crate::authority::Authority;
use crate::link::{HERE, PEER};
use crate::server::{answer, parse, uint};

/// How a package is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The bytes alone.
    Tcp,
    Http,
    Https,
    Coap,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Http, Self::Https, Self::Coap];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP alone",
            Self::Http => "http",
            Self::Https => "https",
            Self::Coap => "coap",
        }
    }

    /// A port where its servers listen.
    const fn port(self) -> u16 {
        match self {
            Self::Tcp => 9,
            Self::Http => 80,
            Self::Https => 443,
            Self::Coap => 5683,
        }
    }

    /// Where its server is, as seen over the link.
    pub(crate) fn address(self) -> SocketAddr {
        (PEER, self.port()).into()
    }

    pub(crate) fn uri(self) -> String {
        format!("{}://{}/package", self.name(), self.address())
    }
}

/// Serves a package of so many bytes in every way; what comes back is the certificate
/// of the authority that vouches for the server.
pub(crate) async fn serve(size: usize) -> Result<Vec<u8>> {
    let authority = Authority::new("bench");
    let certified = authority.certify(&[&PEER.to_string()]);
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    acceptor.set_certificate(&certified.certificate)?;
    acceptor.set_private_key(&certified.key)?;
    let tls = acceptor.build().into_context();
    for way in [Way::Tcp, Way::Http, Way::Https] {
        let listener = TcpListener::bind((HERE, way.port())).await.context(way.name())?;
        tokio::spawn(listen(listener, way, tls.clone(), size));
    }
    let socket = UdpSocket::bind((HERE, Way::Coap.port())).await?;
    tokio::spawn(async move {
        let mut request = [0; 2048];
        // What is lost on the way back is asked for again.
        while let Ok((length, peer)) = socket.recv_from(&mut request).await {
            if let Ok(answer) = block(&request[..length], size) {
                let _ = socket.send_to(&answer, peer).await;
            }
        }
    });
    Ok(authority.pem())
}

async fn listen(listener: TcpListener, way: Way, tls: SslContext, size: usize) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        // A client that goes away ends with an error of its own.
        tokio::spawn(async move { give(stream, way, &tls, size).await.ok() });
    }
}

async fn give(mut stream: TcpStream, way: Way, tls: &SslContext, size: usize) -> Result<()> {
    stream.set_nodelay(true)?;
    match way {
        Way::Tcp => send(&mut stream, size).await?,
        Way::Http => answer_http(&mut stream, size).await?,
        Way::Https => {
            let mut stream = SslStream::new(Ssl::new(tls)?, stream)?;
            Pin::new(&mut stream).accept().await?;
            answer_http(&mut stream, size).await?;
        }
        Way::Coap => bail!("no stream"),
    }
    Ok(())
}

async fn answer_http<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, size: usize) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: \"1\"\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    send(stream, size).await?;
    Ok(())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, size: usize) -> IoResult<()> {
    let piece = [0x5a; 16 * 1024];
    let mut left = size;
    while left > 0 {
        let length = left.min(piece.len());
        stream.write_all(&piece[..length]).await?;
        left -= length;
    }
    stream.shutdown().await
}

/// The answer to a request for a block (RFC 7959 2.4).
fn block(request: &[u8], size: usize) -> Result<Vec<u8>> {
    let request = parse(request)?;
    if request.header.get_type() != MessageType::Confirmable {
        bail!("no request");
    }
    let wanted = request.get_first_option(CoapOption::Block2).map_or(&[][..], Vec::as_slice);
    let wanted = wanted.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
    let (number, length) = (wanted >> 4, 16_usize << (wanted & 7).min(6));
    let end = size.min((number + 1) * length);
    let bytes = end.checked_sub(number * length).context("beyond the end")?;
    let more = usize::from(end < size) << 3;
    let value = u32::try_from(number << 4 | more | (wanted & 7))?;
    let mut packet: Packet = answer(&request, ResponseType::Content)?;
    packet.add_option(CoapOption::ETag, vec![1]);
    packet.add_option(CoapOption::Block2, uint(value));
    packet.add_option(CoapOption::Size2, uint(u32::try_from(size)?));
    packet.payload = vec![0x5a; bytes];
    Ok(packet.to_bytes()?)
}

#[cfg(test)]
mod tests {
    use coap_lite::{CoapRequest, RequestType};

    use super::*;

    #[test]
    fn blocks_make_the_whole_package() {
        for (number, length, more) in [(0_u32, 1024, true), (1, 1024, true), (2, 52, false)] {
            let mut request = CoapRequest::<()>::new();
            request.set_method(RequestType::Get);
            request.message.add_option(CoapOption::Block2, uint(number << 4 | 6));
            let answer = block(&request.message.to_bytes().unwrap(), 2100).unwrap();
            let answer = parse(&answer).unwrap();
            assert_eq!(answer.payload.len(), length, "{number}");
            let expected = uint(number << 4 | u32::from(more) << 3 | 6);
            assert_eq!(answer.get_first_option(CoapOption::Block2).unwrap(), &expected);
        }
        assert!(block(b"\xff", 2100).is_err());
    }
}
