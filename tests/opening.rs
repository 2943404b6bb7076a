//! Documents that take time to open: who wants to join waits, and nobody else does.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{sync::Arc, time::Duration};

use captify_hub::{
    Config,
    admission::{Access, Admission, upgrade::Upgrade},
    server::{accept::Incoming, users::Sessions},
    websocket::close::Close,
};
use serde_json::Value;
use support::{Client, Server, eventually, frame, late_log::LateLog, read_head, socket_pair, upgrade};
use tokio_tungstenite::tungstenite::{WebSocket, protocol::Role};

const TARGET: &str = "/ws/fabric?documentId=doc&clientID=";

fn start(change: impl FnOnce(&mut Config)) -> (Server, Arc<LateLog>) {
    let log = LateLog::slow_to_open();
    let opener = Arc::clone(&log);
    (Server::start_with(change, Some(opener)), log)
}

fn message(client: &mut Client) -> Value {
    serde_json::from_str(&client.text()).unwrap()
}

fn connected(client: &mut Client) -> Value {
    let connected = message(client);
    assert_eq!(connected["type"], "connected");
    connected
}

/// A client that comes in with what was decided about it.
fn come(server: &Server, client: &str, user: Option<&str>, admission: Admission) -> Client {
    let (mut stream, theirs) = socket_pair();
    let request = upgrade(&format!("{TARGET}{client}"));
    let request = Upgrade { user: user.map(Into::into), admission, ..request };
    server.hub.accept(Incoming { stream: theirs, upgrade: request, early: Vec::new() }).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    Client(WebSocket::from_raw_socket(stream, Role::Client, None))
}

#[test]
fn who_comes_while_a_document_is_opened_is_told_nothing_until_it_is_and_then_obeyed() {
    let (server, log) = start(|_| ());
    let update = |text: &str| format!(r#"{{"type":"update","documentId":"doc","update":"{text}"}}"#);
    let early = frame(0x81, update("early").as_bytes());
    let mut a = server.connect_with(&format!("{TARGET}a"), &early);
    let mut b = server.connect(&format!("{TARGET}b"));
    let opened = log.asked();
    a.send(&update("late"));
    assert_eq!(server.hub.publish("doc", None, r#"{"type":"steps"}"#).unwrap(), 0, "it has no members yet");
    assert_eq!(server.hub.broadcast("/ws/fabric", "\"to all\"").unwrap(), 2);
    let mut other = server.connect("/ws/fabric?documentId=other&clientID=a");
    let other_opened = log.asked();
    log.open(other_opened);
    connected(&mut other);
    assert_eq!(server.hub.connection_count("doc"), 0);
    log.open(opened);
    for client in [&mut a, &mut b] {
        assert_eq!(connected(client)["offset"], 0);
    }
    log.appended(3);
    log.answer(3);
    let mut types = [message(&mut a), message(&mut b), message(&mut b), message(&mut b)];
    types.sort_by_key(|message| message["offset"].as_u64());
    let texts: Vec<_> = types.iter().map(|message| message["update"].as_str().unwrap_or("steps")).collect();
    assert_eq!(texts, ["steps", "steps", "early", "late"], "what a route handler has published came first");
    assert_eq!(server.hub.connection_count("doc"), 2);
}

#[test]
fn nobody_waits_for_a_document_longer_than_the_deadline() {
    let (server, log) = start(|config| config.open_timeout = Duration::from_millis(50));
    let mut a = server.connect(&format!("{TARGET}a"));
    let opened = log.asked();
    assert_eq!(a.closed(), (1013, "The document was not opened in time".to_owned(), 0));
    // The document is opened for the next one all the same.
    log.open(opened);
    let mut b = server.connect(&format!("{TARGET}b"));
    connected(&mut b);
}

#[test]
fn a_document_that_cannot_be_opened_lets_nobody_in_and_the_next_one_tries_again() {
    let (server, log) = start(|_| ());
    let mut clients: Vec<_> = (0..3).map(|number| server.connect(&format!("{TARGET}{number}"))).collect();
    drop(log.asked());
    for client in &mut clients {
        assert_eq!(client.closed(), (1013, "The document could not be opened".to_owned(), 0));
    }
    let mut next = server.connect(&format!("{TARGET}next"));
    let opened = log.asked();
    log.open(opened);
    connected(&mut next);
}

#[test]
fn who_leaves_while_a_document_is_opened_leaves_nothing() {
    let (server, log) = start(|config| config.recovery_window = None);
    let leaving = server.connect(&format!("{TARGET}a"));
    let mut closing = server.connect(&format!("{TARGET}b"));
    let opened = log.asked();
    closing.0.close(None).unwrap();
    drop(leaving);
    drop(closing);
    log.open(opened);
    eventually("both are gone", || server.hub.total_count() == 0);
    // Nobody has joined it, so it is forgotten, and opened anew for the next one.
    let mut next = server.connect(&format!("{TARGET}c"));
    let opened = log.asked();
    log.open(opened);
    connected(&mut next);
}

#[test]
fn who_may_only_read_is_told_so_behind_connected_and_an_end_is_obeyed_before_it() {
    let (server, log) = start(|_| ());
    let read = || Admission { access: Some(Access::Read), ..Admission::default() };
    let mut reader = come(&server, "a", Some("anna"), read());
    let opened = log.asked();
    let mut sent_away = come(&server, "b", Some("berta"), read());
    let session = Admission { expires_in: Some(Duration::from_secs(30)), ..Admission::default() };
    let mut ending = come(&server, "c", Some("carl"), session);
    assert_eq!(server.hub.disconnect_user("berta", &Close::forbidden()), 1);
    assert_eq!(sent_away.closed(), (4403, "Forbidden".to_owned(), 0));
    assert_eq!(server.hub.renew_session(Sessions::User("nobody"), Duration::ZERO), 0);
    log.open(opened);
    connected(&mut reader);
    assert_eq!(message(&mut reader)["type"], "access");
    connected(&mut ending);
    assert_eq!(message(&mut ending)["type"], "session-expiring");
}

#[test]
fn a_drain_closes_who_waits_for_a_document_and_does_not_wait_for_it() {
    let (server, log) = start(|_| ());
    let mut a = server.connect(&format!("{TARGET}a"));
    let opened = log.asked();
    let closing = std::thread::spawn(move || server.hub.close(support::PATIENCE));
    let (code, reason, messages) = a.closed();
    assert!(code == 1012 && reason.starts_with("Service restart; retry ") && messages == 0, "{reason}");
    drop(a);
    assert_eq!(closing.join().unwrap(), 0);
    log.open(opened);
}

#[test]
fn a_full_document_is_full_also_for_those_who_waited() {
    let (server, log) = start(|config| config.limits.connections_per_document = 1);
    let mut a = server.connect(&format!("{TARGET}a"));
    let opened = log.asked();
    let mut b = server.connect(&format!("{TARGET}b"));
    log.open(opened);
    let (first, second) = (a.0.read().unwrap(), b.0.read().unwrap());
    let is_connected = |message: &tokio_tungstenite::tungstenite::Message| message.is_text();
    assert!(is_connected(&first) != is_connected(&second), "one of them: {first:?} {second:?}");
}
