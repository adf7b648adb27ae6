//! `lwm2mctl`: what an operator asks of a running lwm2md.

use std::process::ExitCode;

fn main() -> ExitCode {
    lwm2mctl::start()
}
