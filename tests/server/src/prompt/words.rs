//! Lines to words, and words to what they name.

use lwm2m_model::ContentFormat;

/// Splits a line at white space. Double quotes hold words together, within them
/// a backslash takes the next character as it is; `None` if one is not closed.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted(&mut chars, word.get_or_insert_default())?,
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => word.push(chars.next()?),
            c => word.push(c),
        }
    }
}

/// The format of this name or number.
pub(crate) fn format_named(text: &str) -> Option<ContentFormat> {
    let named = ContentFormat::NAMED.into_iter().find(|format| format.name() == Some(text));
    named.or_else(|| text.parse().ok().map(ContentFormat))
}

/// How many letters to change, put in, take out or swap with their neighbour to
/// make one word of the other.
pub(super) fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let change = rows[i][j] + usize::from(a != b);
            let mut best = change.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        for (line, words) in [
            ("read /3/0", &["read", "/3/0"][..]),
            ("  a   b ", &["a", "b"]),
            (r#"write /3/0/15 "a b""#, &["write", "/3/0/15", "a b"]),
            (r#"a 1="x y" """#, &["a", "1=x y", ""]),
            (r#""say \"hi\" \\""#, &[r#"say "hi" \"#]),
            ("exec /1/0/8 0='U',3", &["exec", "/1/0/8", "0='U',3"]),
            ("", &[]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert_eq!(split("a \"b"), None);
        assert_eq!(split("\"b\\"), None);
    }

    #[test]
    fn distances_count_single_mistakes() {
        for (from, to, count) in [
            ("read", "read", 0),
            ("raed", "read", 1),
            ("reed", "read", 1),
            ("obsrve", "observe", 1),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(from, to), count, "{from} {to}");
        }
    }
}
