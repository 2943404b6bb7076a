//! A member that does not read holds nobody up and costs bounded memory.

mod support;

use captify_hub::admission::limits::Limits;
use support::{Server, eventually};

#[test]
fn a_member_that_stops_reading_is_closed_as_slow_and_the_others_miss_nothing() {
    const MESSAGES: usize = 400;
    let server = Server::start(|config| config.max_outbox_bytes = 256 << 10);
    let mut slow = Some(server.join("doc", "slow"));
    let mut told = None;
    let mut writer = server.join("doc", "writer");
    let mut reader = server.join("doc", "reader");
    let payload = "x".repeat(64 << 10);
    for number in 0..MESSAGES {
        writer.send(&format!(r#"{{"type":"update","documentId":"doc","update":"{number} {payload}"}}"#));
        let text = reader.text();
        assert!(text.starts_with(&format!(r#"{{"type":"update","documentId":"doc","update":"{number} x"#)));
        // It reads on once it is closed, or would be cut off after a while.
        if server.hub.connection_count("doc") == 2
            && let Some(mut slow) = slow.take()
        {
            told = Some(std::thread::spawn(move || slow.closed()));
        }
    }
    let (code, _, received) = told.expect("the slow member leaves").join().unwrap();
    assert_eq!(code, 1013);
    assert!(received < MESSAGES, "{received} fitted into the socket's own buffers");
}

#[test]
fn of_awareness_only_the_newest_waits_for_a_slow_member() {
    const MESSAGES: usize = 2000;
    let server = Server::start(|config| {
        config.max_outbox_bytes = 256 << 10;
        // It may take longer than somebody may be silent.
        config.heartbeat = None;
    });
    let mut slow = server.join("doc", "slow");
    let mut writer = server.join("doc", "writer");
    let padding = "x".repeat(16 << 10);
    for number in 0..MESSAGES {
        writer.send(&format!(
            r#"{{"type":"awareness","documentId":"doc","awareness":{{"n":{number},"p":"{padding}"}}}}"#
        ));
    }
    writer.hears_nothing("doc");
    assert_eq!(server.hub.connection_count("doc"), 2, "32 MiB of cursors closed nobody");
    let (mut last, mut received) = (0, 0);
    while last < MESSAGES as u64 - 1 {
        let message: serde_json::Value = serde_json::from_str(&slow.text()).unwrap();
        let number = message["awareness"]["n"].as_u64().unwrap();
        assert!(received == 0 || number > last, "never an older one after a newer");
        (last, received) = (number, received + 1);
    }
    assert!(received < MESSAGES, "some were replaced by newer ones");
}

#[test]
fn one_message_may_be_larger_than_what_may_wait() {
    let server = Server::start(|config| config.max_outbox_bytes = 64 << 10);
    let mut reader = server.join("doc", "a");
    let large = "x".repeat(16 << 20);
    server.hub.publish("doc", None, &large).unwrap();
    assert_eq!(reader.text().len(), large.len());
    reader.hears_nothing("doc");
}

#[test]
fn a_peer_that_pings_without_reading_is_closed_too() {
    let server = Server::start(|config| {
        config.max_outbox_bytes = 64 << 10;
        // Its rate would close it sooner.
        config.limits = Limits::none();
    });
    let mut peer = server.join("doc", "a");
    let pings = support::frame(0x89, &[0x55; 125]).repeat(500);
    peer.0.get_mut().set_write_timeout(Some(support::PATIENCE)).unwrap();
    for _ in 0..2000 {
        if std::io::Write::write_all(peer.0.get_mut(), &pings).is_err() {
            break;
        }
        if server.hub.connection_count("doc") == 0 {
            return;
        }
    }
    eventually("it leaves", || server.hub.connection_count("doc") == 0);
}
