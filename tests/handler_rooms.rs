//! Rooms of handlers, whose members the hub's threads write to.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{collections::HashSet, sync::Arc};

use captify_hub::{
    Error,
    handlers::{Event, HandlerConnection, MAX_ROOMS},
};
use support::{
    Client, eventually,
    handlers::{Handlers, Occupied, PATH},
};
use tokio_tungstenite::tungstenite::Message;

const NEVER: usize = usize::MAX;

/// Members of the room `room`.
fn members(handlers: &mut Handlers, count: usize) -> Vec<(Client, Arc<HandlerConnection>)> {
    let join = |(client, connection): (Client, Arc<HandlerConnection>)| {
        assert!(connection.join("room", NEVER).unwrap());
        (client, connection)
    };
    (0..count).map(|_| join(handlers.connect())).collect()
}

fn publish(handlers: &Handlers, room: &str, message: &str) -> usize {
    handlers.queue.publish_text(PATH, room, message, None).unwrap()
}

#[test]
fn what_a_member_is_sent_and_what_is_published_arrives_in_the_order_of_the_calls() {
    let mut handlers = Handlers::start(|_| ());
    let (mut client, connection) = handlers.connect();
    let send = |text: &str| assert!(handlers.queue.send_text(connection.id(), text));
    send("before its first room");
    connection.join("room", NEVER).unwrap();
    for round in 0..10 {
        send(&format!("a{round}"));
        send(&format!("b{round}"));
        assert_eq!(publish(&handlers, "room", &format!("c{round}")), 1);
        connection.leave("room");
        assert_eq!(publish(&handlers, "room", "to nobody"), 0);
        connection.join("room", NEVER).unwrap();
        assert_eq!(publish(&handlers, "room", &format!("d{round}")), 1);
        assert_eq!(handlers.queue.publish_binary(PATH, "room", &[round], None).unwrap(), 1);
        send(&format!("e{round}"));
        if round % 3 == 0 {
            handlers.queue.flush();
        }
    }
    connection.ping(b"last");
    assert_eq!(client.text(), "before its first room");
    for round in 0..10 {
        for text in ["a", "b", "c", "d"] {
            assert_eq!(client.text(), format!("{text}{round}"));
        }
        assert_eq!(client.0.read().unwrap(), Message::binary(vec![round]));
        assert_eq!(client.text(), format!("e{round}"));
    }
    assert_eq!(client.0.read().unwrap(), Message::Ping("last".into()));
}

#[test]
fn a_publication_reaches_every_member_on_every_thread_but_the_one_that_is_excepted() {
    let mut handlers = Handlers::start(|config| config.threads = 4);
    let mut members = members(&mut handlers, 40);
    let (mut stranger, other) = handlers.connect();
    other.join("other", NEVER).unwrap();
    let excepted = members[7].1.id();
    let to = |except| handlers.queue.publish_text(PATH, "room", "to the others", Some(except)).unwrap();
    assert_eq!(to(excepted), 39);
    assert_eq!(to(other.id()), 40, "who is no member is no exception");
    assert_eq!(publish(&handlers, "room", "to all"), 40);
    assert_eq!(publish(&handlers, "other", "to another room"), 1);
    assert_eq!(publish(&handlers, "nobody", "to nobody"), 0);
    assert_eq!(handlers.queue.publish_text("/ws/nowhere", "room", "x", None).unwrap(), 0);
    handlers.queue.flush();
    for (client, connection) in &mut members {
        if connection.id() != excepted {
            assert_eq!(client.text(), "to the others");
        }
        assert_eq!(client.text(), "to the others");
        assert_eq!(client.text(), "to all");
    }
    assert_eq!(stranger.text(), "to another room");
}

#[test]
fn a_connection_is_once_in_a_room_and_in_a_bounded_number_of_rooms() {
    let mut handlers = Handlers::start(|_| ());
    let (mut client, connection) = handlers.connect();
    for number in 0..MAX_ROOMS {
        assert!(connection.join(&number.to_string(), NEVER).unwrap());
    }
    assert!(connection.join("5", NEVER).unwrap(), "it is in this one");
    assert!(matches!(connection.join("one more", NEVER), Err(Error::TooManyRooms)));
    assert_eq!(handlers.queue.room_count(PATH), MAX_ROOMS);
    assert_eq!(publish(&handlers, "5", "once"), 1);
    assert!(connection.leave("5"));
    assert!(!connection.leave("5"));
    assert_eq!(publish(&handlers, "5", "never"), 0);
    assert!(connection.join("one more", NEVER).unwrap());
    assert_eq!(publish(&handlers, "one more", "twice"), 1);
    handlers.queue.flush();
    assert_eq!((client.text(), client.text()), ("once".to_owned(), "twice".to_owned()));
}

#[test]
fn whoever_ends_is_in_no_room_any_more_and_nothing_of_the_room_stays() {
    let mut handlers = Handlers::start(|config| config.threads = 2);
    let mut members = members(&mut handlers, 12);
    let count = |handlers: &Handlers| handlers.queue.member_count(PATH, "room");
    assert_eq!(count(&handlers), 12);
    // Those that the handler ends leave at once.
    for (ended, (_, connection)) in members[..4].iter().enumerate() {
        if ended % 2 == 0 {
            connection.terminate();
        } else {
            connection.close(&captify_hub::websocket::close::Close::new(4000, ""));
        }
        assert!(!connection.is_open());
        assert_eq!(count(&handlers), 11 - ended);
        assert!(!connection.join("room", NEVER).unwrap());
        assert!(!handlers.queue.send_text(connection.id(), "too late"));
    }
    let weak: Vec<_> = members.iter().map(|(_, connection)| Arc::downgrade(connection)).collect();
    // The others go in the middle of publications, joins and leaves.
    for (number, (client, connection)) in members.drain(..).enumerate() {
        publish(&handlers, "room", "hello");
        connection.leave("room");
        let _ = connection.join("room", NEVER);
        if number % 2 == 0 {
            drop(client);
        } else {
            std::thread::spawn(move || client.close());
        }
        let _ = connection.join(&format!("room {number}"), NEVER);
    }
    handlers.queue.flush();
    eventually("the rooms are gone", || handlers.queue.room_count(PATH) == 0);
    eventually("the connections are gone", || weak.iter().all(|connection| connection.upgrade().is_none()));
    assert_eq!(publish(&handlers, "room", "to nobody"), 0);
    assert_eq!(handlers.server.hub.endpoint_count(PATH), 0);
}

#[test]
fn joins_leaves_and_publications_at_random_are_seen_by_each_connection_as_they_were_called() {
    let mut handlers = Handlers::start(|config| config.threads = 3);
    let mut clients: Vec<_> = (0..9).map(|_| handlers.connect()).collect();
    let mut expected = vec![Vec::new(); clients.len()];
    let mut joined = vec![HashSet::new(); clients.len()];
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for number in 0..3000 {
        let (who, room) = (usize::try_from(next(9)).unwrap(), format!("room {}", next(4)));
        let text = number.to_string();
        let (_, connection) = &clients[who];
        match next(6) {
            0 => {
                connection.join(&room, NEVER).unwrap();
                joined[who].insert(room);
            }
            1 => {
                assert_eq!(connection.leave(&room), joined[who].remove(&room));
            }
            2 => {
                handlers.queue.send_text(connection.id(), &text);
                expected[who].push(text);
            }
            3 => handlers.queue.flush(),
            _ => {
                let except = (next(2) == 0).then(|| connection.id());
                let mut receivers = 0;
                for index in 0..clients.len() {
                    if joined[index].contains(&room) && !(index == who && except.is_some()) {
                        expected[index].push(text.clone());
                        receivers += 1;
                    }
                }
                assert_eq!(handlers.queue.publish_text(PATH, &room, &text, except).unwrap(), receivers);
            }
        }
    }
    handlers.queue.flush();
    for ((client, _), expected) in clients.iter_mut().zip(expected) {
        let got: Vec<_> = expected.iter().map(|_| client.text()).collect();
        assert_eq!(got, expected);
    }
}

#[test]
fn publications_beyond_what_may_be_pending_are_refused_until_the_thread_has_sent_them() {
    let mut handlers = Handlers::start(|config| {
        config.threads = 1;
        config.max_pending_bytes = 1 << 20;
    });
    let mut member = members(&mut handlers, 1).pop().unwrap();
    let occupied = Occupied::thread_of(&handlers.server);
    let message = "x".repeat(100_000);
    let publish = || handlers.queue.publish_text(PATH, "room", &message, None);
    let taken = (0..100).take_while(|_| publish().is_ok()).count();
    assert_eq!(taken, 11, "1 MiB and the message that passed it");
    assert!(matches!(publish(), Err(Error::Overloaded)));
    assert!(member.1.buffered_bytes() > 1 << 20, "what is on its way counts");
    drop(occupied);
    for _ in 0..taken {
        assert_eq!(member.0.text(), message);
    }
    eventually("nothing waits", || member.1.buffered_bytes() == 0);
    assert_eq!(publish().unwrap(), 1);
}

#[test]
fn a_member_is_flushed_when_what_is_on_its_way_has_been_written() {
    let mut handlers = Handlers::start(|config| config.threads = 1);
    let (mut client, connection) = members(&mut handlers, 1).pop().unwrap();
    let occupied = Occupied::thread_of(&handlers.server);
    handlers.queue.send_text(connection.id(), "hello");
    publish(&handlers, "room", "world");
    assert_eq!(connection.buffered_bytes(), 14);
    handlers.queue.when_flushed(&connection, 0, 1);
    handlers.queue.when_sent(PATH, "room", 2);
    handlers.take();
    assert_eq!(handlers.seen, []);
    drop(occupied);
    assert_eq!((client.text(), client.text()), ("hello".to_owned(), "world".to_owned()));
    handlers.until(|event| *event == Event::Flushed(1));
    assert_eq!(handlers.until(|event| *event == Event::Sent(2)).0.number(), 0, "of no connection");
    assert_eq!(connection.buffered_bytes(), 0);
    handlers.queue.when_sent(PATH, "nobody", 3);
    handlers.until(|event| *event == Event::Sent(3));
}

#[test]
fn what_is_sent_to_a_member_has_a_bound_also_while_its_thread_is_busy() {
    let mut handlers = Handlers::start(|config| {
        config.threads = 1;
        config.max_pending_bytes = 1 << 20;
    });
    let (mut client, connection) = members(&mut handlers, 1).pop().unwrap();
    let occupied = Occupied::thread_of(&handlers.server);
    let message = vec![0; 100_000];
    let sent = (0..100).take_while(|_| handlers.queue.send_binary(connection.id(), &message)).count();
    assert_eq!(sent, 12);
    drop(occupied);
    assert_eq!(client.closed().0, 1013);
}

#[test]
fn a_member_that_does_not_read_is_told_as_slow_and_then_closed_and_the_others_get_everything() {
    let mut handlers = Handlers::start(|config| config.max_outbox_bytes = 1 << 20);
    let mut members = members(&mut handlers, 2);
    let (mut slow, connection) = handlers.connect();
    connection.join("room", 100_000).unwrap();
    let message = "x".repeat(100_000);
    let mut published = 0;
    while connection.is_open() {
        published += 1;
        publish(&handlers, "room", &message);
        handlers.queue.when_sent(PATH, "room", published);
        for (client, _) in &mut members {
            assert_eq!(client.text(), message);
        }
        // Whoever waits for what it has published knows who is slow.
        handlers.until(|event| *event == Event::Sent(published));
        assert!(published < 1000, "it was never closed");
    }
    let slow_events = handlers.seen.iter().filter(|(_, event)| *event == Event::Slow("room".into()));
    assert_eq!(slow_events.map(|(id, _)| *id).collect::<Vec<_>>(), [connection.id()]);
    assert_eq!(slow.closed().0, 1013);
}

#[test]
fn what_was_published_before_the_hub_ends_arrives_before_the_close() {
    let mut handlers = Handlers::start(|_| ());
    let members = members(&mut handlers, 6);
    for number in 0..100 {
        assert_eq!(publish(&handlers, "room", &number.to_string()), 6);
    }
    handlers.queue.flush();
    let readers: Vec<_> = members
        .into_iter()
        .map(|(mut client, _)| {
            std::thread::spawn(move || {
                let ended = client.closed();
                while client.0.read().is_ok() {}
                ended
            })
        })
        .collect();
    assert_eq!(handlers.server.hub.close(support::PATIENCE), 0);
    for reader in readers {
        let (code, reason, messages) = reader.join().unwrap();
        assert!(code == 1012 && reason.starts_with("Service restart; retry "), "{code} {reason}");
        assert_eq!(messages, 100);
    }
    assert_eq!(handlers.queue.room_count(PATH), 0);
    assert_eq!(publish(&handlers, "room", "to nobody"), 0);
}

#[test]
fn who_waits_while_the_hub_is_dropped_is_told() {
    let mut handlers = Handlers::start(|_| ());
    let (client, joined) = members(&mut handlers, 1).pop().unwrap();
    let connection = Arc::downgrade(&joined);
    drop(joined);
    let Handlers { server, queue, .. } = handlers;
    drop(server);
    publish_after_the_end(&queue);
    drop(queue);
    eventually("its connection is gone", || connection.upgrade().is_none());
    drop(client);
}

fn publish_after_the_end(queue: &captify_hub::handlers::EventQueue) {
    let _ = queue.publish_text(PATH, "room", "too late", None);
    queue.when_sent(PATH, "room", 1);
    eventually("it is told", || {
        let mut events = captify_hub::handlers::Events::new();
        queue.take(&mut events);
        events.iter().any(|(_, event)| *event == Event::Sent(1))
    });
}

#[test]
fn thousands_of_joins_leaves_and_huge_messages_leave_nothing_behind() {
    let mut handlers = Handlers::start(|config| config.max_outbox_bytes = 64 << 20);
    let (mut client, connection) = handlers.connect();
    for number in 0..20_000 {
        let room = (number % 3000).to_string();
        let _ =
            connection.join(&room, NEVER).unwrap_or_else(|_| connection.leave(&(number % 500).to_string()));
        if number % 2 == 0 {
            connection.leave(&room);
        }
        assert_eq!(publish(&handlers, "of nobody", "hello"), 0);
    }
    for room in 0..3000 {
        connection.leave(&room.to_string());
    }
    assert_eq!(handlers.queue.room_count(PATH), 0);
    assert!(connection.join("huge", NEVER).unwrap());
    let huge = "h".repeat(10 << 20);
    assert_eq!(publish(&handlers, "huge", &huge), 1);
    handlers.queue.flush();
    assert_eq!(client.text().len(), huge.len());
    connection.terminate();
    assert_eq!(handlers.queue.room_count(PATH), 0);
}
