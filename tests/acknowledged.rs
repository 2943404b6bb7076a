//! A client that numbers what it sends can send it again, and it is applied once.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use serde_json::Value;
use support::{Client, Server, eventually};

fn send(client: &mut Client, id: u64, ack: bool) {
    client
        .send(&format!(r#"{{"type":"update","documentId":"doc","update":"of {id}","id":{id},"ack":{ack}}}"#));
}

/// What an acknowledgement says: `upTo`.
fn acknowledged(text: &str) -> u64 {
    let ack: Value = serde_json::from_str(text).unwrap();
    assert_eq!(ack["type"], "ack", "{text}");
    ack["upTo"].as_u64().unwrap()
}

fn join(server: &Server, client: &str, more: &str) -> (Client, Value) {
    let mut joined = server.connect(&format!("/ws/fabric?documentId=doc&clientID={client}{more}"));
    let connected = serde_json::from_str(&joined.text()).unwrap();
    (joined, connected)
}

fn position(connected: &Value) -> String {
    let text = |key: &str| connected[key].as_str().unwrap().to_owned();
    format!("&token={}&epoch={}&offset={}", text("token"), text("epoch"), connected["offset"])
}

#[test]
fn a_number_that_was_applied_is_not_applied_again_and_acknowledged_again() {
    let server = Server::start(|_| ());
    let (mut a, _) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    send(&mut a, 1, true);
    assert_eq!(acknowledged(&a.text()), 1);
    send(&mut a, 1, true);
    assert_eq!(acknowledged(&a.text()), 1);
    send(&mut a, 3, true);
    assert_eq!(acknowledged(&a.text()), 3);
    send(&mut a, 2, true);
    assert_eq!(acknowledged(&a.text()), 3);
    assert!(b.text().contains("of 1"));
    assert!(b.text().contains("of 3"));
    b.hears_nothing("doc");
}

#[test]
fn an_acknowledgement_comes_when_it_is_asked_for_and_once_for_what_was_read_together() {
    let server = Server::start(|_| ());
    let (mut a, _) = join(&server, "a", "");
    a.send(r#"{"type":"ack","documentId":"doc"}"#);
    assert_eq!(acknowledged(&a.text()), 0);
    send(&mut a, 1, false);
    a.hears_nothing("doc");
    let text = |id| format!(r#"{{"type":"update","documentId":"doc","update":1,"id":{id},"ack":true}}"#);
    let together: Vec<u8> = (2..=9).flat_map(|id| support::frame(0x81, text(id).as_bytes())).collect();
    a.write_raw(&together);
    let mut last = acknowledged(&a.text());
    while last != 9 {
        last = acknowledged(&a.text());
    }
    a.hears_nothing("doc");
}

#[test]
fn who_comes_back_learns_what_was_applied_and_resends_the_rest() {
    let server = Server::start(|_| ());
    let mut b = server.join("doc", "b");
    let (mut a, connected) = join(&server, "a", "");
    send(&mut a, 1, false);
    send(&mut a, 2, false);
    assert!(b.text().contains("of 1"));
    assert!(b.text().contains("of 2"));
    drop(a);
    eventually("it leaves", || server.hub.connection_count("doc") == 1);
    let (mut a, _) = join(&server, "a", &position(&connected));
    assert_eq!(a.text(), r#"{"type":"recovered","from":0,"to":2,"upTo":2}"#);
    send(&mut a, 2, true);
    assert_eq!(acknowledged(&a.text()), 2);
    send(&mut a, 3, true);
    assert_eq!(acknowledged(&a.text()), 3);
    assert!(b.text().contains("of 3"));
    b.hears_nothing("doc");
}

#[test]
fn who_only_writes_learns_where_it_stands_and_is_not_told_to_reload_for_its_own_messages() {
    let server = Server::start(|config| config.history.messages = 2);
    let _other = server.join("doc", "b");
    let (mut a, connected) = join(&server, "a", "");
    for id in 1..=5 {
        send(&mut a, id, false);
    }
    // What was read together with the question is only sent after it is answered.
    let offset = loop {
        a.send(r#"{"type":"ack","documentId":"doc"}"#);
        let ack: Value = serde_json::from_str(&a.text()).unwrap();
        let offset = ack["offset"].as_u64().unwrap();
        assert!(offset <= 5);
        if offset == 5 {
            break offset;
        }
    };
    drop(a);
    eventually("it leaves", || server.hub.connection_count("doc") == 1);
    let stale = position(&connected);
    let fresh = stale.replace("&offset=0", &format!("&offset={offset}"));
    assert_ne!(stale, fresh);
    let (mut a, _) = join(&server, "a", &fresh);
    assert_eq!(a.text(), r#"{"type":"recovered","from":5,"to":5,"upTo":5}"#);
    drop(a);
    eventually("it leaves again", || server.hub.connection_count("doc") == 1);
    let (mut a, _) = join(&server, "a", &stale);
    assert_eq!(a.text(), r#"{"type":"reload","reason":"HISTORY_GONE","upTo":5}"#);
}

#[test]
fn numbers_of_another_tab_are_its_own() {
    let server = Server::start(|_| ());
    let (mut a, _) = join(&server, "a", "");
    let (mut tab, _) = join(&server, "a", "");
    send(&mut a, 1, true);
    assert_eq!(acknowledged(&a.text()), 1);
    assert!(tab.text().contains("of 1"));
    send(&mut tab, 1, true);
    assert_eq!(acknowledged(&tab.text()), 1);
    assert!(a.text().contains("of 1"));
}

#[test]
fn a_client_without_numbers_is_never_acknowledged_anything() {
    let server = Server::start(|_| ());
    let (mut a, _) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    for _ in 0..2 {
        a.send(r#"{"type":"update","documentId":"doc","update":1}"#);
        assert!(b.text().contains(r#""update":1,"clientID":"a","offset":"#));
    }
    a.hears_nothing("doc");
}

#[test]
fn a_client_alone_in_its_document_is_acknowledged_too_also_without_recovery() {
    for window in [None, Some(std::time::Duration::from_mins(1))] {
        let server = Server::start(|config| config.recovery_window = window);
        let (mut a, _) = join(&server, "a", "");
        send(&mut a, 7, true);
        assert_eq!(acknowledged(&a.text()), 7);
    }
}
