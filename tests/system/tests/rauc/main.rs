//! `rauc-dbus` against the real service of RAUC, and the laboratory against itself.

mod inspect;
mod install;
mod mark;
mod service_death;
mod status;
mod support;
