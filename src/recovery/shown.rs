//! What a client shows of itself.

use crate::ids::Topic;

/// The newest frames of what one client shows of itself; empty where it shows none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Cursors, names and colours.
    pub awareness: Vec<u8>,
    /// A selection.
    pub selection: Vec<u8>,
    /// What a client of a document with an authority shows.
    pub presence: Vec<u8>,
}

impl Shown {
    /// The frames, in the order in which who joins is sent them.
    pub fn frames(&self) -> [&[u8]; 3] {
        [&self.awareness, &self.selection, &self.presence]
    }

    /// Where the newest frame of a topic is kept; `None` for one that shows nothing.
    pub fn of(&mut self, topic: Topic) -> Option<&mut Vec<u8>> {
        match topic {
            Topic::Awareness => Some(&mut self.awareness),
            Topic::Selection => Some(&mut self.selection),
            Topic::Presence => Some(&mut self.presence),
            Topic::Update | Topic::Steps => None,
        }
    }

    /// Bytes of the frames.
    pub fn bytes(&self) -> usize {
        self.frames().iter().map(|frame| frame.len()).sum()
    }

    /// Whether it shows nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }
}
