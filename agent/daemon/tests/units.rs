//! What is installed for systemd, judged by its own tools and by shellcheck; each is left
//! out where it is missing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of `systemd/` that are to be judged.
fn files(wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = paths.filter(|path| path.is_file() && wanted(path)).collect();
    assert!(!files.is_empty());
    files
}

/// What a tool says of files; `None`, and a line that says so, where it is missing.
fn judge(tool: &mut Command, files: &[PathBuf]) -> Option<String> {
    let Ok(output) = tool.args(files).output() else {
        // Not `eprintln`, which the test harness keeps when a test passes.
        let _ = writeln!(std::io::stderr(), "not run: {:?} is not installed", tool.get_program());
        return None;
    };
    let bytes = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let files = files(|path| {
        let kind = path.extension().and_then(|kind| kind.to_str());
        matches!(kind, Some("service" | "timer" | "socket" | "path"))
    });
    let mut tool = Command::new("systemd-analyze");
    let Some(said) = judge(tool.args(["--man=no", "verify"]), &files) else { return };
    // The programs are not installed here.
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("is not executable")).collect();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn the_scripts_of_units_are_plain_shell() {
    let files = files(|path| fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0);
    let mut tool = Command::new("shellcheck");
    let Some(said) = judge(tool.args(["--shell=sh", "--severity=style"]), &files) else { return };
    assert_eq!(said, "");
}

/// Of a minimal system: `kill`, for one, is a program of procps, which not every Debian has.
#[test]
fn units_run_what_every_system_has() {
    for file in files(|path| path.extension().is_some_and(|kind| kind == "service")) {
        let text = fs::read_to_string(&file).unwrap();
        let commands = text.lines().filter(|line| line.starts_with("Exec"));
        for (key, command) in commands.filter_map(|line| line.split_once('=')) {
            let program = command.trim_start_matches(['-', '+', '!', '@', ':']);
            let program = program.split(' ').next().unwrap();
            let known = program.is_empty()
                || matches!(program, "sh" | "/usr/bin/lwm2md")
                || program.starts_with("/usr/lib/lwm2md/");
            assert!(known, "{}: {key} needs {program}", file.display());
        }
    }
}
