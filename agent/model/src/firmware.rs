//! The words for the numbers of Firmware Update (Objects 7): for logs and for people.

/// State (`/5/0/3`) in a word, if there is such a State.
pub fn state_name(number: i64) -> Option<&'static str> {
    at(&STATES, number)
}

/// What an Update Result (`/5/0/5`) means, if there is such a one.
pub fn result_meaning(number: i64) -> Option<&'static str> {
    at(&RESULTS, number)
}

fn at(words: &[&'static str], number: i64) -> Option<&'static str> {
    words.get(usize::try_from(number).ok()?).copied()
}

const STATES: [&str; 4] = ["Idle", "Downloading", "Downloaded", "Updating"];

const RESULTS: [&str; 12] = [
    "no result yet",
    "updated",
    "not enough space for the package",
    "out of memory while the package came in",
    "connection lost while the package came in",
    "integrity check failed",
    "unsupported package",
    "invalid URI",
    "update failed",
    "URI scheme not supported",
    "cancelled",
    "deferred",
];
