//! The CoAP layer in virtual time: one module per part of its behaviour.

mod answering;
mod blockwise;
mod limits;
mod message;
mod notifying;
mod repeating;
mod requesting;
mod sending;
mod streaming;
mod support;
mod uploading;
mod wire;
