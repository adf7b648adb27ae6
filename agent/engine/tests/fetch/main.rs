//! Packages fetched by block-wise GET from a server of a few lines, in virtual time.

mod blocks;
mod failures;
mod resuming;
mod rough;
mod support;
mod timing;
