//! Lines of a stream, each of bounded length.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The lines that come.
pub(crate) struct Lines<S> {
    stream: BufReader<S>,
    limit: usize,
    line: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Growing,
    /// It grew beyond the limit: the rest is dropped.
    Dropping,
    /// It was given away; the next begins.
    Given,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Line<'a> {
    /// A line without its end.
    Text(&'a [u8]),
    /// One beyond the limit, of which nothing is kept.
    TooLong,
    /// No more lines; what is no whole line counts for nothing.
    End,
}

impl<S: AsyncRead + Unpin> Lines<S> {
    /// Lines of `limit` bytes at most.
    pub(crate) fn new(stream: S, limit: usize) -> Self {
        Self { stream: BufReader::new(stream), limit, line: Vec::new(), state: State::Growing }
    }

    /// Waits for the next line. Cancel safe.
    ///
    /// # Errors
    /// Those of the stream.
    pub(crate) async fn next(&mut self) -> io::Result<Line<'_>> {
        if let State::Given = self.state {
            self.line.clear();
            self.state = State::Growing;
        }
        loop {
            let read = self.stream.fill_buf().await?;
            if read.is_empty() {
                return Ok(Line::End);
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = &read[..end.unwrap_or(read.len())];
            if self.line.len() + part.len() > self.limit {
                self.state = State::Dropping;
                self.line = Vec::new();
            }
            if let State::Growing = self.state {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.stream.consume(taken);
            if end.is_some() {
                let is_whole = matches!(self.state, State::Growing);
                self.state = State::Given;
                let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
                return Ok(if is_whole { Line::Text(line) } else { Line::TooLong });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_dropped_whole_and_the_next_counts() {
        let text = format!("one\r\n{}\n\n{}\ntwo\nhalf", "x".repeat(20_000), "y".repeat(11));
        let mut lines = Lines::new(text.as_bytes(), 10);
        assert_eq!(lines.next().await.unwrap(), Line::Text(b"one"));
        assert_eq!(lines.next().await.unwrap(), Line::TooLong);
        assert_eq!(lines.next().await.unwrap(), Line::Text(b""));
        assert_eq!(lines.next().await.unwrap(), Line::TooLong);
        assert_eq!(lines.next().await.unwrap(), Line::Text(b"two"));
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }
}
