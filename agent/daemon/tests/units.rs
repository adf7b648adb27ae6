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

/// The service does not start while nothing is configured, which is no fault.
#[test]
fn the_service_starts_when_something_is_configured() {
    let unit = files(|path| path.ends_with("systemd/lwm2md.service")).pop().unwrap();
    let unit = fs::read_to_string(unit).unwrap().replace("\\\n", "");
    let condition = unit.lines().find_map(|line| line.strip_prefix("ExecCondition=sh -c '"));
    let condition = condition.unwrap().strip_suffix('\'').unwrap().replace("$$", "$");
    let folder = tempfile::tempdir().unwrap();
    let script = condition.replace("/etc/lwm2md", folder.path().to_str().unwrap());
    let starts = || {
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.stderr.is_empty(), "{output:?}");
        assert_eq!(said.contains("nothing is configured"), !output.status.success(), "{said}");
        output.status.success()
    };
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    assert!(!starts(), "no file");
    write("lwm2md.yaml", "# servers:\n\n  # - uri: x\n");
    write("psk", "00112233");
    assert!(!starts(), "comments, and the file of a key");
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    assert!(!starts(), "no fragment");
    write("conf.d/10-site.yaml", "servers: []\n");
    assert!(starts(), "a fragment alone");
    write("conf.d/10-site.yaml", "# nothing\n");
    write("lwm2md.yaml", "# first\nservers: []\n");
    assert!(starts(), "the file");
}
