//! The demo as a program: lines through a pipe find a device, and are shown.

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn lines_through_a_pipe_wait_for_the_registration_and_are_shown() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_lwm2md"))
        .arg("demo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = demo.stdin.take().unwrap();
    lines.write_all(b"read /3/0/16\nraed /3\nobserve /3/0/13 pmax=1\n").unwrap();
    lines.write_all(b"wait notification /3/0/13\n").unwrap();
    drop(lines);
    let output = demo.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    for part in [
        "\nregistered (",
        "\n> read /3/0/16\n2.05 Content, text, ",
        "\n> raed /3\nno command \"raed\", did you mean read?\n",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
    }
    // As it came, and not again as what was waited for.
    assert_eq!(shown.matches("notification 2 of /3/0/13").count(), 1, "{shown}");
}
