//! A stream secured by TLS, over any stream of tokio.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;

/// What a [`TlsClient`](crate::TlsClient) has connected: reads and writes are plain, the
/// stream below carries records. It ends when the peer says so (close_notify); if the
/// stream below ends before, somebody may have cut it, and that is
/// [`io::ErrorKind::UnexpectedEof`]. Other errors are those of the stream below, and
/// [`io::ErrorKind::Other`] where TLS failed.
#[derive(Debug)]
pub struct SecureStream<S>(SslStream<Endless<S>>);

impl<S> SecureStream<S> {
    pub(crate) const fn new(stream: SslStream<Endless<S>>) -> Self {
        Self(stream)
    }

    /// The version that was agreed upon, such as `TLSv1.3`.
    pub fn version(&self) -> &'static str {
        self.0.ssl().version_str()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SecureStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SecureStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A stream whose end is an error. The `openssl` crate does not tell the library of it, so
/// that one without a close_notify would look like one with it.
#[derive(Debug)]
pub(crate) struct Endless<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for Endless<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        match read {
            Poll::Ready(Ok(())) if before > 0 && buf.remaining() == before => {
                let cause = "the connection ended without a close_notify of TLS";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, cause)))
            }
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Endless<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
