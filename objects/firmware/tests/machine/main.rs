//! The state machine against the tables of Objects 7.2 and 7.3.

mod fetching;
mod random;
mod restart;
mod settling;
mod steps;
mod streaming;
mod support;
mod table;
mod trial;
