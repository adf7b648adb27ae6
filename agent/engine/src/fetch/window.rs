//! How many blocks are asked for at once.
//!
//! RFC 7252 4.7 keeps one exchange outstanding with a server unless there is congestion
//! control, and RFC 7959 2.4 has a block follow the answer to the one before. On a link of
//! 200 ms that is 5 KiB/s. So there is congestion control, that of TCP in small: begun at
//! one, one more a round while nothing is lost, half at each retransmission. Answers bring
//! what they were asked for, so that nothing comes that the window did not let out.

/// Requests that may be under way.
#[derive(Debug)]
pub(crate) struct Window {
    size: usize,
    most: usize,
    /// Answers since the size was what it is.
    answered: usize,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { size: 1, most: MAX_WINDOW, answered: 0 }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// An answer has come.
    pub(crate) fn answered(&mut self) {
        self.answered += 1;
        if self.answered >= self.size {
            self.set(self.size + 1);
        }
    }

    /// A request was sent again.
    pub(crate) fn retransmitted(&mut self) {
        self.set(self.size / 2);
    }

    /// The server gives blocks in their order only.
    pub(crate) fn in_order_only(&mut self) {
        self.most = 1;
        self.set(1);
    }

    fn set(&mut self, size: usize) {
        self.size = size.clamp(1, self.most);
        self.answered = 0;
    }
}

/// The largest window: 8 KiB, less than the initial window of a TCP connection (RFC 6928),
/// and what a server with little memory for requests still takes. 200 ms then carry 40 KiB/s.
pub(crate) const MAX_WINDOW: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_one_a_round_and_halves_at_each_loss() {
        let mut window = Window::new();
        let mut sizes = vec![window.size()];
        for _ in 0..40 {
            window.answered();
            sizes.push(window.size());
        }
        assert_eq!(sizes[..8], [1, 2, 2, 3, 3, 3, 4, 4]);
        assert_eq!(window.size(), MAX_WINDOW);
        for size in [4, 2, 1, 1] {
            window.retransmitted();
            assert_eq!(window.size(), size);
        }
        window.answered();
        window.answered();
        window.answered();
        window.in_order_only();
        window.answered();
        assert_eq!(window.size(), 1);
    }
}
