//! Rooms of handlers that have members in several processes.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{cell::RefCell, sync::mpsc::channel, time::Duration};

use captify_hub::{
    cluster::{RoomChannels, config::ClusterConfig},
    handlers::Event,
};
use support::{
    eventually,
    grid::Grid,
    handlers::{Handlers, PATH},
    redis::{Redis, away, over, process, ready},
    redis_proxy::Proxy,
};
use tokio_tungstenite::tungstenite::Message;

const ROOM: &str = "a {room}";

/// The channel of that room.
const OF_ROOM: &str = "hub:{/ws/handler a %7Broom%7D}:room";

/// Handlers of a process.
fn handlers(redis: &ClusterConfig) -> Handlers {
    Handlers::of(process(redis))
}

/// Waits until so many processes hear a channel.
fn heard(redis: &Redis, channel: &str, processes: u32) {
    heard_by(redis, "NUMSUB", channel, processes);
}

fn heard_by(redis: &Redis, numbers: &str, channel: &str, processes: u32) {
    eventually("as many processes hear it", || {
        let mut count = redis::cmd("PUBSUB");
        count.arg(numbers).arg(channel);
        let (_, count): (String, u32) = count.query(&mut redis.subscriber()).unwrap();
        count == processes
    });
}

fn publish(handlers: &Handlers, message: &str) -> usize {
    let count = handlers.queue.publish_text(PATH, ROOM, message, None).unwrap();
    handlers.queue.flush();
    count
}

#[test]
fn members_of_all_processes_get_what_any_publishes_in_its_order() {
    let redis = Redis::start();
    let [mut one, two, mut three] = [(); 3].map(|()| handlers(&over(&redis.url())));
    let (mut a, of_a) = one.connect();
    let (mut b, of_b) = three.connect();
    assert!(of_a.join(ROOM, usize::MAX).unwrap());
    assert!(of_b.join(ROOM, usize::MAX).unwrap());
    heard(&redis, OF_ROOM, 2);
    for number in 0..1000 {
        // It has no members itself.
        assert_eq!(publish(&two, &format!("of two, {number}")), 0);
    }
    for number in 0..1000 {
        assert_eq!(a.text(), format!("of two, {number}"));
        assert_eq!(b.text(), format!("of two, {number}"));
    }
    assert_eq!(publish(&one, "of one"), 1);
    assert_eq!([a.text(), b.text()], ["of one", "of one"]);
    let except = one.queue.publish_text(PATH, ROOM, "but for a", Some(of_a.id())).unwrap();
    assert_eq!((except, b.text()), (0, "but for a".to_owned()));
    let binary = three.queue.publish_binary(PATH, ROOM, &[1, 2], None).unwrap();
    three.queue.flush();
    assert_eq!(binary, 1);
    for client in [&mut a, &mut b] {
        assert_eq!(client.0.read().unwrap().into_data()[..], [1, 2]);
    }
    assert_eq!(publish(&one, "once"), 1);
    assert_eq!(a.text(), "once", "nothing came twice, nor what was not for it");
}

#[test]
fn a_room_without_members_is_heard_of_no_more_and_one_of_a_process_alone_never() {
    let redis = Redis::start();
    let mut one = handlers(&over(&redis.url()));
    let (_client, connection) = one.connect();
    for _ in 0..3 {
        assert!(connection.join(ROOM, usize::MAX).unwrap());
        assert!(connection.join("\0mine", usize::MAX).unwrap());
        heard(&redis, OF_ROOM, 1);
        connection.leave(ROOM);
        heard(&redis, OF_ROOM, 0);
        heard(&redis, "hub:{/ws/handler \0mine}:room", 0);
        connection.leave("\0mine");
    }
    // The last of many changes is the one that counts.
    for _ in 0..100 {
        assert!(connection.join(ROOM, usize::MAX).unwrap());
        assert!(connection.leave(ROOM));
    }
    heard(&redis, OF_ROOM, 0);
    assert!(connection.join(ROOM, usize::MAX).unwrap());
    heard(&redis, OF_ROOM, 1);
}

#[test]
fn rooms_go_on_within_a_process_while_redis_is_away_and_are_heard_of_again_when_it_is_back() {
    let mut redis = Redis::start();
    let (mut one, two) = (handlers(&over(&redis.url())), handlers(&over(&redis.url())));
    let (mut client, connection) = one.connect();
    assert!(connection.join(ROOM, usize::MAX).unwrap());
    heard(&redis, OF_ROOM, 1);
    redis.kill();
    away(&one.server);
    away(&two.server);
    assert_eq!(publish(&one, "here"), 1);
    assert_eq!(client.text(), "here");
    // Also a room that got its first member meanwhile.
    assert!(connection.join("later", usize::MAX).unwrap());
    redis.restart();
    ready(&one.server);
    ready(&two.server);
    heard(&redis, OF_ROOM, 1);
    heard(&redis, "hub:{/ws/handler later}:room", 1);
    publish(&two, "from there");
    assert_eq!(client.text(), "from there");
    two.queue.publish_text(PATH, "later", "from there, too", None).unwrap();
    assert_eq!(client.text(), "from there, too");
}

#[test]
fn a_broadcast_to_an_endpoint_reaches_its_connections_in_all_processes() {
    let redis = Redis::start();
    let [mut one, mut two] = [(); 2].map(|()| handlers(&over(&redis.url())));
    let ((mut a, _), (mut b, _)) = (one.connect(), two.connect());
    let mut member = two.server.join("doc", "c");
    heard(&redis, "hub:{/ws/handler }:room", 2);
    heard(&redis, "hub:{/ws/fabric }:room", 2);
    assert_eq!(one.server.hub.broadcast(PATH, "for all").unwrap(), 1);
    assert_eq!([a.text(), b.text()], ["for all", "for all"]);
    assert_eq!(one.server.hub.broadcast("/ws/fabric", r#"{"type":"notice"}"#).unwrap(), 0);
    assert_eq!(member.text(), r#"{"type":"notice"}"#);
}

#[test]
fn handlers_of_several_processes_speak_over_a_room_that_nobody_is_in() {
    let mut redis = Redis::start();
    let [one, mut two] = [(); 2].map(|()| handlers(&over(&redis.url())));
    let [of_one, of_two] = [&one, &two].map(|each| each.server.hub.room_channels().unwrap());
    let tell = |message: &str| {
        let (reached, heard) = channel();
        let reached = Box::new(move |count| reached.send(count).unwrap());
        of_one.tell(PATH, "\0thread", message.as_bytes(), reached);
        heard.recv_timeout(support::PATIENCE).unwrap()
    };
    assert_eq!(tell("to nobody"), Some(0));
    let (done, listens) = channel();
    of_two.listen(PATH, "\0thread", move |is_heard| done.send(is_heard).unwrap());
    assert!(listens.recv_timeout(support::PATIENCE).unwrap());
    assert_eq!(tell("to two"), Some(1));
    let (_, heard) = two.until(|event| matches!(event, Event::Heard(_)));
    let Event::Heard(heard) = heard else { unreachable!() };
    assert_eq!((&*heard.path, &*heard.room, &heard.message[..]), (PATH, "\0thread", &b"to two"[..]));
    assert_eq!(heard.process, Some(of_one.process()));
    of_two.leave(PATH, "\0thread");
    heard_by(&redis, "NUMSUB", "hub:{/ws/handler \0thread}:room", 0);
    redis.kill();
    away(&one.server);
    assert_eq!(tell("while Redis is away"), None);
}

#[test]
fn whoever_waits_to_be_told_is_told_that_nobody_knows_when_the_hub_ends() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let Handlers { server, queue, .. } = handlers(&over(&proxy.url()));
    let channels = server.hub.room_channels().unwrap();
    let (reached, told) = channel();
    let tell = || {
        let reached = reached.clone();
        channels.tell(PATH, "\0thread", b"to whom?", Box::new(move |count| reached.send(count).unwrap()));
    };
    tell();
    assert_eq!(told.recv_timeout(support::PATIENCE).unwrap(), Some(0));
    proxy.swallow(true, true);
    // More than goes there at once.
    (0..1000).for_each(|_| tell());
    drop(server);
    for _ in 0..1000 {
        assert_eq!(told.recv_timeout(support::PATIENCE).unwrap(), None);
    }
    // Whoever still has the hub's queue.
    tell();
    assert_eq!(told.recv_timeout(support::PATIENCE).unwrap(), None);
    drop(queue);
}

#[test]
fn a_room_that_nobody_is_in_is_told_that_something_may_have_been_missed_once_it_hears_again() {
    let mut redis = Redis::start();
    let mut one = handlers(&over(&redis.url()));
    let channels = one.server.hub.room_channels().unwrap();
    let (done, listens) = channel();
    channels.listen(PATH, "\0thread", move |is_heard| done.send(is_heard).unwrap());
    assert!(listens.recv_timeout(support::PATIENCE).unwrap());
    let (_member, connection) = one.connect();
    assert!(connection.join(ROOM, usize::MAX).unwrap());
    redis.kill();
    away(&one.server);
    redis.restart();
    let (_, missed) = one.until(|event| matches!(event, Event::Heard(_)));
    let Event::Heard(missed) = missed else { unreachable!() };
    assert_eq!((&*missed.room, missed.process, missed.message.len()), ("\0thread", None, 0));
    // Subscribed to, before that is said.
    heard(&redis, "hub:{/ws/handler \0thread}:room", 1);
}

#[test]
fn what_one_process_alone_may_have_is_had_by_the_first_until_it_lets_go_or_is_gone() {
    let redis = Redis::start();
    let [one, two, three] = [(); 3].map(|()| handlers(&over(&redis.url())));
    let [one, two, three] = [&one, &two, &three].map(|each| each.server.hub.room_channels().unwrap());
    let claim = |by: &RoomChannels, gone: Option<&RoomChannels>| {
        let (done, holder) = channel();
        let of = [PATH, "\0thread", "a {stream}"].map(str::to_owned);
        by.claim(of, Duration::from_mins(1), gone.map(RoomChannels::process), move |process| {
            done.send(process).unwrap();
        });
        holder.recv_timeout(support::PATIENCE).unwrap()
    };
    assert_eq!(claim(&one, None), Some(one.process()));
    assert_eq!([claim(&two, None), claim(&two, Some(&three))], [Some(one.process()); 2]);
    assert_eq!(claim(&two, Some(&one)), Some(two.process()), "one is gone");
    assert_eq!(claim(&three, Some(&one)), Some(two.process()), "and another was first to see that");
    two.release(PATH, "\0thread", "a {stream}", || ());
    eventually("it is free", || redis.command("KEYS *") == redis::Value::Array(Vec::new()));
    assert_eq!(claim(&three, None), Some(three.process()));
}

#[test]
fn in_a_redis_cluster_rooms_are_divided_and_follow_their_slots() {
    let grid = Grid::start(false);
    let by = ClusterConfig { wait: Duration::from_secs(20), ..over(&grid.url()) };
    let [mut one, two] = [(); 2].map(|()| handlers(&by));
    let (client, connection) = one.connect();
    let client = RefCell::new(client);
    let channel = |room: &str| format!("hub:{{/ws/handler {room}}}:room");
    let heard_on = |node: usize, room: &str, processes: u32| {
        heard_by(&grid.primaries[node], "SHARDNUMSUB", &channel(room), processes);
    };
    let rooms: Vec<_> = (0..30).map(|number| format!("room{number}")).collect();
    for room in &rooms {
        assert!(connection.join(room, usize::MAX).unwrap());
    }
    for room in &rooms {
        heard_on(grid.of(&channel(room)), room, 1);
        two.queue.publish_text(PATH, room, room, None).unwrap();
        assert_eq!(client.borrow_mut().text(), *room);
    }
    assert!((0..3).all(|node| rooms.iter().any(|room| grid.of(&channel(room)) == node)));

    let home = grid.of(&channel("room0"));
    let other = (home + 1) % 3;
    for (from, to) in [(home, other), (other, home)] {
        grid.migrate(&channel("room0"), from, to, || ());
        heard_on(to, "room0", 1);
        // Who publishes hears of it later than who listens: what it says before that is lost.
        let message = format!("over {to}");
        client.borrow().0.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        eventually("what is published arrives again", || {
            two.queue.publish_text(PATH, "room0", &message, None).unwrap();
            matches!(client.borrow_mut().0.read(), Ok(Message::Text(text)) if *text == *message)
        });
    }
    connection.leave("room0");
    heard_on(home, "room0", 0);
}
