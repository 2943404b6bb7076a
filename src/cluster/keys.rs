//! How things are called in Redis.

use super::slots::slot_of;
use crate::ids::{ClientSessionId, Id};

/// The keys of one document, all in one slot of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// What all begin with.
    base: String,
    /// That of all of them.
    pub(super) slot: u16,
    /// Epoch, last offset and its nonce, run of the server, bytes of the stream, and when it was said last how long all stays.
    pub(super) meta: String,
    /// The entries.
    pub(super) stream: String,
    /// What this process did last.
    pub(super) attempt: String,
    /// Of a document with an authority: its snapshot, and how much of it is saved.
    pub(super) kept: String,
    /// The process that looks after it.
    pub(super) lease: String,
    /// What was set aside of it.
    pub(super) aside: String,
    /// Where it is told what was appended. No key, but called like one.
    pub(super) channel: String,
}

impl Keys {
    /// Those of a document.
    pub(super) fn of(prefix: &str, document: &Id, process: &str) -> Self {
        // What stands between the first braces names the slot.
        let tag = document.text().replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
        let base = format!("{prefix}{{{tag}}}:");
        let key = |what: &str| format!("{base}{what}");
        Self {
            meta: key("meta"),
            stream: key("log"),
            attempt: key(&format!("did:{process}")),
            kept: key("kept"),
            lease: key("lease"),
            aside: key("aside"),
            channel: key("said"),
            slot: slot_of(&base),
            base,
        }
    }

    /// The number of the last message of a client session that was applied.
    pub(super) fn client_session(&self, client_session: ClientSessionId) -> String {
        format!("{}session:{:016x}", self.base, client_session.number())
    }
}

#[cfg(test)]
mod tests {
    use super::{Id, Keys};

    #[test]
    fn no_two_documents_share_a_key_and_each_has_one_tag() {
        let keys = |document: &str| Keys::of("hub:", &Id::new(document).unwrap(), "p");
        assert_eq!(keys("doc").meta, "hub:{doc}:meta");
        let documents = ["}", "{", "%7D", "a}:meta", "a", "{a}", ":meta"];
        let mut all: Vec<_> =
            documents.iter().flat_map(|each| [keys(each).meta, keys(each).stream]).collect();
        assert!(all.iter().all(|key| key.matches('{').count() == 1 && key.matches('}').count() == 1));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2 * documents.len());
    }
}
