//! What a room goes on with that opens: the batches of its document, as what was published before.

use std::sync::Arc;

use super::{live::Document, store::Kind};
use crate::{
    ids::{ClientSessionId, ConnectionId},
    room::{
        document_log::{Start, Stood},
        publication::{Author, Content, Publication, Steps},
    },
    sync::lock,
};

/// Batches that are given to a room that opens, at most, and bytes of them. The room's thread frames them at once.
const MAX_BATCHES: usize = 1000;
const MAX_BYTES: usize = 1 << 20;

/// No connection has this number: whoever sent what was loaded may be here over another one, or gone.
const ELSEWHERE: ConnectionId = ConnectionId::new(0);

impl Document {
    /// From where a room goes on that opens: what was sent before, as far as it is kept.
    pub(super) fn start(&self) -> Start {
        let state = lock(&self.state);
        let offsets = &state.offsets;
        let epoch = self.context.history(offsets.epoch);
        let last = state.last_offset();
        // What went by behind the last batch is in no history.
        let before = offsets.before();
        if before != last || last == 0 {
            return Start { epoch, before, history: Vec::new() };
        }
        let mut bytes = 0;
        let all = state.batches.since(state.batches.start()).into_iter().flatten();
        let mut history: Vec<_> = all
            .rev()
            .take(MAX_BATCHES)
            .take_while(|batch| {
                bytes += batch.bytes();
                batch.offset > 0 && bytes <= MAX_BYTES
            })
            .map(|batch| {
                let client_session = batch.client_session;
                let author =
                    client_session.map(|client_session| Author { connection: ELSEWHERE, client_session });
                let client = batch.client.clone();
                let content = match self.kind {
                    Kind::Steps => Content::Steps(Steps {
                        client,
                        user: None,
                        version: batch.before,
                        count: batch.count,
                        steps: Arc::clone(&batch.steps),
                        change_id: batch.change_id.as_deref().map(str::to_owned),
                    }),
                    Kind::Updates => Content::Update { client, user: None, update: batch.steps.to_string() },
                };
                let number = batch.number;
                let publication =
                    Publication { author, to: None, content, number, after: None, answer: None };
                Stood { publication, offset: batch.offset, age: 0 }
            })
            .collect();
        history.reverse();
        let before = history.first().map_or(before, |first| first.offset - 1);
        Start { epoch, before, history }
    }

    /// The number of the last message of a client session that is in the log; 0 where there is none.
    pub(super) fn last_number(&self, client_session: ClientSessionId) -> u64 {
        lock(&self.state).batches.last_number(client_session).unwrap_or(0)
    }
}
