//! Frames for the members of a room, one behind the other, as they will be written.

use bytes::{Bytes, BytesMut};

use crate::{
    ids::{ClientSessionId, ConnectionId, Id, Topic},
    metrics::{Counter, ThreadCounters, labels::EndpointKind},
};

/// What becomes of a frame that has to wait for a slow member.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueuePolicy {
    /// It is never dropped.
    #[default]
    Reliable,
    /// Only the newest of each sender and topic waits.
    Latest(Topic),
}

impl Topic {
    /// Awareness and selection say what is true now: of a member that reads slowly only the newest is worth keeping.
    pub fn policy(self) -> QueuePolicy {
        match self {
            Self::Update | Self::Steps => QueuePolicy::Reliable,
            Self::Awareness | Self::Selection | Self::Presence => QueuePolicy::Latest(self),
        }
    }
}

/// What a frame is, beside its bytes.
#[derive(Debug, Default, Clone)]
pub struct FrameMeta {
    /// The connection it came from, which does not get it; `None` for a route handler's.
    pub from: Option<ConnectionId>,
    /// The client session of that connection, which does not get it when it comes back.
    pub client_session: Option<ClientSessionId>,
    /// The only client that gets it; `None` for all.
    pub to: Option<Id>,
    /// What becomes of it where it has to wait.
    pub policy: QueuePolicy,
    /// Its place in the document's history; `None` for what is none.
    pub offset: Option<u64>,
}

/// One frame of a batch.
#[derive(Debug, Clone)]
pub struct BatchFrame {
    /// Where its bytes end; they begin where those of the frame before end.
    pub end: usize,
    /// What it is.
    pub meta: FrameMeta,
}

impl BatchFrame {
    /// Whether a member gets it.
    pub fn is_for(&self, connection: ConnectionId, client: &Id) -> bool {
        self.meta.from != Some(connection) && self.meta.to.as_ref().is_none_or(|to| to == client)
    }
}

/// Frames that are being gathered.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    bytes: BytesMut,
    frames: Vec<BatchFrame>,
    history_bytes: usize,
}

/// Memory for the first frames. What is remembered keeps it in use, so a room takes some again and again: `BytesMut` then
/// takes at least as much as it was made with.
const CHUNK_BYTES: usize = 2 << 10;

impl BatchBuilder {
    /// Appends the frame that `encode` writes.
    pub fn push(&mut self, meta: FrameMeta, encode: impl FnOnce(&mut BytesMut)) {
        if self.bytes.capacity() == 0 {
            self.bytes = BytesMut::with_capacity(CHUNK_BYTES);
        }
        let start = self.cut();
        encode(&mut self.bytes);
        if meta.offset.is_some() {
            self.history_bytes += self.bytes.len() - start;
        }
        self.frames.push(BatchFrame { end: self.bytes.len(), meta });
    }

    /// Cuts off what a panic has left of a frame; returns where the last one ends.
    fn cut(&mut self) -> usize {
        let end = self.frames.last().map_or(0, |frame| frame.end);
        self.bytes.truncate(end);
        end
    }

    /// The frame that was appended last.
    pub fn last(&self) -> &[u8] {
        let start = self.frames.iter().nth_back(1).map_or(0, |frame| frame.end);
        &self.bytes[start..]
    }

    /// Bytes gathered.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The batch to send; the next frames are gathered anew.
    pub fn take(&mut self) -> Batch {
        self.cut();
        let frames = std::mem::take(&mut self.frames);
        let senders = Senders::of(&frames);
        let history_bytes = std::mem::take(&mut self.history_bytes);
        let left_out = LeftOut::default();
        Batch { bytes: self.bytes.split().freeze(), history_bytes, frames, senders, left_out }
    }
}

/// Frames on their way to the members of a room. Encoded once; every member's queue shares the bytes.
#[derive(Debug)]
pub struct Batch {
    /// All frames.
    pub bytes: Bytes,
    /// What they are.
    pub frames: Vec<BatchFrame>,
    /// How many of the bytes are of frames with an offset.
    pub history_bytes: usize,
    senders: Senders,
    left_out: LeftOut,
}

/// Who may not get all frames of a batch.
#[derive(Debug)]
struct Senders {
    /// Whether `one` says it all. Nearly always it is so: it takes no memory, and to look for a member, as is done for each,
    /// takes one comparison.
    is_plain: bool,
    /// The first connection that has sent any of them, or [`NOBODY`].
    one: ConnectionId,
    /// All of them, sorted, where there are several.
    several: Vec<ConnectionId>,
    /// Some frames are for one client only.
    is_restricted: bool,
}

impl Senders {
    const NONE: Self = Self { is_plain: true, one: NOBODY, several: Vec::new(), is_restricted: false };

    fn of(frames: &[BatchFrame]) -> Self {
        let is_restricted = frames.iter().any(|frame| frame.meta.to.is_some());
        let senders = || frames.iter().filter_map(|frame| frame.meta.from);
        let Some(one) = senders().next() else {
            return Self { is_plain: !is_restricted, is_restricted, ..Self::NONE };
        };
        let mut several = Vec::new();
        if senders().any(|sender| sender != one) {
            several.extend(senders());
            several.sort_unstable();
            several.dedup();
        }
        Self { is_plain: !is_restricted && several.is_empty(), one, several, is_restricted }
    }

    /// Whether a connection gets all frames.
    fn spare(&self, connection: ConnectionId) -> bool {
        if self.is_plain { self.one != connection } else { self.spare_among_several(connection) }
    }

    #[cold]
    fn spare_among_several(&self, connection: ConnectionId) -> bool {
        !self.is_restricted && self.one != connection && self.several.binary_search(&connection).is_err()
    }
}

/// No connection has this number.
const NOBODY: ConnectionId = ConnectionId::new(0);

impl Batch {
    /// A batch of one frame for everybody.
    pub fn of(frame: Bytes, policy: QueuePolicy) -> Self {
        let frames =
            vec![BatchFrame { end: frame.len(), meta: FrameMeta { policy, ..FrameMeta::default() } }];
        let (senders, left_out) = (Senders::NONE, LeftOut::default());
        Self { bytes: frame, history_bytes: 0, frames, senders, left_out }
    }

    /// Whether a connection gets every frame, and so all bytes as they are.
    pub fn is_whole_for(&self, connection: ConnectionId) -> bool {
        self.senders.spare(connection)
    }

    /// The offset of the last publication in it.
    pub fn last_offset(&self) -> Option<u64> {
        self.frames.iter().rev().find_map(|frame| frame.meta.offset)
    }

    /// The frames with the ranges of their bytes.
    pub fn ranges(&self) -> impl Iterator<Item = (std::ops::Range<usize>, &BatchFrame)> {
        let mut start = 0;
        self.frames.iter().map(move |frame| (std::mem::replace(&mut start, frame.end)..frame.end, frame))
    }
}

/// What of a batch did not go to connections that it was sent to; all the rest did.
///
/// Here and not with whoever sends it: most members get the whole, and what is done for each of them stays as short as if
/// nobody counted. Where several threads send one batch, what one notes may be lost to another.
#[derive(Debug, Default)]
struct LeftOut {
    frames: Counter,
    bytes: Counter,
}

impl Batch {
    /// A connection got only this much of it.
    pub(crate) fn sent_part(&self, frames: usize, bytes: usize) {
        self.left_out.frames.add((self.frames.len() - frames) as u64);
        self.left_out.bytes.add((self.bytes.len() - bytes) as u64);
    }

    /// Counts it, once it was sent to so many connections.
    #[inline]
    pub(crate) fn count(&self, connections: usize, kind: EndpointKind, counters: &ThreadCounters) {
        let (all, frames) = (connections as u64, self.frames.len());
        let messages = (all * frames as u64).saturating_sub(self.left_out.frames.get());
        let bytes = (all * self.bytes.len() as u64).saturating_sub(self.left_out.bytes.get());
        counters.delivered(kind, frames, messages, bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use bytes::BufMut;

    use super::{BatchBuilder, FrameMeta};
    use crate::ids::ConnectionId;

    #[test]
    fn a_batch_is_whole_for_whoever_has_sent_nothing_of_it() {
        let mut gathering = BatchBuilder::default();
        for from in [None, Some(5), Some(3), Some(5), Some(9), Some(3)] {
            let meta = FrameMeta { from: from.map(ConnectionId::new), ..FrameMeta::default() };
            gathering.push(meta, |out| out.put_slice(b"frame"));
        }
        let batch = gathering.take();
        let whole = (1..=10).filter(|number| batch.is_whole_for(ConnectionId::new(*number)));
        assert_eq!(whole.collect::<Vec<_>>(), [1, 2, 4, 6, 7, 8, 10]);
        assert!(BatchBuilder::default().take().is_whole_for(ConnectionId::new(1)));
    }

    #[test]
    fn a_panic_in_an_encoder_leaves_nothing_to_the_frames_around_it() {
        let mut gathering = BatchBuilder::default();
        gathering.push(FrameMeta::default(), |out| out.put_slice(b"before"));
        let panic_in = |gathering: &mut BatchBuilder| {
            let encode = |out: &mut bytes::BytesMut| {
                out.put_slice(b"half a fra");
                panic!("meant for the log: panic in an encoder");
            };
            catch_unwind(AssertUnwindSafe(|| gathering.push(FrameMeta::default(), encode))).unwrap_err();
        };
        panic_in(&mut gathering);
        gathering.push(FrameMeta::default(), |out| out.put_slice(b"after"));
        assert_eq!(gathering.last(), b"after");
        panic_in(&mut gathering);
        let batch = gathering.take();
        assert_eq!(&batch.bytes[..], b"beforeafter");
        let frames: Vec<_> = batch.ranges().map(|(range, _)| &batch.bytes[range]).collect();
        assert_eq!(frames, [&b"before"[..], b"after"]);
    }
}
