use std::{collections::HashMap, ops::Bound, sync::Arc};

use super::Work;
use crate::{
    Config, Hub,
    connection::{
        Connection,
        thread::{Deadlines, TICKS_PER_TURN},
    },
    ids::ConnectionId,
    metrics::thread::Waiting,
    tests::{join, read_to},
    websocket::close::Close,
};

#[test]
fn what_was_published_before_everybody_is_closed_leaves_before_that() {
    let hub = Arc::new(Hub::start(Config { threads: 1, ..Config::default() }).unwrap());
    let (_, client) = join(&hub, "a");

    // On the shard's thread, so that it finds both at once.
    let shard = Arc::clone(&hub.shared.shards[0]);
    let publisher = Arc::clone(&hub);
    shard.handle().clone().spawn(async move {
        let closing = Arc::clone(&shard);
        shard.push(Work::Close(Box::new(move || {
            closing.thread().close_some(Bound::Unbounded, 9, || Close::restart(None));
        })));
        publisher.publish("doc", None, r#"{"type":"last"}"#).unwrap();
    });
    let last = read_to(&client, b"Service restart");
    assert!(last.contains(r#"{"type":"last","offset":1}"#), "{last:?}");
}

#[test]
fn the_clock_looks_at_every_connection_in_slices() {
    let hub = Hub::start(Config { threads: 1, heartbeat: None, ..Config::default() }).unwrap();
    let thread = hub.shared.shards[0].thread();
    let connections: Vec<_> = (0..=2 * TICKS_PER_TURN as u64)
        .map(|number| Arc::new(Connection::new(ConnectionId::new(number), None, Vec::new(), 1024, 0)))
        .collect();
    for connection in &connections {
        thread.add(Arc::clone(connection));
    }
    thread.set_now(5);
    let deadlines = Deadlines { heartbeat: Some(1), close_timeout: 1000 };
    let pinged = || connections.iter().filter(|connection| connection.buffered_bytes() > 0).count();
    let (mut after, mut turns) = (Bound::Unbounded, Vec::new());
    while let Some(last) = thread.tick_some(after, deadlines, false, &mut Waiting::default()) {
        after = Bound::Excluded(last);
        turns.push(pinged());
    }
    assert_eq!(turns, [TICKS_PER_TURN, 2 * TICKS_PER_TURN, 2 * TICKS_PER_TURN + 1]);
}

#[test]
fn who_is_silent_at_the_end_is_cut_off_after_so_many_looks_however_long_the_process_stood_still() {
    let hub = Hub::start(Config { threads: 1, ..Config::default() }).unwrap();
    let thread = hub.shared.shards[0].thread();
    let connection = Arc::new(Connection::new(ConnectionId::new(1), None, Vec::new(), 1024, 0));
    thread.add(Arc::clone(&connection));
    let mut waits = HashMap::new();
    assert_eq!([(); 9].map(|()| thread.terminate_stuck(&mut waits, 3)), [0; 9], "it is open");
    connection.close(&Close::restart(None));
    // The first look begins to count.
    assert_eq!([(); 4].map(|()| thread.terminate_stuck(&mut waits, 3)), [0, 0, 0, 1]);
}
