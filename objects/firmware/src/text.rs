//! Texts of programs and packages, made to fit a line or a resource.

/// In one line.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Short enough for a resource.
pub(crate) fn cut(mut text: String) -> String {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

/// Bytes of PkgName and PkgVersion.
const MAX_TEXT: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(cut("é".repeat(200)).len(), 254);
        assert_eq!(cut("x".repeat(255)).len(), 255);
        assert_eq!(cut("1.0".into()), "1.0");
    }
}
