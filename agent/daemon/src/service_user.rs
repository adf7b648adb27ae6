//! Whether the user of the service may read what a check by root has read.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lwm2m_security::KeySource;
use nix::unistd::{Gid, User, geteuid, getgrouplist};

use crate::config::{Authorization, Config, ConfigError, TextSource};

/// The user that the unit of the package runs the daemon as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUser {
    uid: u32,
    /// Those that it is in by the system's list; a unit may give it more.
    groups: Vec<u32>,
}

impl ServiceUser {
    /// The user lwm2md, if the system has it and root asks: others see with their own
    /// rights, and may mean to run the daemon by themselves.
    pub fn beside_root() -> Option<Self> {
        let user = User::from_name(NAME).ok().flatten().filter(|_| geteuid().is_root())?;
        let groups = getgrouplist(&CString::new(NAME).ok()?, user.gid).ok()?;
        Some(Self { uid: user.uid.as_raw(), groups: groups.into_iter().map(Gid::as_raw).collect() })
    }

    fn may_read(&self, file: &Metadata) -> bool {
        let bit = if file.uid() == self.uid {
            0o400
        } else if self.groups.contains(&file.gid()) {
            0o040
        } else {
            0o004
        };
        file.mode() & bit != 0
    }

    /// Files that are there, and that this user may not read.
    pub(crate) fn faults(&self, config: &Config) -> Vec<ConfigError> {
        let is_closed = |path: &Path| fs::metadata(path).is_ok_and(|file| !self.may_read(&file));
        let mut faults = Vec::new();
        for path in config.files.iter().filter(|path| is_closed(path)) {
            let name = path.display();
            let message = format!("{CLOSED}: run chgrp lwm2md {name}; chmod 640 {name}");
            faults.push(ConfigError::Unreadable { path: path.clone(), message });
        }
        let sources = &config.downloads.sources;
        let of_servers = config.servers.iter().filter_map(|server| server.psk.as_ref());
        let of_sources = sources.iter().filter_map(|source| source.psk.as_ref());
        let psks = of_servers.chain(of_sources).map(|psk| (&psk.source, &psk.at, psk.key.as_str()));
        let texts = sources.iter().flat_map(|source| {
            let authorization = match &source.authorization {
                Some(Authorization::Basic { password: text, .. } | Authorization::Bearer(text)) => {
                    Some(text)
                }
                None => None,
            };
            authorization.into_iter().chain(source.certificate.as_ref().map(|it| &it.key))
        });
        let texts = texts.map(|text| (&text.source, &text.at, text.key.as_str()));
        let keys = psks.chain(texts).filter_map(|(source, at, key)| match source {
            KeySource::File(path) => Some((path, at, key)),
            _ => None,
        });
        let serial = match &config.device.serial {
            Some(TextSource::File(path, at)) => Some((path, at, "objects.device.serial")),
            _ => None,
        };
        for (path, at, key) in keys.chain(serial).filter(|(path, ..)| is_closed(path)) {
            let name = path.display();
            let message = format!("{name}: {CLOSED}: run chown lwm2md {name}");
            faults.push(ConfigError::new(at, key, message));
        }
        faults
    }
}

const NAME: &str = "lwm2md";
const CLOSED: &str = "the service, as the user lwm2md, may not read it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_may_not_read_is_told_and_how_to_mend_it() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, mode: u32, text: &str| {
            fs::write(path(name), text).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let key = path("key");
        let yaml = format!(
            "servers:\n  - short_server_id: 1\n    uri: coaps://a.example\n    security: {{mode: \
             psk, identity: a, key: {{file: {}}}}}\n",
            key.display()
        );
        write("lwm2md.yaml", 0o640, &yaml);
        write("key", 0o600, "001122");
        let config = crate::config::load(&[path("lwm2md.yaml")]).unwrap();
        let owner = fs::metadata(&key).unwrap();
        let (uid, gid) = (owner.uid(), owner.gid());
        let faults = |uid, gid| -> Vec<String> {
            let user = ServiceUser { uid, groups: vec![1, gid] };
            user.faults(&config)
                .iter()
                .map(|it| it.to_string().replace(&directory.path().display().to_string(), "DIR"))
                .collect()
        };
        let of_key = "DIR/lwm2md.yaml:4:45: servers[0].security.key: DIR/key: the service, as the \
                      user lwm2md, may not read it: run chown lwm2md DIR/key";
        let of_file = "DIR/lwm2md.yaml: the service, as the user lwm2md, may not read it: run chgrp \
                       lwm2md DIR/lwm2md.yaml; chmod 640 DIR/lwm2md.yaml";
        assert_eq!(faults(uid, gid), [""; 0]);
        assert_eq!(faults(uid + 1, gid), [of_key]);
        assert_eq!(faults(uid + 1, gid + 1), [of_file, of_key]);
        write("lwm2md.yaml", 0o644, &yaml);
        assert_eq!(faults(uid + 1, gid + 1), [of_key]);
    }
}
