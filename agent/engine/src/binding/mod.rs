//! From a binding's messages to [`Request`](lwm2m_model::Request) and back.
//!
//! Nothing above this module knows which binding brought a request. CoAP over
//! datagrams is the one binding so far.

pub(crate) mod coap;
