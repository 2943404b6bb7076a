//! What of a document is not saved.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::hooks::HookError;
use crate::ids::Id;

/// Most editors that a save names.
const MAX_EDITORS: usize = 1000;

/// What of a document is not saved.
#[derive(Debug)]
pub(super) struct Edits {
    /// The version that the app has.
    pub(super) saved: u64,
    /// The version of the app's copy where that is another document, which is to be replaced.
    pub(super) overruled: Option<u64>,
    /// The version of a save of another process of which it is to be found out whether the app has made it.
    pub(super) unsure: Option<u64>,
    /// The same until this process has saved it: the app may make it late.
    pub(super) took_over: Option<u64>,
    /// When the first edit came that is not saved, and the last one.
    pub(super) times: Option<(Instant, Instant)>,
    /// By whom.
    pub(super) editors: Vec<String>,
    /// Whether somebody sees to it that it is saved.
    pub(super) has_saver: bool,
    /// They are an earlier process's.
    pub(super) from_before: bool,
    /// When the first edit came of what is being saved, while that is.
    pub(super) saving: Option<Instant>,
    /// Somebody wants it to be saved now.
    pub(super) is_urgent: bool,
    /// Who waits for a version to be saved.
    waiting: Vec<(u64, oneshot::Sender<Result<(), HookError>>)>,
}

impl Edits {
    pub(super) fn new(saved: u64) -> Self {
        Self {
            saved,
            overruled: None,
            unsure: None,
            took_over: None,
            times: None,
            editors: Vec::new(),
            has_saver: false,
            from_before: false,
            saving: None,
            is_urgent: false,
            waiting: Vec::new(),
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

    /// Since when something of it is not saved.
    pub(super) fn since(&self) -> Option<Instant> {
        self.saving.or(self.times.map(|(first, _)| first))
    }

    /// Has `version` saved now; what is returned is told how that went.
    pub(super) fn wait_for(&mut self, version: u64) -> oneshot::Receiver<Result<(), HookError>> {
        let (tell, told) = oneshot::channel();
        self.waiting.push((version, tell));
        self.is_urgent = true;
        told
    }

    /// Tells who waits for what is saved by now, or everybody that it could not be.
    pub(super) fn tell(&mut self, outcome: &Result<u64, HookError>) {
        let is_told = |(wanted, _): &mut (u64, _)| match outcome {
            Ok(version) => *wanted <= *version,
            Err(_) => true,
        };
        for (_, tell) in self.waiting.extract_if(.., is_told) {
            // Whoever has gone needs no answer.
            let _ = tell.send(outcome.clone().map(drop));
        }
    }

    /// When it is to be saved.
    pub(super) fn due(&self, after: Duration, within: Duration) -> Instant {
        if self.is_urgent {
            return Instant::now();
        }
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
