//! An object that takes its values chunk by chunk, and holds the engine to the order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use lwm2m_engine::{Call, CallOperation, CallReply, CallResult};
use lwm2m_model::{
    Code, DataType, ObjectDef, Operations, Path, Range, RequestError, ResourceDef, Version,
};

/// What the streaming object has stored, and how it behaves.
#[derive(Debug, Default)]
pub struct Packages {
    /// Values of which parts are still to come, and the server that sends them.
    pub parts: BTreeMap<Path, (Option<u16>, Vec<u8>)>,
    /// Values that came to their end, in order.
    pub taken: Vec<Vec<u8>>,
    /// Parts stored so far, those of values that broke off included.
    pub stored: usize,
    /// What each stream began with: the size that the server has said.
    pub announced: Vec<Option<u64>>,
    /// Resources at which a stream was told to end.
    pub ended: Vec<Path>,
    /// Bytes of the largest value; what is larger is refused with 4.13.
    pub limit: Option<u64>,
    /// Refuses the chunk that holds this byte, with this code.
    pub refuses_at: Option<(u64, Code)>,
}

impl Packages {
    /// Takes a call that stores a chunk or ends a stream; `None` for any other.
    pub(crate) fn answer(&mut self, call: &Call) -> Option<CallResult> {
        let (path, server) = (&call.path, call.server);
        match &call.operation {
            CallOperation::Stream { offset, chunk, last, size } => {
                Some(self.store(path, server, *offset, chunk, *last, *size))
            }
            CallOperation::StreamEnd => {
                self.parts.remove(path);
                self.ended.push(path.clone());
                Some(Ok(CallReply::Done))
            }
            _ => None,
        }
    }

    fn store(
        &mut self,
        path: &Path,
        server: Option<u16>,
        offset: u64,
        chunk: &[u8],
        last: bool,
        size: Option<u64>,
    ) -> CallResult {
        let known = self.parts.get(path);
        if offset == 0 {
            self.announced.push(size);
            let is_foreign = known.is_some_and(|(of, _)| *of != server);
            assert!(last || !is_foreign, "a stream of two servers");
            if is_foreign && chunk != [0] {
                return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, "another one sends"));
            }
            self.parts.insert(path.clone(), (server, Vec::new()));
        } else {
            let known = known.map(|(of, stored)| (*of, stored.len() as u64));
            assert_eq!(known, Some((server, offset)), "a chunk out of its order");
        }
        assert!(last || !chunk.is_empty(), "an empty chunk");
        let end = offset + chunk.len() as u64;
        let refusal = match (self.limit, self.refuses_at) {
            (Some(limit), _) if end.max(size.unwrap_or(0)) > limit => {
                Some(Code::REQUEST_ENTITY_TOO_LARGE)
            }
            (_, Some((at, code))) if (offset..end).contains(&at) => Some(code),
            _ => None,
        };
        if let Some(code) = refusal {
            self.parts.remove(path);
            return Err(RequestError::new(code, "the story wants it so"));
        }
        self.stored += 1;
        if let Some((_, stored)) = self.parts.get_mut(path) {
            stored.extend_from_slice(chunk);
        }
        if last && let Some((_, value)) = self.parts.remove(path) {
            self.taken.push(value);
        }
        Ok(CallReply::Done)
    }
}

/// The resources that [`PACKAGE`] says it streams; the last cannot.
pub(crate) const STREAMS: [u16; 3] = [0, 2, 3];

/// An object of a vendor with values too large for memory: resource 0 streams, 1 does
/// not, 2 streams and has 40 to 100 bytes, and 3 holds no bytes.
pub static PACKAGE: LazyLock<ObjectDef> = LazyLock::new(|| {
    let resource = |id, data_type, range| ResourceDef {
        id,
        name: Cow::Borrowed("of a story"),
        operations: Operations::W,
        multiple: false,
        mandatory: false,
        data_type,
        range,
        unit: Cow::Borrowed(""),
    };
    ObjectDef {
        id: 33102,
        name: Cow::Borrowed("Package"),
        version: Version::V1_0,
        multiple: true,
        mandatory: false,
        resources: Cow::Owned(vec![
            resource(0, DataType::Opaque, Range::Any),
            resource(1, DataType::Opaque, Range::Any),
            resource(2, DataType::Opaque, Range::Length { min: 40, max: 100 }),
            resource(3, DataType::String, Range::Any),
        ]),
    }
});
