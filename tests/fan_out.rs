//! Messages reach every other member of their document, once, in order.

#![allow(clippy::allow_attributes, clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use captify_hub::{admission::limits::Limits, admission::rate::Rate};
use support::Server;

#[test]
fn a_message_reaches_the_others_and_never_its_sender() {
    let server = Server::start(|_| ());
    let (mut a, mut b, mut c) = (server.join("doc", "a"), server.join("doc", "b"), server.join("doc", "c"));
    a.send(r#"{"type":"update","documentId":"doc","update":[1,2]}"#);
    let expected = r#"{"type":"update","documentId":"doc","update":[1,2],"clientID":"a","offset":1}"#;
    assert_eq!(b.text(), expected);
    assert_eq!(c.text(), expected);
    a.hears_nothing("doc");
}

#[test]
fn another_tab_of_the_same_client_is_another_connection() {
    let server = Server::start(|_| ());
    let (mut first, mut second) = (server.join("doc", "a"), server.join("doc", "a"));
    first.send(r#"{"type":"selection","documentId":"doc","selection":null}"#);
    assert_eq!(second.text(), r#"{"type":"selection","documentId":"doc","selection":null,"clientID":"a"}"#);
    assert_eq!(server.hub.connection_count("doc"), 2);
}

#[test]
fn documents_do_not_hear_each_other() {
    let server = Server::start(|_| ());
    let mut others: Vec<_> = (0..20).map(|n| server.join(&format!("other{n}"), "b")).collect();
    let mut a = server.join("doc", "a");
    a.send(r#"{"type":"update","documentId":"doc","update":1}"#);
    a.hears_nothing("doc");
    for (n, other) in others.iter_mut().enumerate() {
        other.hears_nothing(&format!("other{n}"));
    }
}

#[test]
fn every_member_gets_each_senders_messages_in_order_though_all_write_at_once() {
    const MEMBERS: usize = 8;
    const MESSAGES: usize = 300;
    let server = Server::start(|_| ());
    let clients: Vec<_> = (0..MEMBERS).map(|n| server.join("doc", &format!("c{n}"))).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(me, mut client)| {
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    client.send(&format!(r#"{{"type":"update","documentId":"doc","update":{number}}}"#));
                }
                let mut next = [0; MEMBERS];
                for _ in 0..MESSAGES * (MEMBERS - 1) {
                    let message: serde_json::Value = serde_json::from_str(&client.text()).unwrap();
                    let from: usize = message["clientID"].as_str().unwrap()[1..].parse().unwrap();
                    assert_ne!(from, me, "a sender got its own message");
                    assert_eq!(message["update"], next[from], "of c{from}, at c{me}");
                    next[from] += 1;
                }
                client
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().hears_nothing("doc");
    }
}

#[test]
fn frames_that_came_with_the_upgrade_are_obeyed() {
    let server = Server::start(|_| ());
    let mut b = server.join("doc", "b");
    let early = support::frame(0x81, br#"{"type":"awareness","documentId":"doc","awareness":7}"#);
    let _a = server.raw("/ws/fabric?documentId=doc&clientID=a", &early);
    assert_eq!(b.text(), r#"{"type":"awareness","documentId":"doc","awareness":7,"clientID":"a"}"#);
}

#[test]
fn a_message_is_delivered_though_its_sender_leaves_at_once() {
    let server = Server::start(|_| ());
    let mut b = server.join("doc", "b");
    for round in 0..50 {
        let mut a = server.join("doc", "a");
        let update = format!(r#"{{"type":"update","documentId":"doc","update":{round}}}"#);
        let bytes = [support::frame(0x81, update.as_bytes()), support::frame(0x88, b"")].concat();
        a.write_raw(&bytes);
        drop(a);
        assert_eq!(
            b.text(),
            format!(
                r#"{{"type":"update","documentId":"doc","update":{round},"clientID":"a","offset":{}}}"#,
                round + 1
            )
        );
    }
}

#[test]
fn a_binary_frame_with_json_is_read_like_a_text() {
    let server = Server::start(|_| ());
    let (mut a, mut b) = (server.join("doc", "a"), server.join("doc", "b"));
    a.write_raw(&support::frame(0x82, br#"{"type":"update","documentId":"doc","update":1}"#));
    assert_eq!(b.text(), r#"{"type":"update","documentId":"doc","update":1,"clientID":"a","offset":1}"#);
    a.write_raw(&support::frame(0x82, b"\xff\xfe"));
    assert_eq!(a.text(), r#"{"type":"error","message":"Invalid message format","code":"BAD_JSON"}"#);
}

#[test]
fn nobody_is_cut_off_for_moving_a_mouse_and_the_newest_counts() {
    let server = Server::start(|config| {
        config.limits = Limits {
            messages: Rate::new(100, 10),
            patience: Duration::from_millis(300),
            ..Limits::default()
        };
    });
    let mut watcher = server.join("doc", "watcher");
    let mut mouse = server.join("doc", "mouse");
    let last = 600;
    let begun = Instant::now();
    for position in 1..=last {
        mouse.send(&format!(r#"{{"type":"awareness","documentId":"doc","awareness":{position}}}"#));
        thread::sleep(Duration::from_millis(2));
    }
    let (mut seen, mut newest) = (0_u32, 0);
    while newest < last {
        let message: serde_json::Value = serde_json::from_str(&watcher.text()).unwrap();
        let position = message["awareness"].as_u64().unwrap();
        assert!(position > newest, "in order");
        newest = position;
        seen += 1;
    }
    let took = begun.elapsed();
    // The burst, and half of the rate for as long as it took.
    let most = 10.0 + 50.0 * took.as_secs_f64();
    assert!(seen > 20 && f64::from(seen) < most + 1.0, "{seen} of {last} in {took:?}, at 50 a second");
    // It was neither held back nor closed, and what it takes back before it goes is taken back.
    mouse.send(r#"{"type":"awareness","documentId":"doc","awareness":"one more"}"#);
    mouse.send(r#"{"type":"awareness","documentId":"doc","awareness":null}"#);
    mouse.close();
    while !watcher.text().contains(r#""awareness":null"#) {}
}
