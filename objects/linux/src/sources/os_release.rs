//! The operating system's own description, `os-release(5)`.

use super::text;
use crate::Roots;

/// What os-release says about versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    /// `IMAGE_VERSION`: of the image the system was installed from.
    pub image_version: Option<String>,
    /// `VERSION_ID`, for programs.
    pub version_id: Option<String>,
    /// `BUILD_ID`: of the image as installed originally.
    pub build_id: Option<String>,
    /// `VERSION`, for people.
    pub version: Option<String>,
}

/// Reads `/etc/os-release`, or `/usr/lib/os-release` where that is missing.
pub fn read(roots: &Roots) -> OsRelease {
    let content = text::bytes(&roots.etc.join("os-release"))
        .or_else(|| text::bytes(&roots.usr.join("lib/os-release")));
    content
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|content| parse(&content))
        .unwrap_or_default()
}

fn parse(content: &str) -> OsRelease {
    let mut release = OsRelease::default();
    for line in content.lines() {
        let Some((name, value)) = line.trim().split_once('=') else {
            continue;
        };
        let field = match name {
            "IMAGE_VERSION" => &mut release.image_version,
            "VERSION_ID" => &mut release.version_id,
            "BUILD_ID" => &mut release.build_id,
            "VERSION" => &mut release.version,
            _ => continue,
        };
        *field = unquote(value).and_then(|value| text::clean(value.as_bytes()));
    }
    release
}

/// The value of a shell assignment; `None` if its quotes do not match.
fn unquote(value: &str) -> Option<String> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inner = match quote {
        Some(quote) => value.strip_prefix(quote)?.strip_suffix(quote)?,
        None => value,
    };
    if quote == Some('\'') {
        return Some(inner.to_owned());
    }
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_as_a_shell_would() {
        let release = parse(
            "# made up\nNAME=x\nVERSION=\"1.2 \\\"beta\\\"\"\nVERSION_ID='12'\nBUILD_ID=b-7\nIMAGE_VERSION=\n",
        );
        assert_eq!(release.version.as_deref(), Some("1.2 \"beta\""));
        assert_eq!(release.version_id.as_deref(), Some("12"));
        assert_eq!(release.build_id.as_deref(), Some("b-7"));
        assert_eq!(release.image_version, None);
    }

    #[test]
    fn broken_lines_give_nothing() {
        for content in ["VERSION=\"1", "VERSION='1\"", "VERSION=\"", "=1", "VERSION", "VERSION=1\\"]
        {
            assert_eq!(parse(content), OsRelease::default(), "{content}");
        }
    }
}
