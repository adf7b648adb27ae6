//! The connection to the daemon.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use lwm2m_bus::{Agent1Proxy, BusAddress};

use crate::error::CtlError;

/// Connects to a bus and makes the proxy of the daemon.
pub(crate) async fn connect(bus: &BusAddress) -> Result<Agent1Proxy<'static>, CtlError> {
    let failed = |source| CtlError::Bus { bus: bus.clone(), source };
    let connection = bus.builder().method_timeout(METHOD_TIMEOUT).build().await.map_err(failed)?;
    Agent1Proxy::new(&connection).await.map_err(failed)
}

/// The next item of a stream; `None` when it has ended.
pub(crate) async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// Longer than the longest call of an object (10 s) and an Execute behind it.
const METHOD_TIMEOUT: Duration = Duration::from_secs(30);
