//! Endpoints whose handler is a script, with Rust in the script's place.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::Receiver,
    },
};

use captify_hub::{
    Config, Error,
    accept::Incoming,
    close::Close,
    connection::{Connection, ConnectionId},
    endpoint::{Endpoint, Session},
    handshake::Upgrade,
    limits::Limits,
    scripted::{Doorbell, Event, Letters, Line, Mailbox, Scripted},
};
use support::{Client, Server, eventually, frame};
use tokio_tungstenite::tungstenite::Message;

const PATH: &str = "/ws/script";

struct Bell(Arc<AtomicUsize>);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A script that takes its letters when the test says so.
struct Script {
    server: Server,
    mailbox: Arc<Mailbox>,
    rings: Arc<AtomicUsize>,
    /// Letters that were taken before the one that the test waited for.
    seen: Letters,
}

impl Script {
    fn start(change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::start(change);
        let rings = Arc::new(AtomicUsize::new(0));
        let bell = Box::new(Bell(Arc::clone(&rings)));
        let mailbox = Arc::new(Mailbox::new(bell, server.hub.config().max_inbox_bytes));
        server.hub.serve(Arc::new(Scripted::new(PATH, Arc::clone(&mailbox))));
        Self { server, mailbox, rings, seen: Letters::new() }
    }

    /// Takes what there is.
    fn take(&mut self) {
        let mut letters = Letters::new();
        self.mailbox.take(&mut letters);
        for (id, event) in letters {
            self.mailbox.seen(id, &event);
            self.seen.push((id, event));
        }
    }

    /// Takes letters until `wanted` is among them.
    fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> (ConnectionId, Event) {
        let deadline = std::time::Instant::now() + support::PATIENCE;
        loop {
            self.take();
            if let Some(index) = self.seen.iter().position(|(_, event)| wanted(event)) {
                return self.seen.remove(index);
            }
            assert!(std::time::Instant::now() < deadline, "only {:?} came", self.seen);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// A client and its line, which is ready for messages.
    fn connect(&mut self) -> (Client, Arc<Line>) {
        let client = self.server.connect(PATH);
        let (id, _) = self.until(|event| *event == Event::Open);
        let line = self.mailbox.line(id).unwrap();
        line.ready();
        (client, line)
    }
}

fn text(text: &str) -> Event {
    Event::Text(text.as_bytes().into())
}

#[test]
fn messages_come_in_order_with_their_kind_and_go_back_in_order() {
    let mut script = Script::start(|_| ());
    let (mut client, line) = script.connect();
    client.send("one");
    client.0.send(Message::binary(vec![0, 255])).unwrap();
    client.send("");
    script.until(|event| *event == text(""));
    assert_eq!(script.seen, [(line.id(), text("one")), (line.id(), Event::Binary([0, 255].into()))]);
    assert!(script.mailbox.send_text(line.id(), "back"));
    assert!(script.mailbox.send_binary(line.id(), &[1, 2]));
    script.mailbox.flush();
    assert_eq!(client.text(), "back");
    assert_eq!(client.0.read().unwrap(), Message::binary(vec![1, 2]));
}

#[test]
fn the_bell_is_rung_once_however_much_is_in_the_mailbox() {
    let mut script = Script::start(|_| ());
    let (mut client, line) = script.connect();
    let before = script.rings.load(Ordering::SeqCst);
    for _ in 0..100 {
        client.send("x");
    }
    client.send("last");
    // The hub answers pings by itself, after what came before them.
    client.write_raw(&frame(0x89, b"done"));
    while !matches!(client.0.read().unwrap(), Message::Pong(_)) {}
    assert_eq!(script.rings.load(Ordering::SeqCst), before + 1);
    script.until(|event| *event == text("last"));
    client.send("again");
    script.until(|event| *event == text("again"));
    assert_eq!(script.rings.load(Ordering::SeqCst), before + 2);
    assert_eq!(line.buffered_bytes(), 0);
}

#[test]
fn nothing_is_written_before_the_end_of_the_turn() {
    let mut script = Script::start(|_| ());
    let (mut client, line) = script.connect();
    for _ in 0..10 {
        script.mailbox.send_text(line.id(), "hello");
    }
    assert_eq!(line.buffered_bytes(), 70);
    // Sent by another way, it overtakes what waits for the end of the turn.
    script.server.hub.broadcast(PATH, "first").unwrap();
    assert_eq!(client.text(), "first");
    script.mailbox.flush();
    assert_eq!(line.buffered_bytes(), 0);
    for _ in 0..10 {
        assert_eq!(client.text(), "hello");
    }
}

#[test]
fn a_client_is_held_back_while_its_messages_are_not_taken_and_loses_none() {
    let mut script = Script::start(|config| config.max_inbox_bytes = 64 << 10);
    let (mut client, line) = script.connect();
    let mut beside = script.server.join("doc", "beside");
    let count = 400;
    let sender = std::thread::spawn(move || {
        for number in 0..count {
            // 40 MB, which no kernel buffer takes.
            client.send(&format!("{number}:{}", "x".repeat(100_000)));
        }
        client
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!sender.is_finished(), "the client could send all of it");
    beside.hears_nothing("doc");
    let mut letters = Letters::new();
    script.mailbox.take(&mut letters);
    let held: usize = letters.iter().map(|(_, event)| size(event)).sum();
    // The bound, the message that passed it, and what was read with that.
    assert!((64 << 10..400 << 10).contains(&held), "{held} bytes were held");
    for (id, event) in letters {
        script.mailbox.seen(id, &event);
        script.seen.push((id, event));
    }
    script.until(|event| matches!(event, Event::Text(text) if text.starts_with(b"399:")));
    let numbers: Vec<_> = script.seen.iter().filter_map(|(_, event)| number(event)).collect();
    assert_eq!(numbers, (0..count - 1).collect::<Vec<_>>());
    assert!(line.is_open());
    sender.join().unwrap();
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
    let mut script = Script::start(|config| config.max_inbox_bytes = 4 << 10);
    let mut client = script.server.connect(PATH);
    let (id, _) = script.until(|event| *event == Event::Open);
    client.send(&"a".repeat(5000));
    script.until(|event| size(event) == 5000);
    client.send("behind");
    std::thread::sleep(std::time::Duration::from_millis(100));
    script.take();
    assert_eq!(script.seen, [], "it was read although the script was not ready");
    script.mailbox.line(id).unwrap().ready();
    script.until(|event| *event == text("behind"));
}

#[test]
fn a_client_that_is_held_back_is_not_taken_for_dead() {
    let mut script = Script::start(|config| {
        config.max_inbox_bytes = 4 << 10;
        config.heartbeat = Some(std::time::Duration::from_millis(50));
    });
    let (mut client, line) = script.connect();
    client.send(&"a".repeat(5000));
    client.send("behind");
    std::thread::sleep(std::time::Duration::from_millis(500));
    script.until(|event| *event == text("behind"));
    assert!(line.is_open());
}

#[test]
fn the_script_learns_how_a_connection_ended() {
    let mut script = Script::start(|_| ());
    let closed = |code, reason: &str| Event::Closed { code, reason: reason.to_owned() };

    let (mut client, line) = script.connect();
    client.write_raw(&frame(0x88, b"\x0f\xa1bye"));
    let (id, event) = script.until(|event| matches!(event, Event::Closed { .. }));
    assert_eq!((id, event), (line.id(), closed(4001, "bye")));
    assert_eq!(script.seen.pop(), Some((line.id(), Event::Closing)));
    assert!(script.mailbox.line(id).is_none());
    assert!(!script.mailbox.send_text(id, "too late"));

    let (mut client, _) = script.connect();
    client.write_raw(&frame(0x88, b""));
    assert_eq!(script.until(|event| matches!(event, Event::Closed { .. })).1, closed(1005, ""));

    let (client, _) = script.connect();
    drop(client);
    assert_eq!(script.until(|event| matches!(event, Event::Closed { .. })).1, closed(1006, ""));

    let (mut client, _) = script.connect();
    client.write_raw(&frame(0xc1, b"reserved bit"));
    assert_eq!(client.closed().0, 1002);
    drop(client);
    assert_eq!(script.until(|event| matches!(event, Event::Closed { .. })).1, closed(1006, ""));

    assert_eq!(script.server.hub.endpoint_count(PATH), 0);
}

#[test]
fn the_script_closes_with_or_without_a_code_after_what_it_sent() {
    let mut script = Script::start(|_| ());
    for (close, expected) in [(Close::new(4002, "enough"), 4002), (Close::new(1005, ""), 1005)] {
        let (mut client, line) = script.connect();
        script.mailbox.send_text(line.id(), "last");
        line.close(&close);
        script.mailbox.flush();
        let (code, _, messages) = client.closed();
        assert_eq!((code, messages), (expected, 1));
        client.close();
        let (_, event) = script.until(|event| matches!(event, Event::Closed { .. }));
        assert!(matches!(event, Event::Closed { code, .. } if code == expected), "{event:?}");
        script.seen.clear();
    }
    let (mut client, line) = script.connect();
    line.terminate();
    assert!(client.0.read().is_err());
}

#[test]
fn a_pong_is_told_where_the_script_has_pinged() {
    let mut script = Script::start(|_| ());
    let (mut client, line) = script.connect();
    client.write_raw(&frame(0x8a, b"unasked"));
    client.send("1");
    script.until(|event| *event == text("1"));
    line.ping(b"asked");
    assert_eq!(client.0.read().unwrap(), Message::Ping("asked".into()));
    client.0.flush().unwrap();
    assert_eq!(script.until(|event| matches!(event, Event::Pong(_))).1, Event::Pong(b"asked"[..].into()));
    assert!(script.seen.iter().all(|(_, event)| !matches!(event, Event::Pong(_))));
}

#[test]
fn the_script_is_told_when_its_messages_are_written() {
    let mut script = Script::start(|config| config.max_outbox_bytes = 64 << 20);
    let (mut client, line) = script.connect();
    script.mailbox.when_flushed(&line, 0, 1);
    script.until(|event| *event == Event::Flushed(1));

    for _ in 0..4 {
        script.mailbox.send_binary(line.id(), &vec![0; 8 << 20]);
    }
    script.mailbox.when_flushed(&line, 16 << 20, 2);
    script.mailbox.when_flushed(&line, 0, 3);
    assert!(line.buffered_bytes() > 16 << 20);
    script.take();
    assert_eq!(script.seen, []);
    for _ in 0..4 {
        assert_eq!(client.0.read().unwrap().len(), 8 << 20);
    }
    script.until(|event| *event == Event::Flushed(3));
    assert_eq!(script.seen, [(line.id(), Event::Flushed(2))]);
    assert_eq!(line.buffered_bytes(), 0);
}

#[test]
fn who_waits_for_a_connection_that_ends_is_told_too() {
    let mut script = Script::start(|_| ());
    let (client, line) = script.connect();
    script.mailbox.send_binary(line.id(), &vec![0; 32 << 20]);
    script.mailbox.when_flushed(&line, 0, 1);
    drop(client);
    drop(line);
    script.until(|event| *event == Event::Flushed(1));
}

#[test]
fn a_client_that_does_not_read_is_closed_as_slow_with_a_bound_on_what_waits() {
    let mut script = Script::start(|config| config.max_outbox_bytes = 1 << 20);
    let (client, line) = script.connect();
    let megabyte = vec![0; 1 << 20];
    let sent = (0..100).take_while(|_| script.mailbox.send_binary(line.id(), &megabyte)).count();
    assert!(sent < 20, "{sent} MiB were taken");
    assert!(!line.is_open());
    assert!(line.buffered_bytes() < 4 << 20);
    drop(client);
    script.until(|event| matches!(event, Event::Closed { code: 1006, .. }));
}

#[test]
fn an_announced_connection_that_is_refused_is_told() {
    let mut script = Script::start(|_| ());
    let (_client, stream) = support::socket_pair();
    let mut upgrade = support::upgrade(PATH);
    upgrade.headers.clear();
    let incoming = Incoming { stream, upgrade, early: Vec::new() };
    let id = script.server.hub.accept(incoming).unwrap();
    assert_eq!(script.until(|event| *event == Event::Refused).0, id);
}

/// Keeps its thread busy until its sender is gone.
#[derive(Debug)]
struct Busy(Mutex<Receiver<()>>);

impl Endpoint for Busy {
    fn path(&self) -> &'static str {
        "/ws/busy"
    }

    fn open(&self, _: &Arc<Connection>, _: &Upgrade) -> Result<Box<dyn Session>, Close> {
        let _ = self.0.lock().unwrap().recv();
        Err(Close::internal())
    }
}

fn reset(client: TcpStream) {
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
}

#[test]
fn a_client_that_resets_before_it_is_answered_is_told_as_closed() {
    let mut script = Script::start(|config| config.threads = 1);
    let (free, busy) = std::sync::mpsc::channel();
    script.server.hub.serve(Arc::new(Busy(Mutex::new(busy))));
    let (_waits, stream) = support::socket_pair();
    let (client, leaving) = support::socket_pair();
    let incoming = |stream, path| Incoming { stream, upgrade: support::upgrade(path), early: Vec::new() };
    script.server.hub.accept(incoming(stream, "/ws/busy")).unwrap();
    let id = script.server.hub.accept(incoming(leaving, PATH)).unwrap();
    reset(client);
    drop(free);
    assert_eq!(script.until(|event| *event == Event::Open).0, id);
    let (ended, event) = script.until(|event| matches!(event, Event::Closed { .. }));
    assert_eq!((ended, event), (id, Event::Closed { code: 1006, reason: String::new() }));
    assert!(script.mailbox.line(id).is_none());
    assert_eq!(script.server.hub.endpoint_count(PATH), 0);
}

#[test]
fn a_client_that_resets_before_it_is_handed_over_is_not_taken() {
    let script = Script::start(|_| ());
    let (client, stream) = support::socket_pair();
    reset(client);
    let incoming = Incoming { stream, upgrade: support::upgrade(PATH), early: Vec::new() };
    assert!(matches!(script.server.hub.accept(incoming), Err(Error::Gone)));
    assert_eq!(script.server.hub.close(support::PATIENCE), 0);
    assert_eq!(script.rings.load(Ordering::SeqCst), 0);
}

#[test]
fn pongs_that_are_not_taken_hold_their_client_back() {
    let mut script = Script::start(|config| {
        config.max_inbox_bytes = 64 << 10;
        config.limits = Limits::none();
    });
    let (mut client, line) = script.connect();
    line.ping(b"asked");
    let pongs = frame(0x8a, &[0; 125]).repeat(1000);
    let sender = std::thread::spawn(move || {
        // 26 MB, which no kernel buffer takes.
        for _ in 0..200 {
            client.write_raw(&pongs);
        }
        client
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!sender.is_finished(), "the client could send all of it");
    let mut letters = Letters::new();
    script.mailbox.take(&mut letters);
    // The bound, and what was read with the pong that passed it.
    assert!((300..3000).contains(&letters.len()), "{} pongs were held", letters.len());
    for (id, event) in letters {
        script.mailbox.seen(id, &event);
    }
    while !sender.is_finished() {
        script.take();
        script.seen.clear();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let mut client = sender.join().unwrap();
    client.send("behind");
    script.until(|event| *event == text("behind"));
}

#[test]
fn draining_tells_the_script_of_every_connection_before_it_is_done() {
    let mut script = Script::start(|_| ());
    let clients: Vec<_> = (0..10).map(|_| script.connect().0).collect();
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| std::thread::spawn(move || while client.0.read().is_ok() {}))
        .collect();
    assert_eq!(script.server.hub.close(support::PATIENCE), 0);
    script.take();
    let ended = script.seen.iter().filter(|(_, event)| matches!(event, Event::Closed { code: 1012, .. }));
    assert_eq!(ended.count(), 10);
    eventually("the clients end", || readers.iter().all(std::thread::JoinHandle::is_finished));
}
