//! Leshan as server: LwM2M 1.0 and 1.1, with and without DTLS.

mod attributes;
mod blocks;
mod formats;
mod instances;
mod observations;
mod reads;
mod registration;
mod resource_instances;
mod security;
mod writes;
