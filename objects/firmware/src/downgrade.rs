//! Whether a package may be installed that is older than what runs.
//!
//! Asked when a package is checked, so that the server hears of it (Objects 7.2: Update
//! Result 6, State Idle), and once more before it is installed, since another system may
//! run by then. Where something cannot be compared, nothing is refused.

use std::cmp::Ordering;
use std::sync::atomic::{self, AtomicBool};

use lwm2m_objects::Roots;
use lwm2m_objects::sources::os_release;
use tracing::warn;

use crate::text::{cut, one_line};
use crate::{
    Backend, Failure, Installed, Package, PackageInfo, ProgressSink, Protocol, Reason, Slot,
};

/// What becomes of a package that is older than what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Downgrade {
    /// It is installed: a server may want to go back.
    #[default]
    Allow,
    /// It is refused.
    Refuse,
}

/// A back end, and what it may not install.
#[derive(Debug)]
pub struct WithPolicy<B> {
    backend: B,
    downgrade: Downgrade,
    roots: Roots,
    /// The log says once that nothing can be compared.
    is_told: AtomicBool,
}

impl<B: Backend> WithPolicy<B> {
    /// `backend`, held to `downgrade`; os-release is below `roots`.
    pub fn new(backend: B, downgrade: Downgrade, roots: Roots) -> Self {
        Self { backend, downgrade, roots, is_told: AtomicBool::new(false) }
    }

    async fn check(&self, package: &PackageInfo) -> Result<(), Failure> {
        let running = self.backend.version().await.map_err(|cause| {
            let cause = format!("the version that runs is not known: {cause}");
            Failure::new(Reason::Unavailable, cause)
        })?;
        // VERSION_ID is of the distribution, whose numbers are not those of packages.
        let Some(running) = running.or_else(|| os_release::read(&self.roots).image_version) else {
            if !self.is_told.swap(true, atomic::Ordering::Relaxed) {
                warn!(
                    "older packages are to be refused, but nothing says which version runs: \
                     neither the installer nor IMAGE_VERSION of os-release"
                );
            }
            return Ok(());
        };
        // As that of the package is.
        let running = cut(running);
        if is_older(&package.version, &running) {
            let version = &package.version;
            // Nothing is broken, and trying again would not help.
            let cause =
                format!("the package has version {version}, older than {running}, which runs");
            return Err(Failure::new(Reason::Unsupported, one_line(&cause)));
        }
        Ok(())
    }
}

impl<B: Backend> Backend for WithPolicy<B> {
    fn streams(&self) -> &[Protocol] {
        self.backend.streams()
    }

    async fn inspect(&self, package: &Package) -> Result<PackageInfo, Failure> {
        let info = self.backend.inspect(package).await?;
        match self.downgrade {
            Downgrade::Allow => {}
            Downgrade::Refuse => self.check(&info).await?,
        }
        Ok(info)
    }

    async fn install(&self, package: &Package, sink: &ProgressSink) -> Result<Installed, Failure> {
        match self.downgrade {
            Downgrade::Allow => {}
            Downgrade::Refuse => {
                self.inspect(package).await?;
            }
        }
        self.backend.install(package, sink).await
    }

    async fn confirm(&self) -> Result<(), String> {
        self.backend.confirm().await
    }

    async fn reject(&self) -> Result<(), String> {
        self.backend.reject().await
    }

    async fn slot(&self) -> Slot {
        self.backend.slot().await
    }

    async fn next_boot(&self) -> Result<Option<String>, String> {
        self.backend.next_boot().await
    }

    async fn version(&self) -> Result<Option<String>, String> {
        self.backend.version().await
    }
}

/// Whether `version` is lower than `other`, for certain: fields between any of `.-_+~`
/// are compared one by one, numbers as numbers, and a number that is missing after a dot
/// is 0; at anything else that differs the comparison ends without an answer.
fn is_older(version: &str, other: &str) -> bool {
    let (mut version, mut other) = (fields(version), fields(other));
    loop {
        let (ours, theirs) = match (version.next(), other.next()) {
            (None, None) => return false,
            (Some(ours), Some(theirs)) if ours.0 == theirs.0 => (ours.1, theirs.1),
            (Some((Some('.'), ours)), None) => (ours, "0"),
            (None, Some((Some('.'), theirs))) => ("0", theirs),
            _ => return false,
        };
        if ours != theirs {
            match by_number(ours, theirs) {
                Some(Ordering::Equal) => {}
                Some(order) => return order == Ordering::Less,
                None => return false,
            }
        }
    }
}

/// The fields of a version, each with the separator before it. A `v` before the first
/// number says nothing.
fn fields(version: &str) -> impl Iterator<Item = (Option<char>, &str)> {
    let plain = version.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(is_digit));
    let mut rest = Some((None, plain.unwrap_or(version)));
    std::iter::from_fn(move || {
        let (separator, text) = rest?;
        let end = text.find(SEPARATORS);
        let (field, behind) = end.and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""));
        let mut behind = behind.chars();
        rest = behind.next().map(|next| (Some(next), behind.as_str()));
        Some((separator, field))
    })
}

/// How two numbers of any length compare; `None` if one is no number.
fn by_number(ours: &str, theirs: &str) -> Option<Ordering> {
    let number = |field: &'_ str| !field.is_empty() && field.chars().all(is_digit);
    let (plain, other) = (ours.trim_start_matches('0'), theirs.trim_start_matches('0'));
    let order = plain.len().cmp(&other.len()).then_with(|| plain.cmp(other));
    (number(ours) && number(theirs)).then_some(order)
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

const SEPARATORS: [char; 5] = ['.', '-', '_', '+', '~'];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn versions_are_compared_field_by_field() {
        let long = "123456789012345678901234567890";
        let longer = "1000000000000000000000000000000";
        #[rustfmt::skip] // a table: one row a pair, the older one first
        let older = [
            ("1.9.0", "1.10.0"), ("1.2", "1.2.1"), ("1", "1.0.1"), ("2023.12-5", "2024.3-1"),
            ("2.0.0", "3.0.0"), ("1.2.3-1", "1.2.3-2"), ("1.0.0~rc1", "1.0.1~rc2"), ("v1.9", "v1.10"),
            ("v1", "2"), ("1.2.0+41", "1.2.0+700_1"), ("1_9", "1_10"), ("009", "10"), (long, longer),
            ("20240101T1200.1", "20240101T1200.2"), ("gw-1.9", "gw-1.10"),
        ];
        for (version, other) in older {
            assert!(is_older(version, other), "{version} {other}");
            assert!(!is_older(other, version), "{other} {version}");
        }
        #[rustfmt::skip] // a table: one row a pair, neither is older for certain
        let neither = [
            ("1.2.3", "1.2.3"), ("1.2", "1.2.0"), ("01.2", "1.02"), ("1.2", "1.2-rc1"), ("1.2", "1.2~1"),
            ("1.2.0-1", "1.2.0"), ("1.2-4", "1.2.3"), ("1.2.a", "1.2.3"), ("abc", "abd"), ("1.2-g12ab", "1.2-g9f"),
            ("1.x", "1.y"), ("1..2", "1.0.2"), ("", "1"), ("1", ""), ("", ""), ("gw-1", "box-2"), ("1.2.3 a", "1.2.4"),
            ("1:2.0", "2:1.0"), ("-1", "1"), ("v", "1"), ("1.\u{663}", "1.4"), ("é.1", "ü.2"), ("1.2.x", "1.2"),
        ];
        for (version, other) in neither {
            assert!(!is_older(version, other), "{version} {other}");
            assert!(!is_older(other, version), "{other} {version}");
        }
    }

    /// A back end whose package and system have these versions.
    struct Double {
        package: &'static str,
        running: Result<Option<&'static str>, &'static str>,
    }

    impl Backend for Double {
        async fn inspect(&self, _package: &Package) -> Result<PackageInfo, Failure> {
            Ok(PackageInfo { name: "gw".into(), version: self.package.into() })
        }

        async fn install(
            &self,
            _package: &Package,
            _sink: &ProgressSink,
        ) -> Result<Installed, Failure> {
            Ok(Installed::Done)
        }

        async fn confirm(&self) -> Result<(), String> {
            Ok(())
        }

        async fn reject(&self) -> Result<(), String> {
            Ok(())
        }

        async fn slot(&self) -> Slot {
            Slot::None
        }

        async fn version(&self) -> Result<Option<String>, String> {
            self.running.map(|it| it.map(str::to_owned)).map_err(str::to_owned)
        }
    }

    /// OBJ-80
    #[tokio::test]
    async fn what_is_older_than_what_runs_is_neither_taken_nor_installed() {
        use Downgrade::{Allow, Refuse};
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let older = |running| {
            let cause = format!("the package has version 1.9, older than {running}, which runs");
            Err(Failure::new(Reason::Unsupported, cause))
        };
        let unknown = || {
            let cause = "the version that runs is not known: no bus";
            Err(Failure::new(Reason::Unavailable, cause))
        };
        let image = "VERSION_ID=99\nIMAGE_VERSION=1.11\n";
        #[rustfmt::skip] // a table: policy, package, what runs, os-release
        let cases = [
            (Allow, "1.9", Ok(Some("1.10")), image, Ok(())),
            (Allow, "1.9", Err("no bus"), image, Ok(())),
            (Refuse, "1.9", Ok(Some("1.10")), image, older("1.10")),
            (Refuse, "1.10", Ok(Some("1.10")), image, Ok(())),
            (Refuse, "1.11", Ok(Some("1.10")), image, Ok(())),
            (Refuse, "", Ok(Some("1.10")), image, Ok(())),
            (Refuse, "1.9", Ok(None), image, older("1.11")),
            (Refuse, "1.9", Ok(None), "VERSION_ID=99\n", Ok(())),
            (Refuse, "1.9", Err("no bus"), image, unknown()),
        ];
        for (downgrade, package, running, release, expected) in cases {
            let case = format!("{downgrade:?} {package:?} {running:?} {release:?}");
            fs::write(root.path().join("etc/os-release"), release).unwrap();
            let roots = Roots::below(root.path());
            let backend = WithPolicy::new(Double { package, running }, downgrade, roots);
            let path = &Package::Stored("package".into());
            assert_eq!(backend.inspect(path).await.map(drop), expected, "{case}");
            assert_eq!(
                backend.install(path, &ProgressSink::nowhere()).await.map(drop),
                expected,
                "{case}"
            );
        }
    }
}
