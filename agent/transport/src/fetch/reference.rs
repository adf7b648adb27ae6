//! References to URIs, as a Location field holds them (RFC 3986 5.2, RFC 9110 10.2.2).

/// What `reference` means at `base_scheme://authority` followed by `base_target`, as an
/// absolute URI. What makes no sense stays for the parser to refuse.
pub(super) fn resolve(
    base_scheme: &str,
    authority: &str,
    base_target: &str,
    reference: &str,
) -> String {
    if scheme(reference).is_some() {
        return reference.to_owned();
    }
    if reference.starts_with("//") {
        return format!("{base_scheme}:{reference}");
    }
    let reference = reference.split('#').next().unwrap_or_default();
    let (path, query) = split_query(reference);
    let (base_path, base_query) = split_query(base_target);
    let target = match (path, query) {
        ("", "") => format!("{base_path}{base_query}"),
        ("", query) => format!("{base_path}{query}"),
        (path, query) if path.starts_with('/') => format!("{}{query}", without_dots(path)),
        (path, query) => {
            let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{}{query}", without_dots(&format!("{folder}/{path}")))
        }
    };
    format!("{base_scheme}://{authority}{target}")
}

/// The scheme that a URI begins with, and what follows its colon (RFC 3986 3.1).
pub(super) fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let mut characters = scheme.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphabetic());
    let others = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (first && characters.all(others)).then_some((scheme, rest))
}

/// A path, and a query with its question mark.
fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

/// An absolute path without its `.` and `..`.
fn without_dots(path: &str) -> String {
    format!("/{}", remove_dots(path.split('/').skip(1)).join("/"))
}

/// Segments of an absolute path without `.` and `..` (RFC 3986 5.2.4).
pub(super) fn remove_dots<S: AsRef<str> + Default>(path: impl IntoIterator<Item = S>) -> Vec<S> {
    let mut segments = Vec::new();
    let mut is_folder = false;
    for segment in path {
        is_folder = matches!(segment.as_ref(), "." | "..");
        match segment.as_ref() {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    if is_folder {
        segments.push(S::default());
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 3986 5.4, as far as they are of this scheme.
    #[test]
    fn references_mean_what_the_standard_says() {
        for (reference, uri) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("/x?u=http://z:1/", "http://a/x?u=http://z:1/"),
        ] {
            assert_eq!(resolve("http", "a", "/b/c/d;p?q", reference), uri, "{reference:?}");
        }
    }
}
