//! Endpoints whose handler is written in another language, with Rust in its place.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{cell::RefCell, net::TcpStream, sync::atomic::Ordering, time::Instant};

use captify_hub::{
    Error,
    admission::limits::Limits,
    handlers::{Event, Events},
    server::accept::Incoming,
    websocket::close::Close,
};
use support::{
    eventually, frame,
    handlers::{Handlers, Occupied, PATH},
};
use tokio_tungstenite::tungstenite::Message;

fn text(text: &str) -> Event {
    Event::Text(text.as_bytes().into())
}

#[test]
fn messages_come_in_order_with_their_kind_and_go_back_in_order() {
    let mut handlers = Handlers::start(|_| ());
    let (mut client, connection) = handlers.connect();
    client.send("one");
    client.0.send(Message::binary(vec![0, 255])).unwrap();
    client.send("");
    handlers.until(|event| *event == text(""));
    assert_eq!(
        handlers.seen,
        [(connection.id(), text("one")), (connection.id(), Event::Binary([0, 255].into()))]
    );
    assert!(handlers.queue.send_text(connection.id(), "back"));
    assert!(handlers.queue.send_binary(connection.id(), &[1, 2]));
    handlers.queue.flush();
    assert_eq!(client.text(), "back");
    assert_eq!(client.0.read().unwrap(), Message::binary(vec![1, 2]));
}

#[test]
fn the_bell_is_rung_once_however_much_is_in_the_mailbox() {
    let mut handlers = Handlers::start(|_| ());
    let (mut client, connection) = handlers.connect();
    let before = handlers.notified.load(Ordering::SeqCst);
    for _ in 0..100 {
        client.send("x");
    }
    client.send("last");
    // The hub answers pings by itself, after what came before them.
    client.write_raw(&frame(0x89, b"done"));
    while !matches!(client.0.read().unwrap(), Message::Pong(_)) {}
    assert_eq!(handlers.notified.load(Ordering::SeqCst), before + 1);
    handlers.until(|event| *event == text("last"));
    client.send("again");
    handlers.until(|event| *event == text("again"));
    assert_eq!(handlers.notified.load(Ordering::SeqCst), before + 2);
    assert_eq!(connection.buffered_bytes(), 0);
}

#[test]
fn nothing_is_written_before_the_end_of_the_turn() {
    let mut handlers = Handlers::start(|_| ());
    let (mut client, connection) = handlers.connect();
    for _ in 0..10 {
        handlers.queue.send_text(connection.id(), "hello");
    }
    assert_eq!(connection.buffered_bytes(), 70);
    // Latest by another way, it overtakes what waits for the end of the turn.
    handlers.server.hub.broadcast(PATH, "first").unwrap();
    assert_eq!(client.text(), "first");
    handlers.queue.flush();
    assert_eq!(connection.buffered_bytes(), 0);
    for _ in 0..10 {
        assert_eq!(client.text(), "hello");
    }
}

#[test]
fn a_client_is_held_back_while_its_messages_are_not_taken_and_loses_none() {
    let mut handlers = Handlers::start(|config| config.max_inbox_bytes = 64 << 10);
    let (mut client, connection) = handlers.connect();
    let mut beside = handlers.server.join("doc", "beside");
    let count = 400;
    let sender = std::thread::spawn(move || {
        for number in 0..count {
            // 40 MB, which no kernel buffer takes.
            client.send(&format!("{number}:{}", "x".repeat(100_000)));
        }
        client
    });
    let held = held(&handlers, |held| held.iter().map(|(_, event)| size(event)).sum::<usize>() >= 64 << 10);
    assert!(!sender.is_finished(), "the client could send all of it");
    beside.hears_nothing("doc");
    let bytes: usize = held.iter().map(|(_, event)| size(event)).sum();
    // The bound, the message that passed it, and what was read with that.
    assert!(bytes < 400 << 10, "{bytes} bytes were held");
    for (id, event) in held {
        handlers.queue.seen(id, &event);
        handlers.seen.push((id, event));
    }
    handlers.until(|event| matches!(event, Event::Text(text) if text.starts_with(b"399:")));
    let numbers: Vec<_> = handlers.seen.iter().filter_map(|(_, event)| number(event)).collect();
    assert_eq!(numbers, (0..count - 1).collect::<Vec<_>>());
    assert!(connection.is_open());
    sender.join().unwrap();
}

/// Takes events, without having seen them, until they are as many as are held at least, and what comes after that.
fn held(handlers: &Handlers, is_enough: impl Fn(&Events) -> bool) -> Events {
    let held = RefCell::new(Events::new());
    let take = || {
        let mut events = Events::new();
        handlers.queue.take(&mut events);
        held.borrow_mut().append(&mut events);
    };
    eventually("as many are held as may be", || {
        take();
        is_enough(&held.borrow())
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    take();
    held.into_inner()
}

fn size(event: &Event) -> usize {
    if let Event::Text(text) = event { text.len() } else { 0 }
}

fn number(event: &Event) -> Option<usize> {
    let Event::Text(text) = event else { return None };
    std::str::from_utf8(text).unwrap().split_once(':')?.0.parse().ok()
}

#[test]
fn what_was_given_before_the_script_was_ready_counts_until_it_is() {
    let mut handlers = Handlers::start(|config| config.max_inbox_bytes = 4 << 10);
    let mut client = handlers.server.connect(PATH);
    let (id, _) = handlers.until(|event| *event == Event::Open);
    client.send(&"a".repeat(5000));
    handlers.until(|event| size(event) == 5000);
    client.send("behind");
    std::thread::sleep(std::time::Duration::from_millis(100));
    handlers.take();
    assert_eq!(handlers.seen, [], "it was read although the handlers was not ready");
    handlers.queue.connection(id).unwrap().ready();
    handlers.until(|event| *event == text("behind"));
}

#[test]
fn a_client_that_is_held_back_is_not_taken_for_dead() {
    let mut handlers = Handlers::start(|config| {
        config.max_inbox_bytes = 4 << 10;
        config.heartbeat = Some(std::time::Duration::from_millis(50));
    });
    let (mut client, connection) = handlers.connect();
    client.send(&"a".repeat(5000));
    client.send("behind");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(connection.is_open());
    // What it has sent is read yet, which of one that was dropped it is not.
    handlers.until(|event| *event == text("behind"));
}

#[test]
fn the_script_learns_how_a_connection_ended() {
    let mut handlers = Handlers::start(|_| ());
    let closed = |code, reason: &str| Event::Closed { code, reason: reason.to_owned() };

    let (mut client, connection) = handlers.connect();
    client.write_raw(&frame(0x88, b"\x0f\xa1bye"));
    let (id, event) = handlers.until(|event| matches!(event, Event::Closed { .. }));
    assert_eq!((id, event), (connection.id(), closed(4001, "bye")));
    assert_eq!(handlers.seen.pop(), Some((connection.id(), Event::Closing)));
    assert!(handlers.queue.connection(id).is_none());
    assert!(!handlers.queue.send_text(id, "too late"));

    let (mut client, _) = handlers.connect();
    client.write_raw(&frame(0x88, b""));
    assert_eq!(handlers.until(|event| matches!(event, Event::Closed { .. })).1, closed(1005, ""));

    let (client, _) = handlers.connect();
    drop(client);
    assert_eq!(handlers.until(|event| matches!(event, Event::Closed { .. })).1, closed(1006, ""));

    let (mut client, _) = handlers.connect();
    client.write_raw(&frame(0xc1, b"reserved bit"));
    assert_eq!(client.closed().0, 1002);
    drop(client);
    assert_eq!(handlers.until(|event| matches!(event, Event::Closed { .. })).1, closed(1006, ""));

    assert_eq!(handlers.server.hub.endpoint_count(PATH), 0);
}

#[test]
fn the_script_closes_with_or_without_a_code_after_what_it_sent() {
    let mut handlers = Handlers::start(|_| ());
    for (close, expected) in [(Close::new(4002, "enough"), 4002), (Close::new(1005, ""), 1005)] {
        let (mut client, connection) = handlers.connect();
        handlers.queue.send_text(connection.id(), "last");
        connection.close(&close);
        handlers.queue.flush();
        let (code, _, messages) = client.closed();
        assert_eq!((code, messages), (expected, 1));
        client.close();
        let (_, event) = handlers.until(|event| matches!(event, Event::Closed { .. }));
        assert!(matches!(event, Event::Closed { code, .. } if code == expected), "{event:?}");
        handlers.seen.clear();
    }
    let (mut client, connection) = handlers.connect();
    connection.terminate();
    assert!(client.0.read().is_err());
}

#[test]
fn a_pong_is_told_where_the_script_has_pinged() {
    let mut handlers = Handlers::start(|_| ());
    let (mut client, connection) = handlers.connect();
    client.write_raw(&frame(0x8a, b"unasked"));
    client.send("1");
    handlers.until(|event| *event == text("1"));
    connection.ping(b"asked");
    assert_eq!(client.0.read().unwrap(), Message::Ping("asked".into()));
    client.0.flush().unwrap();
    assert_eq!(handlers.until(|event| matches!(event, Event::Pong(_))).1, Event::Pong(b"asked"[..].into()));
    assert!(handlers.seen.iter().all(|(_, event)| !matches!(event, Event::Pong(_))));
}

#[test]
fn the_script_is_told_when_its_messages_are_written() {
    let mut handlers = Handlers::start(|config| config.max_outbox_bytes = 64 << 20);
    let (mut client, connection) = handlers.connect();
    handlers.queue.when_flushed(&connection, 0, 1);
    handlers.until(|event| *event == Event::Flushed(1));

    for _ in 0..4 {
        handlers.queue.send_binary(connection.id(), &vec![0; 8 << 20]);
    }
    handlers.queue.when_flushed(&connection, 16 << 20, 2);
    handlers.queue.when_flushed(&connection, 0, 3);
    assert!(connection.buffered_bytes() > 16 << 20);
    handlers.take();
    assert_eq!(handlers.seen, []);
    for _ in 0..4 {
        assert_eq!(client.0.read().unwrap().len(), 8 << 20);
    }
    handlers.until(|event| *event == Event::Flushed(3));
    assert_eq!(handlers.seen, [(connection.id(), Event::Flushed(2))]);
    assert_eq!(connection.buffered_bytes(), 0);
}

#[test]
fn who_waits_for_a_connection_that_ends_is_told_too() {
    let mut handlers = Handlers::start(|_| ());
    let (client, connection) = handlers.connect();
    handlers.queue.send_binary(connection.id(), &vec![0; 32 << 20]);
    handlers.queue.when_flushed(&connection, 0, 1);
    drop(client);
    drop(connection);
    handlers.until(|event| *event == Event::Flushed(1));
}

#[test]
fn a_client_that_does_not_read_is_closed_as_slow_with_a_bound_on_what_waits() {
    let mut handlers = Handlers::start(|config| config.max_outbox_bytes = 1 << 20);
    let (client, connection) = handlers.connect();
    let megabyte = vec![0; 1 << 20];
    let sent = (0..100).take_while(|_| handlers.queue.send_binary(connection.id(), &megabyte)).count();
    assert!(sent < 20, "{sent} MiB were taken");
    assert!(!connection.is_open());
    assert!(connection.buffered_bytes() < 4 << 20);
    drop(client);
    handlers.until(|event| matches!(event, Event::Closed { code: 1006, .. }));
}

#[test]
fn an_announced_connection_that_is_refused_is_told() {
    let mut handlers = Handlers::start(|_| ());
    let (_client, stream) = support::socket_pair();
    let mut upgrade = support::upgrade(PATH);
    upgrade.request.headers.clear();
    let incoming = Incoming { stream, upgrade, early: Vec::new() };
    let id = handlers.server.hub.accept(incoming).unwrap();
    assert_eq!(handlers.until(|event| *event == Event::Refused).0, id);
}

fn reset(client: TcpStream) {
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
}

#[test]
fn a_client_that_resets_before_it_is_answered_is_told_as_closed() {
    let mut handlers = Handlers::start(|config| config.threads = 1);
    let occupied = Occupied::thread_of(&handlers.server);
    let (client, leaving) = support::socket_pair();
    let incoming = Incoming { stream: leaving, upgrade: support::upgrade(PATH), early: Vec::new() };
    let id = handlers.server.hub.accept(incoming).unwrap();
    reset(client);
    drop(occupied);
    assert_eq!(handlers.until(|event| *event == Event::Open).0, id);
    let (ended, event) = handlers.until(|event| matches!(event, Event::Closed { .. }));
    assert_eq!((ended, event), (id, Event::Closed { code: 1006, reason: String::new() }));
    assert!(handlers.queue.connection(id).is_none());
    assert_eq!(handlers.server.hub.endpoint_count(PATH), 0);
}

#[test]
fn a_client_that_resets_before_it_is_handed_over_is_not_taken() {
    let handlers = Handlers::start(|_| ());
    let (client, stream) = support::socket_pair();
    reset(client);
    let incoming = Incoming { stream, upgrade: support::upgrade(PATH), early: Vec::new() };
    assert!(matches!(handlers.server.hub.accept(incoming), Err(Error::Gone)));
    assert_eq!(handlers.server.hub.close(support::PATIENCE), 0);
    assert_eq!(handlers.notified.load(Ordering::SeqCst), 0);
}

#[test]
fn pongs_that_are_not_taken_hold_their_client_back() {
    let mut handlers = Handlers::start(|config| {
        config.max_inbox_bytes = 64 << 10;
        config.limits = Limits::none();
    });
    let (mut client, connection) = handlers.connect();
    connection.ping(b"asked");
    let pongs = frame(0x8a, &[0; 125]).repeat(1000);
    let sender = std::thread::spawn(move || {
        // 26 MB, which no kernel buffer takes.
        for _ in 0..200 {
            client.write_raw(&pongs);
        }
        client
    });
    let held = held(&handlers, |held| held.len() >= 300);
    assert!(!sender.is_finished(), "the client could send all of it");
    // The bound, and what was read with the pong that passed it.
    assert!(held.len() < 3000, "{} pongs were held", held.len());
    for (id, event) in held {
        handlers.queue.seen(id, &event);
    }
    let deadline = Instant::now() + support::PATIENCE;
    while !sender.is_finished() {
        assert!(Instant::now() < deadline, "the client is still held back");
        handlers.take();
        handlers.seen.clear();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let mut client = sender.join().unwrap();
    client.send("behind");
    handlers.until(|event| *event == text("behind"));
}

#[test]
fn draining_tells_the_script_of_every_connection_before_it_is_done() {
    let mut handlers = Handlers::start(|_| ());
    let clients: Vec<_> = (0..10).map(|_| handlers.connect().0).collect();
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| std::thread::spawn(move || while client.0.read().is_ok() {}))
        .collect();
    assert_eq!(handlers.server.hub.close(support::PATIENCE), 0);
    handlers.take();
    let ended = handlers.seen.iter().filter(|(_, event)| matches!(event, Event::Closed { code: 1012, .. }));
    assert_eq!(ended.count(), 10);
    eventually("the clients end", || readers.iter().all(std::thread::JoinHandle::is_finished));
}
