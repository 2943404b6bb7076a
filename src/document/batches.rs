//! The batches of a document since its snapshot, for who reads.

use std::{collections::VecDeque, sync::Arc};

use super::{steps, store::Entry};
use crate::ids::{ClientSessionId, Id};

/// Steps that one client sent at once, with their place in the document's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The version before its first step.
    pub before: u64,
    /// How many steps it has; at least one.
    pub count: u32,
    /// Whose steps they are.
    pub client: Id,
    /// The client's own number of it.
    pub number: Option<u64>,
    /// Which change of an agent it is, as the agent named it.
    pub change_id: Option<Arc<str>>,
    /// A JSON array, as the text it came in; of a document of updates one of them.
    pub steps: Arc<str>,
    /// Its place among all that the members are sent; 0 where an earlier version of the hub has not noted it.
    pub offset: u64,
    /// The client session it is by; `None` for a route handler's, and where that was not noted.
    pub client_session: Option<ClientSessionId>,
}

impl From<Entry> for Batch {
    fn from(entry: Entry) -> Self {
        Self {
            before: entry.before,
            count: entry.count,
            client: entry.client,
            number: entry.number,
            change_id: entry.change_id.map(Arc::from),
            steps: entry.body.into(),
            offset: entry.offset,
            client_session: entry.client_session,
        }
    }
}

impl Batch {
    /// The version behind its last step.
    pub fn after(&self) -> u64 {
        self.before + u64::from(self.count)
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.steps.len() + self.change_id.as_ref().map_or(0, |change_id| change_id.len())
    }
}

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most batches.
    pub batches: usize,
    /// Most bytes.
    pub bytes: usize,
}

/// The batches that were delivered, in their order and without a gap, from some version up to the document's.
///
/// Nothing falls out by itself: what stands behind no snapshot exists nowhere else.
#[derive(Debug, Clone)]
pub struct Batches {
    kept: VecDeque<Batch>,
    /// The version behind the last one.
    version: u64,
    bytes: usize,
}

impl Batches {
    /// None yet, of a document at `version`.
    pub fn new(version: u64) -> Self {
        Self { kept: VecDeque::new(), version, bytes: 0 }
    }

    /// Appends a batch.
    ///
    /// # Panics
    ///
    /// Where it does not begin at [`version`](Self::version): over a gap every reader would have another document.
    pub fn push(&mut self, batch: Batch) {
        assert_eq!(batch.before, self.version, "batches follow each other");
        self.version = batch.after();
        self.bytes += batch.bytes();
        self.kept.push_back(batch);
    }

    /// Forgets the batches up to version `up_to`, which must be behind a snapshot. One that goes beyond it stays whole.
    pub fn trim(&mut self, up_to: u64) {
        let forgotten = self.kept.partition_point(|batch| batch.after() <= up_to);
        self.bytes -= self.kept.drain(..forgotten).map(|batch| batch.bytes()).sum::<usize>();
    }

    /// The batches behind `version`, of which the first may begin before it. `None` where they are not all here, or no such
    /// version is.
    pub fn since(&self, version: u64) -> Option<impl DoubleEndedIterator<Item = &Batch>> {
        (self.start()..=self.version).contains(&version).then(|| {
            let first = self.kept.partition_point(|batch| batch.after() <= version);
            self.kept.range(first..)
        })
    }

    /// The same as two JSON arrays of equal length: the steps behind `version`, and whose each is. They begin at `version`
    /// exactly; only the first batch is read through, and only where `version` is inside it.
    pub fn steps_since(&self, version: u64) -> Option<StepsSince<'_>> {
        let mut since = StepsSince { steps: vec!["["], client_ids: vec!["["] };
        for batch in self.since(version)? {
            // Less than the batch has.
            let passed = u32::try_from(version.saturating_sub(batch.before)).unwrap_or(batch.count);
            for _ in passed..batch.count {
                since.client_ids.extend([batch.client.json(), ","]);
            }
            since.steps.extend([steps::elements(&batch.steps, passed), ","]);
        }
        since.close();
        Some(since)
    }

    /// Whether the batch at `version` is this client's with this number: then one that comes is the same, sent again.
    pub fn is_duplicate(&self, version: u64, client: &Id, number: u64) -> bool {
        let at = self.kept.partition_point(|batch| batch.before < version);
        self.kept.get(at).is_some_and(|batch| {
            batch.before == version && batch.client == *client && batch.number == Some(number)
        })
    }

    /// The highest number of those that are by a client session.
    pub fn last_number(&self, client_session: ClientSessionId) -> Option<u64> {
        let its = self.kept.iter().filter(|batch| batch.client_session == Some(client_session));
        its.filter_map(|batch| batch.number).max()
    }

    /// The last one.
    pub fn last(&self) -> Option<&Batch> {
        self.kept.back()
    }

    /// Whether a version stands between two of them, or at an end.
    pub fn is_between(&self, version: u64) -> bool {
        let at = self.kept.partition_point(|batch| batch.before < version);
        version == self.version || self.kept.get(at).is_some_and(|batch| batch.before == version)
    }

    /// The version behind the last one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The oldest version from which on they can be read.
    pub fn start(&self) -> u64 {
        self.kept.front().map_or(self.version, |first| first.before)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Steps and whose they are, as the pieces of two JSON arrays.
#[derive(Debug)]
pub struct StepsSince<'a> {
    /// The array of the steps.
    pub steps: Vec<&'a str>,
    /// The array of their clients' ids, one a step.
    pub client_ids: Vec<&'a str>,
}

impl StepsSince<'_> {
    /// Puts the closing brackets where the last commas are.
    fn close(&mut self) {
        for array in [&mut self.steps, &mut self.client_ids] {
            array.pop_if(|last| *last == ",");
            array.push("]");
        }
    }
}

#[cfg(test)]
mod tests;
