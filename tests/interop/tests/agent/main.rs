//! The agent against foreign peers: one test for each scenario.

mod aiocoap;
mod attributes;
mod blocks;
mod leshan;
mod libcoap;
mod libcoap_rs;
mod raw;
mod support;
