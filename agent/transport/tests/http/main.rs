//! One attempt to fetch a package over HTTP and HTTPS, against a server that does what it
//! should or what it should not.

#[path = "../../../security/tests/authority/mod.rs"]
mod authority;
mod plain;
mod secured;
mod web;
