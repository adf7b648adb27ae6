//! Bytes of a package between their arrival and who wants them: in order, in parts, and
//! never more than two parts of them.

use std::collections::BTreeMap;

use super::MAX_PART;

/// The part of a package that is here.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// The first byte that is wanted.
    from: u64,
    /// Where that ends which has come without a gap.
    end: u64,
    /// Where the block ends that lies furthest on.
    furthest: u64,
    /// What ends at `end` and was not handed out.
    gathered: Vec<u8>,
    /// Blocks behind a gap, by where they begin.
    apart: BTreeMap<u64, Vec<u8>>,
}

impl Assembly {
    /// Nothing is here; bytes from `from` on are wanted, and `end`, at most `from`, is
    /// where the first block begins.
    pub(crate) fn new(from: u64, end: u64) -> Self {
        Self { from, end, furthest: end, gathered: Vec::new(), apart: BTreeMap::new() }
    }

    /// The first byte that is wanted.
    pub(crate) fn from(&self) -> u64 {
        self.from
    }

    /// Where that ends which has come without a gap.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Where the block ends that lies furthest on.
    pub(crate) fn furthest(&self) -> u64 {
        self.furthest
    }

    /// True if a block that begins there has come.
    pub(crate) fn holds(&self, offset: u64) -> bool {
        offset < self.end || self.apart.contains_key(&offset)
    }

    /// Forgets the blocks behind a gap.
    pub(crate) fn drop_apart(&mut self) {
        self.apart.clear();
        self.furthest = self.end;
    }

    /// Takes a block that begins at `offset`; one that is here already is passed over.
    pub(crate) fn put(&mut self, offset: u64, bytes: &[u8]) {
        self.furthest = self.furthest.max(offset + bytes.len() as u64);
        if offset > self.end {
            self.apart.insert(offset, bytes.to_vec());
            return;
        }
        if offset < self.end {
            return;
        }
        self.append(bytes);
        while let Some(entry) = self.apart.first_entry()
            && *entry.key() <= self.end
        {
            // A larger block than was asked for may have brought it already.
            let (offset, next) = entry.remove_entry();
            if offset == self.end {
                self.append(&next);
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let unwanted = usize::try_from(self.from.saturating_sub(self.end)).unwrap_or(usize::MAX);
        self.gathered.extend_from_slice(bytes.get(unwanted..).unwrap_or_default());
        self.end += bytes.len() as u64;
    }

    /// The end of the bytes that may be asked for, with so many parts to be held here.
    pub(crate) fn limit(&self, parts: u64) -> u64 {
        (self.end - self.gathered.len() as u64) + parts * MAX_PART as u64
    }

    /// The next part: a full one, or with `rest` what there is.
    pub(crate) fn take_part(&mut self, rest: Rest) -> Option<Vec<u8>> {
        let least = match rest {
            Rest::Stays => MAX_PART,
            Rest::Goes => 1,
        };
        (self.gathered.len() >= least)
            .then(|| self.gathered.drain(..self.gathered.len().min(MAX_PART)).collect())
    }
}

/// What becomes of bytes that fill no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They wait for more.
    Stays,
    /// Nothing follows them.
    Goes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_put_in_order_and_cut_where_the_wanted_bytes_begin() {
        for (from, end, blocks, expected) in [
            (0, 0, &[(0, "abcd"), (4, "ef")][..], "abcdef"),
            (0, 0, &[(8, "ij"), (4, "efgh"), (0, "abcd")], "abcdefghij"),
            (0, 0, &[(0, "abcd"), (0, "ABCD"), (4, "e")], "abcde"),
            (3, 0, &[(0, "abcd"), (4, "e")], "de"),
            (6, 4, &[(8, "i"), (4, "efgh")], "ghi"),
            (4, 0, &[(0, "abcd")], ""),
            (9, 8, &[(8, "i")], ""),
        ] {
            let mut assembly = Assembly::new(from, end);
            for (offset, bytes) in blocks {
                assembly.put(*offset, bytes.as_bytes());
            }
            assert_eq!(assembly.take_part(Rest::Stays), None);
            let whole = assembly.take_part(Rest::Goes).unwrap_or_default();
            assert_eq!(whole, expected.as_bytes(), "{from} {end} {blocks:?}");
        }
    }

    #[test]
    fn what_a_larger_block_brings_once_more_is_not_kept() {
        let mut assembly = Assembly::new(0, 0);
        for (offset, bytes) in [(4, "efgh"), (8, "ijkl"), (12, "mn"), (0, "ABCDEFGHIJ")] {
            assembly.put(offset, bytes.as_bytes());
        }
        assert_eq!((assembly.end(), assembly.apart.len()), (10, 1), "what lies behind is kept");
        assembly.put(10, b"KL");
        assert_eq!((assembly.end(), assembly.apart.len()), (14, 0));
        assert_eq!(assembly.take_part(Rest::Goes), Some(b"ABCDEFGHIJKLmn".to_vec()));
    }

    #[test]
    fn parts_are_full_until_the_last() {
        let mut assembly = Assembly::new(0, 0);
        assert_eq!(assembly.limit(2), 2 * MAX_PART as u64);
        for block in 0..33 {
            assembly.put(block * 1024, &[7; 1024]);
        }
        assert_eq!(assembly.take_part(Rest::Stays).map(|part| part.len()), Some(MAX_PART));
        assert_eq!(assembly.limit(1), 2 * MAX_PART as u64);
        assert_eq!(assembly.take_part(Rest::Stays).map(|part| part.len()), Some(MAX_PART));
        assert_eq!(assembly.take_part(Rest::Stays), None);
        assert_eq!(assembly.take_part(Rest::Goes).map(|part| part.len()), Some(1024));
        assert_eq!(assembly.take_part(Rest::Goes), None);
    }
}
