//! The store from outside: what it keeps, what it refuses, and that nothing which
//! happens to its files or its process loses an acknowledged change.

mod child;
mod copying;
mod damage;
mod disk;
mod faults;
mod opening;
mod power;
mod scenario;
mod support;
mod trace;
