//! The checks of the operator: each executable in a directory is run by systemd as root,
//! since the agent executes nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use lwm2m_objects::{BusHandle, is_instance_name, run_unit};

use crate::Checks;

/// Each executable file `NAME` of a directory, run as `lwm2md-check@NAME.service` in the
/// order of names. All have to end well.
#[derive(Debug, Clone)]
pub struct CheckUnits {
    bus: BusHandle,
    folder: PathBuf,
}

impl CheckUnits {
    /// The checks in `folder`, which may be missing: then there are none.
    pub fn new(bus: BusHandle, folder: PathBuf) -> Self {
        Self { bus, folder }
    }

    async fn run_all(&self) -> Result<(), String> {
        let names = names(&self.folder);
        for name in names.map_err(|error| format!("{}: {error}", self.folder.display()))? {
            let unit = format!("lwm2md-check@{name}.service");
            run_unit(&self.bus, &unit, CHECK_LIMIT).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Checks for CheckUnits {
    fn run(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(self.run_all())
    }
}

/// The names of the checks. One that no unit can have is an error: it would never be run.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        let facts = fs::metadata(&path)?;
        if !facts.is_file() || facts.permissions().mode() & ANY_EXECUTE == 0 {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !is_instance_name(&name) {
            let message = format!("{name:?} cannot be run: letters, digits and _.- make a name");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

const ANY_EXECUTE: u32 = 0o111;
/// More than the unit allows, so that the unit says what was wrong.
const CHECK_LIMIT: Duration = Duration::from_secs(70);

#[cfg(test)]
mod tests {
    use super::*;

    fn add(folder: &Path, name: &str, mode: u32) {
        fs::write(folder.join(name), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// OBJ-92
    #[test]
    fn executable_files_are_checks_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(names(&folder.path().join("missing")).unwrap(), Vec::<String>::new());
        for (name, mode) in [("20-net", 0o755), ("10-disk.sh", 0o500), ("README", 0o644)] {
            add(folder.path(), name, mode);
        }
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["10-disk.sh", "20-net"]);
        add(folder.path(), "30 net", 0o755);
        let error = names(folder.path()).unwrap_err().to_string();
        assert_eq!(error, "\"30 net\" cannot be run: letters, digits and _.- make a name");
    }

    /// A check that its unit ends is told as such, and not as one without an end.
    #[test]
    fn the_unit_ends_a_check_before_the_agent_gives_up() {
        let unit = include_str!("../../../systemd/lwm2md-check@.service");
        let seconds = |key: &str| -> u64 {
            let value = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            value.parse().unwrap()
        };
        assert!(seconds("TimeoutStartSec=") + seconds("TimeoutStopSec=") < CHECK_LIMIT.as_secs());
    }

    /// OBJ-92: nothing that could not be run has passed.
    #[tokio::test]
    async fn a_check_that_cannot_be_run_has_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let checks = CheckUnits::new(BusHandle::absent(), folder.path().to_owned());
        assert_eq!(checks.run().await, Ok(()));
        add(folder.path(), "net", 0o755);
        let failure = checks.run().await.unwrap_err();
        assert!(failure.contains("lwm2md-check@net.service"), "{failure}");
        assert!(failure.contains("D-Bus"), "{failure}");
    }
}
