//! Leshan as server: LwM2M 1.1, with and without DTLS.

mod observations;
mod reads;
mod registration;
mod security;
mod writes;
