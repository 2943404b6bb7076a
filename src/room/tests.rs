use std::sync::Arc;

use bytes::BufMut;

use super::{membership::MAX_GATHERED_BYTES, publication::Text};
use crate::{
    Config, Hub,
    connection::{
        Connection,
        batch::{Batch, BatchBuilder, FrameMeta},
    },
    ids::{ClientSessionId, ConnectionId, Id, Topic},
    recovery::Remembered,
    sync::lock,
    tests::{join, read_to},
    websocket::frame,
};

#[test]
fn a_member_is_a_line_of_memory() {
    assert!(size_of::<super::Member>() <= 64, "{}", size_of::<super::Member>());
}

/// A batch of two frames, whose second one panics while it is sent to `victim`, and to nobody else.
fn broken_for(victim: ConnectionId) -> Batch {
    let mut gathering = BatchBuilder::default();
    let of_victim = FrameMeta { from: Some(victim), ..FrameMeta::default() };
    gathering.push(of_victim, |out| out.put_slice(&frame::text("its own")));
    gathering.push(FrameMeta::default(), |out| out.put_slice(&frame::text("for all")));
    let mut batch = gathering.take();
    batch.frames[1].end += 1;
    batch
}

#[test]
fn a_panic_while_a_room_sends_closes_every_member_so_that_nobody_misses_something_unseen() {
    let hub = Hub::start(Config { threads: 1, ..Config::default() }).unwrap();
    let members = ["a", "b", "c"].map(|client| join(&hub, client));
    let room = hub.room("doc").unwrap();
    let batch = broken_for(members[1].0);
    let sending = Arc::clone(&room);
    room.shard().handle().spawn(async move { sending.send(&lock(&sending.members), &batch) });
    let [a, b, c] = members.map(|(_, socket)| read_to(&socket, b"Internal error"));
    assert!(a.contains("for all"), "{a:?}");
    assert!(!b.contains("for all") && !c.contains("for all"), "{b:?} {c:?}");
    // Whoever comes next finds a room that works.
    let (_, next) = join(&hub, "d");
    hub.publish("doc", None, "\"hello\"").unwrap();
    read_to(&next, b"\"hello\"");
}

#[test]
fn what_members_publish_in_one_turn_waits_up_to_a_bound() {
    const MESSAGE_BYTES: usize = 200 << 10;
    let hub = Hub::start(Config { threads: 1, ..Config::default() }).unwrap();
    let (_, reader) = join(&hub, "reader");
    let room = hub.room("doc").unwrap();
    let writing = Arc::clone(&room);
    let (done, waited) = std::sync::mpsc::channel();
    room.shard().handle().spawn(async move {
        let id = ConnectionId::new(u64::MAX);
        let writer = Arc::new(Connection::new(id, None, Vec::new(), 1 << 20, 0));
        let id_of_writer = Id::new("writer").unwrap();
        let payload = "x".repeat(MESSAGE_BYTES);
        let (membership, _) = writing.join(
            writer,
            id_of_writer.clone(),
            None,
            None,
            Remembered::Here,
            ClientSessionId::random(),
        );
        for _ in 0..20 {
            let (client, topic) = (&id_of_writer, Topic::Update);
            membership.publish(Text::Client { client, topic, payload: &payload, version: "" }, None);
            done.send(lock(&writing.state).gathered.len()).unwrap();
        }
    });
    let most = waited.iter().max().unwrap();
    assert!(most > MAX_GATHERED_BYTES && most <= MAX_GATHERED_BYTES + MESSAGE_BYTES + 1024, "{most}");
    drop(reader);
}
