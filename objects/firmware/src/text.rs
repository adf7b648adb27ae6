//! Texts of others, as they go into a resource, a record or a line of the log.

/// On one line, blanks for what would leave it, and no longer than a resource may be.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    cut(words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// A text that fits a resource.
pub(crate) fn cut(mut text: String) -> String {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

/// Bytes of PkgName and PkgVersion (Objects 7), and of a cause.
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

    #[test]
    fn a_cause_is_one_line_that_moves_no_cursor() {
        assert_eq!(one_line("  a\n\tb\u{1b}[2J  c "), "a b [2J c");
        assert_eq!(one_line(&"x y ".repeat(200)).len(), 255);
        assert_eq!(one_line(""), "");
    }
}
