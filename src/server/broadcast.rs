//! Sends to every connection of an endpoint.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;

use super::{hub::Hub, shared::Shared};
use crate::{
    Error,
    connection::{
        batch::{Batch, QueuePolicy},
        endpoint::PendingBytes,
    },
    shard::Work,
    websocket::frame,
};

impl Hub {
    /// Sends a text message to every connection of an endpoint; otherwise as [`Hub::publish`]. It is no document's, so it
    /// carries no offset, and who is away does not get it later. Over a Redis those of other processes get it, too, at most
    /// once, and are not counted.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Overloaded`]
    pub fn broadcast(&self, path: &str, message: &str) -> Result<usize, Error> {
        if self.shared.is_sealed() {
            return Err(Error::Closed);
        }
        #[cfg(feature = "redis")]
        if let Some(cluster) = &self.cluster {
            let frame = frame::text(message);
            let receivers = send(&self.shared, path, || frame.clone())?;
            cluster.rooms().publish(path, super::hub::EVERYBODY, &frame);
            return Ok(receivers);
        }
        send(&self.shared, path, || frame::text(message))
    }
}

/// Sends a frame to every connection of an endpoint in this process. Returns how many that are; where there are none, nothing
/// is encoded.
///
/// # Errors
///
/// [`Error::Overloaded`]
pub(super) fn send(shared: &Shared, path: &str, encode: impl FnOnce() -> Bytes) -> Result<usize, Error> {
    let Some(entry) = shared.endpoints.at(path) else { return Ok(0) };
    let receivers = entry.count();
    if receivers == 0 {
        return Ok(0);
    }
    if entry.pending.load(Ordering::Relaxed) > shared.config.max_pending_bytes {
        return Err(Error::Overloaded);
    }
    let batch = Arc::new(Batch::of(encode(), QueuePolicy::Reliable));
    let pending = PendingBytes::of(&entry, batch.bytes.len());
    for shard in &shared.shards {
        let (thread, batch, pending) = (Arc::clone(shard.thread()), Arc::clone(&batch), Arc::clone(&pending));
        let send = move || {
            thread.broadcast(pending.endpoint(), &batch);
            drop(pending);
        };
        shard.push(Work::Do("sending to an endpoint", Box::new(send)));
    }
    Ok(receivers)
}
