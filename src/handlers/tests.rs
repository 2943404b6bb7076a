use std::{
    sync::{Arc, Mutex, atomic::AtomicBool, mpsc},
    time::Duration,
};

use bytes::BufMut;

use super::{
    EventQueue, Notifier,
    events::UnseenEvents,
    members::ShardMembers,
    outgoing::{Outgoing, Recipient, Step},
};
use crate::{
    Config, Hub,
    connection::{
        Connection,
        batch::{BatchBuilder, FrameMeta},
        outbox::Watch,
    },
    ids::ConnectionId,
    sync::lock,
};

struct Deaf;

impl Notifier for Deaf {
    fn notify(&self) {}
}

fn connection(number: u64) -> Arc<Connection> {
    Arc::new(Connection::new(ConnectionId::new(number), None, Vec::new(), 1 << 20, 0))
}

#[test]
fn a_panic_while_a_room_sends_closes_every_member_so_that_nobody_misses_something_unseen() {
    let members = ShardMembers::new("room".into(), Arc::new(UnseenEvents::new(Box::new(Deaf))), None);
    let connections: Vec<_> = (1..4).map(connection).collect();
    for connection in &connections {
        members.add(Arc::clone(connection), usize::MAX);
    }
    let mut gathering = BatchBuilder::default();
    gathering.push(FrameMeta::default(), |out| out.put_slice(b"half a fra"));
    let mut batch = gathering.take();
    batch.frames[0].end += 2;
    members.send_batch(&batch);
    assert!(connections.iter().all(|connection| !connection.is_open()));
}

#[test]
fn a_panic_in_one_step_leaves_the_others() {
    let outgoing = Arc::new(Outgoing::new(std::sync::Weak::new(), Arc::new(AtomicBool::new(false)), 1 << 20));
    let first = connection(1);
    let recipient = Arc::new(Recipient::new(Arc::clone(&first)));
    let panics = Watch::new(usize::MAX, || panic!("meant for the log: panic in a step"));
    outgoing.push(Step::Watch { connection: Arc::clone(&first), watch: panics });
    outgoing.send(&recipient, |out| out.put_slice(b"frame"));
    outgoing.do_steps();
    assert_eq!((first.buffered_bytes(), recipient.on_way()), (5, 0));
}

#[test]
fn a_thread_of_a_shard_knows_which_one_it_is() {
    let hub = Hub::start(Config { threads: 2, ..Config::default() }).unwrap();
    let (tell, told) = mpsc::channel();
    for shard in &hub.shared.shards {
        let (tell, shard) = (tell.clone(), Arc::clone(shard));
        let runtime = shard.handle().clone();
        runtime.spawn(async move {
            tell.send(crate::shard::Shard::current().ptr_eq(&Arc::downgrade(&shard))).unwrap();
        });
    }
    let says_so = || told.recv_timeout(Duration::from_mins(1)).unwrap();
    assert!(says_so() && says_so());
    assert!(crate::shard::Shard::current().upgrade().is_none());
}

#[test]
fn a_queue_that_goes_tells_who_waits_for_its_steps() {
    let queue = EventQueue::new(Box::new(Deaf), &Config::default());
    let rooms = queue.rooms_at("/ws/handler");
    let served = queue.open(connection(1), &rooms);
    served.join("room", usize::MAX).unwrap();
    let told = Arc::new(Mutex::new(false));
    let tell = Arc::clone(&told);
    served.when_flushed(0, move || *lock(&tell) = true);
    drop(queue);
    assert!(*lock(&told));
}
