//! Tells who has published something for a route handler how many connections of this process got it, and hears it from the
//! others.

use std::sync::Arc;

use tokio::time::sleep;

use super::{
    document::Document,
    shared::Shared,
    slots::slot_of,
    tallies::{PATIENCE, Tell},
    wire::Push,
};
use crate::sync::lock;

/// What a route handler has published goes out to so many members of this process.
pub(super) fn delivered(shared: &Arc<Shared>, document: &Document, offset: u64, connections: usize) {
    let channel = &document.keys.channel;
    if let Some(process) = document.take_asked(offset) {
        return tell(shared, process, channel, offset, connections);
    }
    // It is this process's own.
    let told = lock(&shared.tallies).count(&(channel.clone(), offset), shared.process, connections);
    told.tell();
}

/// Tells another process.
pub(super) fn tell(shared: &Arc<Shared>, process: u64, channel: &str, offset: u64, connections: usize) {
    let to = shared.tally_channel(process);
    let Some(link) = shared.link_now(slot_of(&to)) else { return };
    let message = format!("{:016x} {offset} {connections} {channel}", shared.process);
    shared.handle.spawn(async move {
        // Where that is lost, who waits for it is told what the others have said.
        let _ = link.call(link.publish(&to).arg(message)).await;
    });
}

/// Nobody is here any more of whom what was pushed could be counted.
pub(super) fn nobody(shared: &Arc<Shared>, channel: &str, push: &Push) {
    for offset in push.messages() {
        if push.process == shared.process {
            let told = lock(&shared.tallies).count(&(channel.to_owned(), offset), shared.process, 0);
            told.tell();
        } else {
            tell(shared, push.process, channel, offset, 0);
        }
    }
}

/// Another process has said how many it were there.
pub(super) fn hear(shared: &Shared, message: &[u8]) {
    let parsed = || {
        let mut words = std::str::from_utf8(message).ok()?.splitn(4, ' ');
        let process = u64::from_str_radix(words.next()?, 16).ok()?;
        let (offset, connections) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some((process, offset, connections, words.next()?.to_owned()))
    };
    let Some((process, offset, connections, channel)) = parsed() else {
        return log::debug!("how many connections of another process got something cannot be read");
    };
    let told = lock(&shared.tallies).count(&(channel, offset), process, connections);
    told.tell();
}

/// Calls `tell` with how many connections of all processes got what stands at an offset: once all have said so, or after a
/// second with what is known.
pub(super) fn when_known(shared: &Arc<Shared>, channel: String, offset: u64, tell: Tell) {
    let key = (channel, offset);
    let told = lock(&shared.tallies).ask(&key, tell);
    told.tell();
    let of_task = Arc::clone(shared);
    shared.handle.spawn(async move {
        sleep(PATIENCE).await;
        let told = lock(&of_task.tallies).give_up(&key);
        told.tell();
    });
}
