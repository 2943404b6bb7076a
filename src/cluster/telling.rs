//! Tells the other processes what is true now, and hears whether they are still there.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{document::Document, routes::Node, shared::Shared, soft::Record};
use crate::{room::document_log::News, sync::lock};

/// How often a process says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How often it is looked whether one is.
const ROUND: Duration = Duration::from_millis(500);

/// Notes what is to be told to the others of a document, and tells it.
pub(super) fn tell(shared: &Arc<Shared>, document: &Arc<Document>, record: Record) {
    if document.note(record) {
        let (shared, document) = (Arc::clone(shared), Arc::clone(document));
        shared.handle.clone().spawn(async move {
            while let Some(message) = document.take_noted(shared.process) {
                // What is lost while Redis is away is asked for when it is back.
                if let Some(link) = shared.link_now(document.keys.slot) {
                    let call = link.tell(link.publish(&document.keys.channel).arg(message)).await;
                    if let Err(error) = call {
                        log::debug!("document {:?}: others do not see what is shown: {error}", document.id);
                    }
                }
            }
        });
    }
}

/// Asks the others of all documents of a server what their members show, and has the rooms here say it: some of it may have
/// been lost.
pub(super) fn ask_all(shared: &Arc<Shared>, node: &Node) {
    for document in shared.all_on(node) {
        document.tell_if_open(News::Asked);
        tell(shared, &document, Record::Ask);
    }
}

/// Says that this process is there, and forgets those that do not.
pub(super) async fn live(shared: Weak<Shared>) {
    let mut said: Option<Instant> = None;
    while let Some(strong) = shared.upgrade() {
        if said.is_none_or(|at| at.elapsed() >= HEARTBEAT)
            && let Some(link) = strong.link_now(strong.alive_slot)
        {
            let process = format!("{:016x}", strong.process);
            if link.call(link.publish(&strong.alive_channel()).arg(process)).await.is_ok() {
                said = Some(Instant::now());
            }
        }
        let silent = lock(&strong.others).take_silent();
        for process in silent {
            log::info!("process {process:016x} is gone: nobody sees its members any more");
            for document in strong.all() {
                document.tell_if_open(News::Hidden(process, None));
            }
        }
        drop(strong);
        sleep(ROUND).await;
    }
}
