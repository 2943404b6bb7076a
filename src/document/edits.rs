//! What of a document is not saved.

use std::time::{Duration, Instant};

use crate::ids::Id;

/// Most editors that a save names.
const MAX_EDITORS: usize = 1000;

/// What of a document is not saved.
#[derive(Debug)]
pub(super) struct Edits {
    /// The version that the app has.
    pub(super) saved: u64,
    /// Whether what it has under that version is another document.
    pub(super) is_overruling: bool,
    /// When the first edit came that is not saved, and the last one.
    pub(super) times: Option<(Instant, Instant)>,
    /// By whom.
    pub(super) editors: Vec<String>,
    /// Whether somebody sees to it that it is saved.
    pub(super) has_saver: bool,
    /// They are an earlier process's.
    pub(super) from_before: bool,
}

impl Edits {
    pub(super) fn new(saved: u64) -> Self {
        Self {
            saved,
            is_overruling: false,
            times: None,
            editors: Vec::new(),
            has_saver: false,
            from_before: false,
        }
    }

    /// The document is another now.
    pub(super) fn touch(&mut self, now: Instant) {
        let first = self.times.map_or(now, |(first, _)| first);
        self.times = Some((first, now));
    }

    /// Somebody has edited the document.
    pub(super) fn edited(&mut self, editor: &str, now: Instant) {
        self.touch(now);
        if self.editors.len() < MAX_EDITORS && !self.editors.iter().any(|known| known == editor) {
            self.editors.push(editor.to_owned());
        }
    }

    /// When it is to be saved.
    pub(super) fn due(&self, after: Duration, within: Duration) -> Instant {
        self.times.map_or_else(Instant::now, |(first, last)| (first + within).min(last + after))
    }
}

/// A writer that was asked for the document at a version, because nobody else can make it out of its steps or updates.
#[derive(Debug)]
pub(super) struct AskedFor {
    pub(super) client: Id,
    /// At least this one.
    pub(super) version: u64,
    pub(super) at: Instant,
}
