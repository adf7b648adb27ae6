//! A line that is drawn in place on a terminal, and printed elsewhere.

use std::io::{IsTerminal, stdout};

use rustix::termios::tcgetwinsize;

/// What standard output is.
#[derive(Debug)]
pub(crate) enum Screen {
    /// A terminal, and how many columns of its last line are drawn.
    Terminal { drawn: usize },
    /// Anything else, and what was printed last.
    Lines { last: String },
}

impl Screen {
    pub(crate) fn of_stdout() -> Self {
        if stdout().is_terminal() {
            Self::Terminal { drawn: 0 }
        } else {
            Self::Lines { last: String::new() }
        }
    }

    /// What to print so that a terminal shows `bar`, made for its width, in place of what
    /// was drawn last; or so that others get `line`, unless they have it.
    pub(crate) fn draw(&mut self, bar: impl FnOnce(usize) -> String, line: String) -> String {
        match self {
            Self::Terminal { drawn } => {
                let bar = bar(width());
                let len = bar.chars().count();
                let rest = " ".repeat(drawn.saturating_sub(len));
                *drawn = len;
                // No escape sequence, so that the dumbest terminal will do.
                format!("\r{bar}{rest}")
            }
            Self::Lines { last } if *last == line => String::new(),
            Self::Lines { last } => {
                last.clone_from(&line);
                line + "\n"
            }
        }
    }

    /// Ends what is drawn, so that something else can follow.
    pub(crate) fn end(&mut self) -> String {
        match self {
            Self::Terminal { drawn: 0 } | Self::Lines { .. } => String::new(),
            Self::Terminal { drawn } => {
                *drawn = 0;
                "\n".into()
            }
        }
    }
}

/// Columns that can be drawn: the last one would wrap on some terminals.
fn width() -> usize {
    let columns = tcgetwinsize(stdout()).map_or(0, |size| size.ws_col);
    // A serial line does not say.
    let columns = if columns == 0 { USUAL_COLUMNS } else { columns.into() };
    columns.saturating_sub(1)
}

const USUAL_COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_line_covers_the_one_before() {
        let mut screen = Screen::Terminal { drawn: 0 };
        assert_eq!(screen.end(), "");
        assert_eq!(screen.draw(|_| "abcd".into(), String::new()), "\rabcd");
        assert_eq!(screen.draw(|_| "é".into(), String::new()), "\ré   ");
        assert_eq!(screen.end(), "\n");
        assert_eq!(screen.draw(|_| "x".into(), String::new()), "\rx");
    }

    #[test]
    fn elsewhere_each_line_is_printed_once() {
        let mut screen = Screen::Lines { last: String::new() };
        let mut draw = |line: &str| screen.draw(|_| panic!("no bar"), line.into());
        assert_eq!([draw("a"), draw("a"), draw("b")], ["a\n", "", "b\n"]);
        assert_eq!(screen.end(), "");
    }
}
