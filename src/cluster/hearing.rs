//! What is pushed.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use super::{
    calls, counting, delivered,
    document::Document,
    link::{Heard, Link, Pushed},
    moving, reading, rooms,
    shared::Shared,
    soft::{self, Told},
    wire::Push,
};
use crate::sync::lock;

/// What is pushed over a link goes to its document at once, so that it stays in order.
pub(super) fn heard(shared: &Arc<Shared>, link: &Arc<OnceLock<Weak<Link>>>) -> Heard {
    let (shared, link) = (Arc::downgrade(shared), Arc::clone(link));
    Arc::new(move |channel, pushed| {
        let (Some(shared), Ok(channel)) = (shared.upgrade(), std::str::from_utf8(channel)) else { return };
        let link = || link.get().and_then(Weak::upgrade);
        match (shared.of_channel(channel), pushed) {
            (Some(document), Pushed::Message(message)) => of_document(&shared, &document, message),
            (Some(document), Pushed::Ended) => moving::follow(&shared, &document),
            (None, pushed) => match (shared.rooms.of_channel(channel), pushed) {
                (Some(room), Pushed::Message(message)) => rooms::hear(&shared, &room, message),
                (Some(_), Pushed::Ended) => moving::follow_room(&shared, channel),
                (None, Pushed::Message(message)) => of_all(&shared, channel, message, link),
                (None, Pushed::Ended) => ended(&shared, channel, link),
            },
        }
    })
}

fn of_document(shared: &Arc<Shared>, document: &Arc<Document>, message: Vec<u8>) {
    if message.first() == Some(&soft::MARK) {
        let Some(told) = Told::parse(message) else {
            log::debug!("document {:?}: what is shown elsewhere cannot be read", document.id);
            return;
        };
        let is_own = told.process == shared.process;
        if !is_own {
            lock(&shared.others).heard(told.process);
        }
        return document.told(told, is_own);
    }
    let Some(push) = Push::parse(message) else {
        log::error!("document {:?}: what was pushed cannot be read: another version?", document.id);
        return;
    };
    let is_own = push.process == shared.process;
    if document.heard(push, is_own) {
        reading::catch_up_later(shared, document, Duration::ZERO);
    }
}

/// What is said to all processes, or by this one to itself.
fn of_all(shared: &Arc<Shared>, channel: &str, message: Vec<u8>, link: impl Fn() -> Option<Arc<Link>>) {
    if channel == shared.calls_key() {
        if let Some(link) = link() {
            let shared = Arc::clone(shared);
            let handle = shared.handle.clone();
            handle.spawn(async move {
                // Where that fails the link is lost, and it is looked again over the next one.
                let _ = calls::catch_up(&shared, &link).await;
            });
        }
    } else if channel == shared.alive_channel() {
        let process = std::str::from_utf8(&message).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        if let Some(process) = process.filter(|process| *process != shared.process) {
            lock(&shared.others).heard(process);
        }
    } else if channel == shared.census_channel() {
        counting::hear(shared, &message);
    } else if channel == shared.tally_channel(shared.process) {
        delivered::hear(shared, &message);
    } else if let Some(link) = link().filter(|link| channel == link.probe_channel) {
        link.heard_probe(&message);
    } else if let Some(push) = Push::parse(message) {
        // The room of a document is closed meanwhile.
        delivered::nobody(shared, channel, &push);
    }
}

/// Nothing comes any more over a channel that is no document's.
fn ended(shared: &Arc<Shared>, channel: &str, link: impl Fn() -> Option<Arc<Link>>) {
    if shared.of_all_processes().iter().any(|each| each == channel) {
        moving::follow_all(shared, channel);
    } else if let Some(link) = link()
        && channel == link.probe_channel
    {
        // Another is chosen with the next connection.
        link.loss.declare("the slot over which it was probed went to another node");
    }
}
