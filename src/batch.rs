//! Frames for the members of a room, one behind the other, as they will be written.

use bytes::{Bytes, BytesMut};

use crate::{
    connection::ConnectionId,
    lineage::LineageId,
    protocol::{Id, Topic},
};

/// What becomes of a frame that has to wait for a slow member.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// It is never dropped.
    #[default]
    Every,
    /// Only the newest of each sender and topic waits.
    Newest(Topic),
}

/// What a frame is, beside its bytes.
#[derive(Debug, Default, Clone)]
pub struct Head {
    /// The connection it came from, which does not get it; `None` for a route handler's.
    pub from: Option<ConnectionId>,
    /// The lineage of that connection, which does not get it when it comes back.
    pub lineage: Option<LineageId>,
    /// The only client that gets it; `None` for all.
    pub to: Option<Id>,
    /// What becomes of it where it has to wait.
    pub keep: Keep,
    /// Its place in the document's history; `None` for what is none.
    pub offset: Option<u64>,
}

/// One frame of a batch.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where its bytes end; they begin where those of the part before end.
    pub end: usize,
    /// What it is.
    pub head: Head,
}

impl Part {
    /// Whether a member gets it.
    pub fn is_for(&self, connection: ConnectionId, client: &Id) -> bool {
        self.head.from != Some(connection) && self.head.to.as_ref().is_none_or(|to| to == client)
    }
}

/// Frames that are being gathered.
#[derive(Debug, Default)]
pub struct Gathering {
    bytes: BytesMut,
    parts: Vec<Part>,
    numbered: usize,
}

/// Memory for the first frames. What is remembered keeps it in use, so a room takes some again and again: `BytesMut` then
/// takes at least as much as it was made with.
const CHUNK_BYTES: usize = 2 << 10;

impl Gathering {
    /// Appends the frame that `encode` writes.
    pub fn push(&mut self, head: Head, encode: impl FnOnce(&mut BytesMut)) {
        if self.bytes.capacity() == 0 {
            self.bytes = BytesMut::with_capacity(CHUNK_BYTES);
        }
        let start = self.cut();
        encode(&mut self.bytes);
        if head.offset.is_some() {
            self.numbered += self.bytes.len() - start;
        }
        self.parts.push(Part { end: self.bytes.len(), head });
    }

    /// Cuts off what a panic has left of a frame; answers where the last one ends.
    fn cut(&mut self) -> usize {
        let end = self.parts.last().map_or(0, |part| part.end);
        self.bytes.truncate(end);
        end
    }

    /// The frame that was appended last.
    pub fn last(&self) -> &[u8] {
        let start = self.parts.iter().nth_back(1).map_or(0, |part| part.end);
        &self.bytes[start..]
    }

    /// Bytes gathered.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The batch to send; the next frames are gathered anew.
    pub fn take(&mut self) -> Batch {
        self.cut();
        let parts = std::mem::take(&mut self.parts);
        let restricted = parts.iter().any(|part| part.head.to.is_some());
        let mut senders: Vec<ConnectionId> = parts.iter().filter_map(|part| part.head.from).collect();
        senders.sort_unstable();
        senders.dedup();
        let numbered = std::mem::take(&mut self.numbered);
        Batch { bytes: self.bytes.split().freeze(), numbered, parts, senders, restricted }
    }
}

/// Frames on their way to the members of a room. Encoded once; every member's queue shares the bytes.
#[derive(Debug)]
pub struct Batch {
    /// All frames.
    pub bytes: Bytes,
    /// What they are.
    pub parts: Vec<Part>,
    /// How many of the bytes are of frames with an offset.
    pub numbered: usize,
    /// The connections that sent any of them, sorted.
    senders: Vec<ConnectionId>,
    /// Whether any of them is for one client only.
    restricted: bool,
}

impl Batch {
    /// A batch of one frame for everybody.
    pub fn of(frame: Bytes, keep: Keep) -> Self {
        let parts = vec![Part { end: frame.len(), head: Head { keep, ..Head::default() } }];
        Self { bytes: frame, numbered: 0, parts, senders: Vec::new(), restricted: false }
    }

    /// Whether a connection gets every frame, and so all bytes as they are.
    pub fn is_whole_for(&self, connection: ConnectionId) -> bool {
        !self.restricted && (self.senders.is_empty() || self.senders.binary_search(&connection).is_err())
    }

    /// The offset of the last publication in it.
    pub fn last_offset(&self) -> Option<u64> {
        self.parts.iter().rev().find_map(|part| part.head.offset)
    }

    /// The parts with the ranges of their bytes.
    pub fn ranges(&self) -> impl Iterator<Item = (std::ops::Range<usize>, &Part)> {
        let mut start = 0;
        self.parts.iter().map(move |part| (std::mem::replace(&mut start, part.end)..part.end, part))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use bytes::BufMut;

    use super::{Gathering, Head};

    #[test]
    fn a_panic_in_an_encoder_leaves_nothing_to_the_frames_around_it() {
        let mut gathering = Gathering::default();
        gathering.push(Head::default(), |out| out.put_slice(b"before"));
        let panic_in = |gathering: &mut Gathering| {
            let encode = |out: &mut bytes::BytesMut| {
                out.put_slice(b"half a fra");
                panic!("meant for the log: panic in an encoder");
            };
            catch_unwind(AssertUnwindSafe(|| gathering.push(Head::default(), encode))).unwrap_err();
        };
        panic_in(&mut gathering);
        gathering.push(Head::default(), |out| out.put_slice(b"after"));
        assert_eq!(gathering.last(), b"after");
        panic_in(&mut gathering);
        let batch = gathering.take();
        assert_eq!(&batch.bytes[..], b"beforeafter");
        let frames: Vec<_> = batch.ranges().map(|(range, _)| &batch.bytes[range]).collect();
        assert_eq!(frames, [&b"before"[..], b"after"]);
    }
}
