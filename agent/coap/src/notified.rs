//! Message ids of notifications, so that a RST finds its observation (RFC 7641 3.6).

use std::collections::VecDeque;

use crate::Token;

/// The last message ids of each observation, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Notified {
    sent: VecDeque<(u16, Token)>,
}

impl Notified {
    /// Remembers a message; one that is repeated counts once.
    pub(crate) fn remember(&mut self, id: u16, token: Token) {
        if self.find(id) == Some(token) {
            return;
        }
        // A busy observation replaces its own ids, not those of the quiet ones.
        let mut own = self.sent.iter().enumerate().filter(|(_, (_, of))| *of == token);
        let oldest = own.next().map(|(at, _)| at);
        if let Some(at) = oldest
            && own.count() + 1 >= MAX_IDS_PER_TOKEN
        {
            self.sent.remove(at);
        } else if self.sent.len() >= MAX_IDS {
            self.sent.pop_front();
        }
        self.sent.push_back((id, token));
    }

    /// The observation that a message id belongs to.
    pub(crate) fn find(&self, id: u16) -> Option<Token> {
        self.sent.iter().rev().find(|(sent, _)| *sent == id).map(|(_, token)| *token)
    }

    pub(crate) fn forget(&mut self, token: Token) {
        self.sent.retain(|(_, of)| *of != token);
    }

    pub(crate) fn clear(&mut self) {
        self.sent.clear();
    }
}

/// Message ids remembered for one observation.
const MAX_IDS_PER_TOKEN: usize = 4;

/// Message ids remembered for all observations.
const MAX_IDS: usize = 128;
