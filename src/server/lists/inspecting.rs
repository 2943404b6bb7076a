//! One document, with its members.

use std::sync::Arc;

use super::{
    List, MAX_ENTRIES,
    connections::{Now, put_connection},
    documents::{MEMBERS_PER_TURN, Row, Slices, put_document, row_of, row_of_document},
};
use crate::{
    Error,
    document::store::SetAside,
    ids::Id,
    json::{Object, array},
    room::Room,
    server::hub::Hub,
    shard::Shard,
};

impl Hub {
    /// Calls `tell` with a document and at most [`MAX_ENTRIES`] of its members, `None` where it is not in memory; not
    /// where the hub has ended meanwhile. Called and told from any thread.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn inspect_document(
        &self,
        document: Id,
        tell: impl FnOnce(Option<List>) + Send + 'static,
    ) -> Result<(), Error> {
        if self.is_draining() {
            return Err(Error::Closed);
        }
        let (rooms, documents) = (Arc::clone(&self.shared.rooms), self.shared.documents.clone());
        let shard = Arc::clone(rooms.shard_of(&document));
        let (handle, paths) = (shard.handle().clone(), self.paths());
        handle.spawn(async move {
            let now = Now::of(&shard);
            let kept = documents.as_ref().and_then(|documents| documents.get(&document));
            let room = rooms.get(&document);
            let row = match (&room, &kept) {
                (Some(room), kept) => row_of(room, kept.as_deref(), now),
                (None, Some(kept)) => row_of_document(kept, now),
                (None, None) => return tell(None),
            };
            let (members, waiting) = match &room {
                Some(room) => members_of(room, now, &paths, &shard).await,
                None => (Vec::new(), 0),
            };
            let set_aside = match documents.filter(|_| kept.is_some()) {
                Some(documents) => documents.set_aside(&document).await,
                None => None,
            };
            tell(Some(inside(&document, &row.with_waiting(waiting), &members, set_aside.as_deref())));
        });
        Ok(())
    }
}

async fn members_of(room: &Room, now: Now, paths: &[String], shard: &Shard) -> (Vec<String>, usize) {
    let mut slices = Slices::begin();
    let (mut members, mut waiting, mut first) = (Vec::new(), 0, 0);
    debug_assert!(Arc::ptr_eq(room.shard().thread(), shard.thread()), "it is the room's thread");
    loop {
        let position = room.sent_up_to();
        let are_any = room.visit_members(first, MEMBERS_PER_TURN / 2, |connection| {
            waiting += connection.waiting().unwrap_or(0);
            if members.len() < MAX_ENTRIES {
                let mut member = String::with_capacity(256);
                let mut object = Object::begin(&mut member);
                put_connection(&mut object, connection, now, paths);
                object.number_if("position", position);
                object.end();
                members.push(member);
            }
        });
        if !are_any {
            return (members, waiting);
        }
        first += MEMBERS_PER_TURN / 2;
        slices.pause().await;
    }
}

fn inside(document: &Id, row: &Row, members: &[String], set_aside: Option<&[SetAside]>) -> List {
    let mut json = String::new();
    let mut object = Object::begin(&mut json);
    put_document(&mut object, document, row);
    object.number("historyEntries", row.history_entries);
    if let Some(set_aside) = set_aside {
        object.raw(
            "setAside",
            &array(set_aside, |out, aside| {
                let mut object = Object::begin(out);
                object.number("at", aside.at).text("reason", &aside.reason).number("bytes", aside.body.len());
                object.end();
            }),
        );
    }
    object.end();
    List::new(json, "memberList", members)
}
