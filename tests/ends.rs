//! How connections end: by the peer, by silence, by the hub, by a panic.

#[path = "../examples/echo/endpoint.rs"]
mod echo;
mod support;

use std::{
    io::{Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use captify_hub::{
    admission::upgrade::Upgrade,
    connection::Connection,
    connection::endpoint::{Endpoint, Handler},
    server::accept::Incoming,
    websocket::close::Close,
};
use echo::Echo;
use support::{Server, eventually, frame};
use tokio_tungstenite::tungstenite::Message;

#[test]
fn draining_sends_what_waits_and_closes_everybody_with_1012() {
    let server = Server::start(|_| ());
    let clients: Vec<_> = (0..20).map(|n| server.join(&format!("doc{}", n % 3), "a")).collect();
    for document in server.hub.documents() {
        server.hub.publish(&document, None, "the last word").unwrap();
    }
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                assert_eq!(client.text(), "the last word");
                let (code, reason, _) = client.closed();
                assert!(code == 1012 && reason.starts_with("Service restart; retry "), "{code} {reason}");
                while client.0.read().is_ok() {}
            })
        })
        .collect();
    assert_eq!(server.hub.close(support::PATIENCE), 0);
    assert_eq!(server.hub.connection_count("fabric"), 0);
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn draining_cuts_off_who_does_not_answer_and_says_how_many() {
    let server = Server::start(|_| ());
    let _silent = [server.join("doc", "a"), server.join("doc", "b")];
    assert_eq!(server.hub.close(Duration::from_millis(100)), 2);
    assert_eq!(server.hub.close(Duration::from_millis(100)), 0);
}

#[test]
fn draining_waits_a_second_for_who_does_not_answer() {
    let server = Server::start(|_| ());
    let mut silent: Vec<_> = (0..3).map(|n| server.join("doc", &n.to_string())).collect();
    let mut answering = server.join("doc", "answering");
    let answers = std::thread::spawn(move || answering.closed().0);
    let began = Instant::now();
    assert_eq!(server.hub.close(support::PATIENCE), 3);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900) && took < support::PATIENCE / 2, "{took:?}");
    assert_eq!(answers.join().unwrap(), 1012);
    // They were told all the same.
    for client in &mut silent {
        assert_eq!(client.closed().0, 1012);
    }
}

#[test]
fn draining_waits_for_who_still_takes_what_waits() {
    let server = Server::start(|config| config.max_outbox_bytes = 64 << 20);
    let mut slow = server.join("doc", "slow");
    let text = "x".repeat(1 << 20);
    // More than the kernel keeps for both ends, so that the rest waits in the hub.
    for _ in 0..32 {
        server.hub.publish("doc", None, &text).unwrap();
    }
    let reads = std::thread::spawn(move || {
        let mut messages = 0;
        loop {
            match slow.0.read() {
                Ok(Message::Close(frame)) => return (messages, frame.map(|frame| frame.code.into())),
                Ok(_) => messages += 1,
                Err(error) => panic!("cut off after {messages} messages: {error}"),
            }
            // Several seconds in all, and never one without a byte.
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    server.hub.close(support::PATIENCE);
    assert_eq!(reads.join().unwrap(), (32, Some(1012_u16)));
}

#[test]
fn a_silent_peer_is_pinged_and_then_dropped() {
    // So long that who is alive has answered, also on a machine with other work.
    let server = Server::start(|config| config.heartbeat = Some(Duration::from_millis(500)));
    let mut alive = server.join("doc", "alive");
    let mut dead = server.raw("/ws/fabric?documentId=doc&clientID=dead", b"");
    let answering = std::thread::spawn(move || {
        // Reading answers pings; one that was dropped reads no more.
        while alive.message() != Message::text("enough") {}
    });
    let mut seen = Vec::new();
    dead.read_to_end(&mut seen).unwrap();
    assert!(seen.ends_with(&[0x89, 0]), "it was pinged before it was dropped");
    eventually("it leaves the counts", || server.hub.connection_count("doc") == 1);
    server.hub.publish("doc", None, "enough").unwrap();
    answering.join().unwrap();
}

#[test]
fn a_peer_that_reads_slowly_is_not_taken_for_one_that_is_gone() {
    let server = Server::start(|config| config.heartbeat = Some(Duration::from_millis(300)));
    let (mut slow, stream) = support::socket_pair();
    // So that little is under way, and nearly all waits in the hub.
    socket2::SockRef::from(&stream).set_send_buffer_size(16 << 10).unwrap();
    socket2::SockRef::from(&slow).set_recv_buffer_size(16 << 10).unwrap();
    let upgrade = support::upgrade("/ws/fabric?documentId=doc&clientID=slow");
    server.hub.accept(Incoming { stream, upgrade, early: Vec::new() }).unwrap();
    support::read_head(&mut slow);

    // Many times as long as it may be silent, and no ping can come through meanwhile.
    let large = "x".repeat(8 << 20);
    server.hub.publish("doc", None, &large).unwrap();
    let (mut read, mut buffer) = (0, vec![0; 32 << 10]);
    while read < large.len() {
        let count = slow.read(&mut buffer).unwrap();
        assert!(count > 0, "it was dropped after {read} bytes");
        read += count;
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_peer_that_vanished_with_messages_waiting_for_it_is_dropped_too() {
    let server = Server::start(|config| config.heartbeat = Some(Duration::from_millis(100)));
    let _gone = server.join("doc", "gone");
    server.hub.publish("doc", None, &"x".repeat(32 << 20)).unwrap();
    eventually("it leaves the counts", || server.hub.connection_count("doc") == 0);
}

#[test]
fn a_peer_that_sends_is_not_pinged() {
    let server = Server::start(|config| config.heartbeat = Some(Duration::from_millis(400)));
    let mut busy = server.join("doc", "busy");
    let mut sent_before = Instant::now();
    for _ in 0..100 {
        let sent = Instant::now();
        busy.send(r#"{"type":"sync","documentId":"doc"}"#);
        while !busy.0.read().unwrap().is_text() {
            // Only where the machine stood still it was silent for so long.
            assert!(sent_before.elapsed() >= Duration::from_millis(300), "it was pinged");
        }
        sent_before = sent;
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_peer_that_does_not_finish_its_close_is_dropped() {
    let server = Server::start(|config| config.close_timeout = Duration::from_millis(100));
    let mut peer = server.connect("/ws/nothing");
    assert_eq!(peer.closed().0, 1003);
    // The client library has queued its answer, and never sends it.
    let mut rest = Vec::new();
    peer.0.get_mut().read_to_end(&mut rest).unwrap();
}

#[test]
fn a_peer_that_breaks_the_protocol_is_told_and_nobody_else_notices() {
    let server = Server::start(|config| config.max_message_bytes = 4096);
    let mut beside = server.join("doc", "beside");
    for (bytes, code) in [
        (b"\x81\x02{}".to_vec(), 1002),
        (frame(0xc1, b"{}"), 1002),
        (frame(0x83, b""), 1002),
        (frame(0x8b, b""), 1002),
        (frame(0x80, b"continues nothing"), 1002),
        ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x09, b""), 1002),
        (frame(0x88, b"\x03"), 1002),
        (frame(0x81, b"\xc3\x28"), 1007),
        (frame(0x82, &[0; 4097]), 1009),
        (frame(0x82, &vec![0; 70_000]), 1009),
    ] {
        let mut attacker = server.join("doc", "attacker");
        attacker.write_raw(&bytes);
        assert_eq!(attacker.closed().0, code, "{:x?}", &bytes[..bytes.len().min(16)]);
        eventually("the attacker leaves", || server.hub.connection_count("doc") == 1);
    }
    beside.hears_nothing("doc");
}

#[test]
fn a_socket_may_die_in_the_middle_of_anything() {
    let server = Server::start(|_| ());
    let mut beside = server.join("doc", "beside");
    let whole = frame(0x81, br#"{"type":"update","documentId":"doc","update":"cut"}"#);
    for cut in 0..whole.len() {
        let mut dying = server.join("doc", "dying");
        dying.write_raw(&whole[..cut]);
    }
    eventually("all have left", || server.hub.connection_count("doc") == 1);
    beside.hears_nothing("doc");
}

#[test]
fn a_refused_handshake_is_answered_over_http() {
    let server = Server::start(|_| ());
    let (mut client, stream) = support::socket_pair();
    let mut upgrade = support::upgrade("/ws/fabric?documentId=d&clientID=c");
    upgrade.request.headers.retain(|(name, _)| name != "Sec-WebSocket-Version");
    server.hub.accept(Incoming { stream, upgrade, early: b"more than was read".to_vec() }).unwrap();
    client.write_all(b"and more").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.ends_with("must be 13."), "{answer}");
}

/// Panics where a test asks for it.
#[derive(Debug)]
struct Panics;

impl Endpoint for Panics {
    fn path(&self) -> &'static str {
        "/ws/panics"
    }

    fn open(&self, _: &Arc<Connection>, upgrade: &Upgrade) -> Result<Box<dyn Handler>, Close> {
        assert!(upgrade.parameter("open").is_none(), "meant for the log: panic in open");
        Ok(Box::new(Panics))
    }
}

impl Handler for Panics {
    fn message(&mut self, _: &Arc<Connection>, _: &[u8], _: bool) {
        panic!("meant for the log: panic in message");
    }
}

#[test]
fn a_panic_closes_its_own_connection_and_no_other() {
    let server = Server::start(|config| config.threads = 1);
    server.hub.serve(Arc::new(Panics));
    server.hub.serve(Arc::new(Echo::new("/ws/echo")));
    let mut beside = server.connect("/ws/echo");
    for _ in 0..3 {
        let mut client = server.connect("/ws/panics");
        client.send("now");
        assert_eq!(client.closed().0, 1011);
        assert_eq!(server.connect("/ws/panics?open=1").closed().0, 1011);
        beside.send("still there");
        assert_eq!(beside.text(), "still there");
    }
    assert_eq!(server.hub.endpoint_count("/ws/panics"), 0);
    assert_eq!(server.hub.endpoint_count("/ws/echo"), 1);
}

#[test]
fn what_is_left_of_a_connection_that_panicked_reaches_nobody_else() {
    let server = Server::start(|config| config.threads = 1);
    server.hub.serve(Arc::new(Panics));
    server.hub.serve(Arc::new(Echo::new("/ws/echo")));
    let secret = b"only this client's";
    let rests = [
        frame(0x81, secret),
        frame(0x82, secret),
        [frame(0x89, secret), frame(0x81, secret)].concat(),
        [frame(0x01, secret), frame(0x80, secret)].concat(),
        frame(0x01, secret),
        [frame(0x88, &1000_u16.to_be_bytes()), frame(0x81, secret)].concat(),
        frame(0x81, &b"s".repeat(70_000)),
        // Against the protocol, and the beginning of a frame.
        [frame(0xf1, secret), frame(0x81, secret)].concat(),
        frame(0x81, secret)[..10].to_vec(),
        Vec::new(),
    ];
    for (index, rest) in rests.iter().enumerate() {
        for early in [false, true] {
            let bytes = [frame(0x81, b"now"), rest.clone()].concat();
            let mut client = server.connect_with("/ws/panics", if early { &bytes } else { &[] });
            if !early {
                client.write_raw(&bytes);
            }
            assert_eq!(client.closed().0, 1011, "rest {index}, early: {early}");
            let mut stranger = server.connect("/ws/echo");
            for sent in ["one", "two", "three"] {
                stranger.send(sent);
                assert_eq!(stranger.text(), sent, "rest {index}, early: {early}");
            }
        }
    }
}

#[test]
fn dropping_a_hub_ends_its_threads_and_sockets() {
    let server = Server::start(|_| ());
    let mut client = server.join("doc", "a");
    drop(server);
    // One that is just being taken in may still be told of the restart.
    while client.0.read().is_ok() {}
}
