//! What belongs to a slot that goes to another server of a cluster.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep};

use super::{calls, document::Document, reading, shared::Shared, slots::slot_of, soft::Record, telling};
use crate::room::document_log::News;

/// How long one who tries again waits.
const PAUSE: Duration = Duration::from_millis(50);

/// Subscribes to a document where it is now, and brings it up to where its log stands: something may have been said between.
pub(super) fn follow(shared: &Arc<Shared>, document: &Arc<Document>) {
    let (shared, document) = (Arc::clone(shared), Arc::clone(document));
    shared.strayed.notify_one();
    shared.handle.clone().spawn(async move {
        let (slot, channel) = (document.keys.slot, document.keys.channel.clone());
        let is_open = || shared.of_channel(&channel).is_some_and(|found| Arc::ptr_eq(&found, &document));
        while is_open() {
            if let Some(link) = shared.link(slot, Instant::now() + shared.config.wait).await
                && link.subscribe(std::slice::from_ref(&channel), |_| is_open()).await.is_ok()
                && reading::catch_up(&shared, &link, &document).await
                && shared.link_now(slot).is_some_and(|now| Arc::ptr_eq(&now, &link))
            {
                // What others show may have been said between, too.
                document.tell_if_open(News::Asked);
                return telling::tell(&shared, &document, Record::Ask);
            }
            sleep(PAUSE).await;
        }
    });
}

/// The same with a channel of all processes.
pub(super) fn follow_all(shared: &Arc<Shared>, channel: &str) {
    follow_channel(shared, channel, |_, _| true);
}

/// The same with the channel of a handler's room, of which nobody remembers what was said between.
pub(super) fn follow_room(shared: &Arc<Shared>, channel: &str) {
    follow_channel(shared, channel, |shared, channel| shared.rooms.is_open(channel));
}

fn follow_channel(shared: &Arc<Shared>, channel: &str, is_wanted: fn(&Shared, &str) -> bool) {
    let (shared, channel) = (Arc::clone(shared), channel.to_owned());
    shared.strayed.notify_one();
    shared.handle.clone().spawn(async move {
        let slot = slot_of(&channel);
        let is_wanted = |channel: &str| is_wanted(&shared, channel);
        while is_wanted(&channel) {
            if let Some(link) = shared.link(slot, Instant::now() + shared.config.wait).await
                && link.subscribe(std::slice::from_ref(&channel), is_wanted).await.is_ok()
                && (channel != shared.calls_key() || calls::catch_up(&shared, &link).await.is_ok())
                && shared.link_now(slot).is_some_and(|now| Arc::ptr_eq(&now, &link))
            {
                return shared.rooms.missed(&channel);
            }
            sleep(PAUSE).await;
        }
    });
}
