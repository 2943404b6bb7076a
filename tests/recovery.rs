//! A client that comes back gets exactly what it missed, or is told to reload.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{thread, time::Duration};

use captify_hub::config::Secret;
use serde_json::Value;
use support::{Client, Server, eventually};

/// How a client comes back: what the hub told it when it connected.
#[derive(Debug, Clone)]
struct Position {
    token: String,
    epoch: String,
    offset: u64,
}

impl Position {
    fn of(connected: &Value) -> Self {
        let text = |key: &str| connected[key].as_str().unwrap().to_owned();
        Self { token: text("token"), epoch: text("epoch"), offset: connected["offset"].as_u64().unwrap() }
    }

    fn at(&self, offset: u64) -> Self {
        Self { offset, ..self.clone() }
    }
}

fn json(client: &mut Client) -> Value {
    serde_json::from_str(&client.text()).unwrap()
}

fn join(server: &Server, client: &str) -> (Client, Position) {
    let mut joined = server.connect(&format!("/ws/fabric?documentId=doc&clientID={client}"));
    let position = Position::of(&json(&mut joined));
    (joined, position)
}

fn target(client: &str, Position { token, epoch, offset }: &Position) -> String {
    format!("/ws/fabric?documentId=doc&clientID={client}&token={token}&epoch={epoch}&offset={offset}")
}

/// Comes back; returns the client, its new position, and the hub's word on what it missed.
fn back(server: &Server, client: &str, position: &Position) -> (Client, Position, Value) {
    let mut joined = server.connect(&target(client, position));
    let position = Position::of(&json(&mut joined));
    let word = json(&mut joined);
    (joined, position, word)
}

fn reason(server: &Server, client: &str, position: &Position) -> String {
    let (mut joined, _, word) = back(server, client, position);
    assert_eq!(word["type"], "reload", "{word}");
    joined.hears_nothing("doc");
    word["reason"].as_str().unwrap().to_owned()
}

/// Ends a client's connection without a word, and waits until the hub has seen it.
fn cut(server: &Server, client: Client, left: usize) {
    drop(client);
    eventually("the connection is gone", || server.hub.connection_count("doc") == left);
}

fn update(client: &mut Client, number: usize) {
    client.send(&format!(r#"{{"type":"update","documentId":"doc","update":{number}}}"#));
}

fn message(number: usize) -> String {
    format!(r#"{{"type":"notice","n":{number}}}"#)
}

#[test]
fn who_comes_back_gets_what_it_missed_in_order_and_before_anything_newer() {
    let server = Server::start(|_| ());
    let (mut a, position) = join(&server, "a");
    let (mut b, _) = join(&server, "b");
    update(&mut b, 1);
    assert_eq!(json(&mut a)["offset"], 1);
    cut(&server, a, 1);
    update(&mut b, 2);
    b.send(r#"{"type":"steps","documentId":"doc","steps":[{}],"version":5}"#);
    b.hears_nothing("doc");
    server.hub.publish("doc", None, &message(4)).unwrap();
    let (mut a, position, word) = back(&server, "a", &position.at(1));
    update(&mut b, 5);
    assert_eq!(word.to_string(), r#"{"from":1,"to":4,"type":"recovered","upTo":0}"#);
    assert_eq!(position.offset, 4);
    assert_eq!(a.text(), r#"{"type":"update","documentId":"doc","update":2,"clientID":"b","offset":2}"#);
    assert_eq!(
        a.text(),
        r#"{"type":"steps","documentId":"doc","steps":[{}],"version":5,"clientID":"b","offset":3}"#
    );
    assert_eq!(a.text(), r#"{"type":"notice","n":4,"offset":4}"#);
    assert_eq!(json(&mut a)["offset"], 5);
    a.hears_nothing("doc");
}

#[test]
fn a_client_that_has_seen_nothing_can_have_missed_the_first_message() {
    let server = Server::start(|_| ());
    let (a, position) = join(&server, "a");
    assert_eq!(position.offset, 0);
    cut(&server, a, 0);
    server.hub.publish("doc", None, &message(1)).unwrap();
    let (mut a, _, word) = back(&server, "a", &position);
    assert_eq!((&word["type"], &word["from"], &word["to"]), (&"recovered".into(), &0.into(), &1.into()));
    assert_eq!(json(&mut a)["n"], 1);
    a.hears_nothing("doc");
}

#[test]
fn who_missed_nothing_is_told_so() {
    let server = Server::start(|_| ());
    let (a, position) = join(&server, "a");
    cut(&server, a, 0);
    let (mut a, _, word) = back(&server, "a", &position);
    assert_eq!((&word["type"], &word["from"], &word["to"]), (&"recovered".into(), &0.into(), &0.into()));
    a.hears_nothing("doc");
}

#[test]
fn its_own_messages_are_not_given_back_and_those_of_another_tab_are() {
    let server = Server::start(|_| ());
    let (mut tab, _) = join(&server, "a");
    let (mut a, position) = join(&server, "a");
    update(&mut a, 1);
    update(&mut tab, 2);
    a.hears_nothing_but("doc", |text| text.contains(r#""update":2"#));
    tab.text();
    cut(&server, a, 1);
    let (mut a, position, _) = back(&server, "a", &position);
    assert_eq!(json(&mut a)["update"], 2);
    update(&mut a, 3);
    assert_eq!(json(&mut tab)["update"], 3);
    cut(&server, a, 1);
    // Also those that the connection before sent.
    let (mut a, _, word) = back(&server, "a", &position.at(0));
    assert_eq!(word["to"], 3);
    assert_eq!(json(&mut a)["update"], 2);
    a.hears_nothing("doc");
}

#[test]
fn what_was_for_one_client_is_given_to_that_one() {
    let server = Server::start(|_| ());
    let ((a, of_a), (b, of_b)) = (join(&server, "a"), join(&server, "b"));
    let (keeper, _) = join(&server, "keeper");
    cut(&server, a, 2);
    cut(&server, b, 1);
    assert_eq!(server.hub.publish("doc", Some("a"), &message(1)).unwrap(), 0, "nobody is there for it");
    assert_eq!(server.hub.publish("doc", None, &message(2)).unwrap(), 1);
    let (mut a, _, _) = back(&server, "a", &of_a);
    assert_eq!(json(&mut a)["n"], 1);
    assert_eq!(json(&mut a)["n"], 2);
    let (mut b, _, word) = back(&server, "b", &of_b);
    assert_eq!(word["to"], 2);
    assert_eq!(json(&mut b)["n"], 2);
    b.hears_nothing("doc");
    drop(keeper);
}

#[test]
fn a_second_cut_in_the_middle_of_the_replay_loses_nothing() {
    let server = Server::start(|_| ());
    let (a, position) = join(&server, "a");
    cut(&server, a, 0);
    for number in 1..=50 {
        server.hub.publish("doc", None, &message(number)).unwrap();
    }
    for seen in [0, 1, 25] {
        let (mut a, _, word) = back(&server, "a", &position.at(0));
        assert_eq!(word["to"], 50);
        for number in 1..=seen {
            assert_eq!(json(&mut a)["n"], number);
        }
        drop(a);
    }
    // Without the `connected` of the last connection, too: the first token is good.
    let (mut a, _, word) = back(&server, "a", &position.at(25));
    assert_eq!((&word["from"], &word["to"]), (&25.into(), &50.into()));
    for number in 26..=50 {
        assert_eq!(json(&mut a)["n"], number);
    }
    a.hears_nothing("doc");
}

#[test]
fn whoever_comes_back_takes_the_place_of_a_connection_that_still_looks_alive() {
    let server = Server::start(|_| ());
    let (mut older, position) = join(&server, "a");
    let (mut b, _) = join(&server, "b");
    older.send(r#"{"type":"awareness","documentId":"doc","awareness":"older"}"#);
    b.text();
    let (mut a, _, word) = back(&server, "a", &position);
    assert_eq!(word["type"], "recovered");
    a.hears_nothing("doc");
    let (code, why, _) = older.closed();
    assert_eq!((code, why.as_str()), (4409, "Replaced by a newer connection"));
    eventually("it leaves the counts", || server.hub.connection_count("doc") == 2);
    // The older one's end does not let go of what the newer one has.
    update(&mut b, 1);
    assert_eq!(json(&mut a)["update"], 1);
    drop(older);
    let (_, _, word) = back(&server, "a", &position.at(0));
    assert_eq!(word["type"], "recovered");
}

#[test]
fn a_client_that_was_closed_as_slow_recovers() {
    let server = Server::start(|_| ());
    let (mut slow, position) = join(&server, "slow");
    let (mut b, _) = join(&server, "b");
    let padding = "x".repeat(64 << 10);
    let mut sent = 0;
    while server.hub.connection_count("doc") == 2 {
        sent += 1;
        server.hub.publish("doc", None, &format!(r#"{{"n":{sent},"p":"{padding}"}}"#)).unwrap();
        assert_eq!(json(&mut b)["n"], sent);
        assert!(sent < 10_000, "it was never slow");
    }
    let mut offset = 0;
    while let Ok(tokio_tungstenite::tungstenite::Message::Text(text)) = slow.0.read() {
        offset = serde_json::from_str::<Value>(&text).unwrap()["offset"].as_u64().unwrap();
    }
    assert!(offset > 0 && offset < sent);
    let (mut slow, _, word) = back(&server, "slow", &position.at(offset));
    assert_eq!(word["type"], "recovered", "{word}");
    for number in offset + 1..=sent {
        assert_eq!(json(&mut slow)["n"], number);
    }
    slow.hears_nothing("doc");
}

#[test]
fn a_position_of_another_process_is_a_clean_reload() {
    let secret = Secret::new([7; 32]);
    let start = || Server::start(|config| config.token_secret = Some(secret.clone()));
    let before = start();
    let (a, position) = join(&before, "a");
    drop((a, before));
    assert_eq!(reason(&start(), "a", &position), "OTHER_EPOCH");
    let after = start();
    let (_, elsewhere) = join(&after, "b");
    let mixed = Position { epoch: elsewhere.epoch, ..position };
    assert_eq!(reason(&after, "a", &mixed), "BAD_TOKEN", "a token is good for its epoch");
}

#[test]
fn a_position_that_has_not_been_is_a_clean_reload() {
    let server = Server::start(|_| ());
    let (mut keeper, _) = join(&server, "keeper");
    for (query, expected) in [
        ("offset=1", "BAD_OFFSET"),
        ("offset=x", "BAD_OFFSET"),
        ("offset=", "BAD_OFFSET"),
        ("offset=99999999999999999999999", "BAD_OFFSET"),
    ] {
        let (a, Position { token, epoch, .. }) = join(&server, "a");
        cut(&server, a, 1);
        let target = format!("/ws/fabric?documentId=doc&clientID=a&token={token}&epoch={epoch}&{query}");
        let mut a = server.connect(&target);
        json(&mut a);
        assert_eq!(json(&mut a)["reason"], expected, "{query}");
        cut(&server, a, 1);
    }
    keeper.hears_nothing("doc");
}

#[test]
fn a_token_is_of_no_use_to_another_client_document_or_user() {
    let server = Server::start(|_| ());
    let (_keeper, _) = join(&server, "keeper");
    let (a, position) = join(&server, "a");
    cut(&server, a, 1);
    assert_eq!(reason(&server, "b", &position), "BAD_TOKEN");
    for forged in ["", "x", &position.token[1..], &position.token.replace(|_| true, "A")] {
        assert_eq!(reason(&server, "a", &Position { token: forged.into(), ..position.clone() }), "BAD_TOKEN");
    }
    let mut thief = server.connect_as(&target("a", &position), Some("thief"));
    json(&mut thief);
    assert_eq!(json(&mut thief)["reason"], "BAD_TOKEN");
    let mut elsewhere = server.connect(&target("a", &position).replace("documentId=doc", "documentId=other"));
    json(&mut elsewhere);
    assert_eq!(json(&mut elsewhere)["reason"], "OTHER_EPOCH");
    let (_, _, word) = back(&server, "a", &position);
    assert_eq!(word["type"], "recovered", "none of which has used it up");
}

#[test]
fn a_users_token_is_good_for_that_user() {
    let server = Server::start(|_| ());
    let mut a = server.connect_as("/ws/fabric?documentId=doc&clientID=a", Some("user"));
    let position = Position::of(&json(&mut a));
    cut(&server, a, 0);
    assert_eq!(
        reason(&server, "a", &position),
        "BAD_TOKEN",
        "also where nobody is asked for a session any more"
    );
    let mut a = server.connect_as(&target("a", &position), Some("user"));
    json(&mut a);
    assert_eq!(json(&mut a)["type"], "recovered");
}

#[test]
fn what_was_trimmed_is_a_clean_reload_and_the_client_session_goes_on() {
    let server = Server::start(|config| config.history.messages = 10);
    let (mut a, position) = join(&server, "a");
    a.send(r#"{"type":"update","documentId":"doc","update":0,"id":4}"#);
    a.hears_nothing("doc");
    cut(&server, a, 0);
    for number in 0..11 {
        server.hub.publish("doc", None, &message(number)).unwrap();
    }
    let (mut a, fresh, word) = back(&server, "a", &position);
    assert_eq!(word.to_string(), r#"{"reason":"HISTORY_GONE","type":"reload","upTo":4}"#);
    assert_eq!(fresh.offset, 12);
    a.hears_nothing("doc");
    cut(&server, a, 0);
    let (_, _, word) = back(&server, "a", &fresh);
    assert_eq!((&word["type"], &word["upTo"]), (&"recovered".into(), &4.into()));
}

#[test]
fn a_replay_may_be_larger_than_what_may_wait_and_live_messages_come_behind_it() {
    let server = Server::start(|config| config.max_outbox_bytes = 64 << 10);
    let (a, position) = join(&server, "a");
    cut(&server, a, 0);
    let padding = "x".repeat(32 << 10);
    let publish = |number: u64| {
        server.hub.publish("doc", None, &format!(r#"{{"n":{number},"p":"{padding}"}}"#)).unwrap();
    };
    // More than the sockets' own buffers hold.
    (1..=240).for_each(publish);
    let (mut a, _, word) = back(&server, "a", &position);
    assert_eq!(word["type"], "recovered", "{word}");
    publish(241);
    for number in 1..=241 {
        assert_eq!(json(&mut a)["n"], number);
    }
    a.hears_nothing("doc");
}

#[test]
fn who_stays_away_for_longer_than_the_window_has_to_reload() {
    let server = Server::start(|config| config.recovery_window = Some(Duration::from_millis(60)));
    let (mut keeper, _) = join(&server, "keeper");
    let (a, position) = join(&server, "a");
    cut(&server, a, 1);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(reason(&server, "a", &position), "TOKEN_EXPIRED");
    keeper.hears_nothing("doc");
}

#[test]
fn a_token_is_good_however_long_its_connection_was_open() {
    let server = Server::start(|config| config.recovery_window = Some(Duration::from_millis(400)));
    let (a, position) = join(&server, "a");
    thread::sleep(Duration::from_millis(1200));
    cut(&server, a, 0);
    let (_, _, word) = back(&server, "a", &position);
    assert_eq!(word["type"], "recovered");
}

#[test]
fn a_document_that_everybody_has_left_is_neither_counted_nor_forgotten_before_the_window_is_over() {
    let server = Server::start(|config| config.recovery_window = Some(Duration::from_millis(300)));
    let (a, position) = join(&server, "a");
    cut(&server, a, 0);
    assert_eq!(server.hub.documents(), Vec::<String>::new());
    let (a, same, word) = back(&server, "a", &position);
    assert_eq!((&same.epoch, &word["type"]), (&position.epoch, &"recovered".into()));
    cut(&server, a, 0);
    eventually("it is forgotten", || {
        let (b, other) = join(&server, "b");
        let forgotten = other.epoch != position.epoch;
        cut(&server, b, 0);
        if !forgotten {
            // Each visit begins the window anew.
            thread::sleep(Duration::from_millis(500));
        }
        forgotten
    });
    assert_eq!(reason(&server, "a", &position), "OTHER_EPOCH");
}

#[test]
fn without_memory_for_messages_who_missed_none_is_recovered_all_the_same() {
    let server = Server::start(|config| config.history.total_bytes = 0);
    let (a, position) = join(&server, "a");
    cut(&server, a, 0);
    let (again, position, word) = back(&server, "a", &position);
    assert_eq!(word["type"], "recovered", "also where nobody was left");
    let (mut keeper, of_keeper) = join(&server, "keeper");
    cut(&server, again, 1);
    let (again, position, word) = back(&server, "a", &position);
    assert_eq!(word["type"], "recovered");
    cut(&server, again, 1);
    server.hub.publish("doc", None, &message(1)).unwrap();
    assert_eq!(json(&mut keeper)["offset"], 1, "what is delivered has its offset all the same");
    assert_eq!(reason(&server, "a", &position), "HISTORY_GONE");
    let (mut again, _, word) = back(&server, "keeper", &of_keeper);
    assert_eq!(word["reason"], "HISTORY_GONE");
    again.hears_nothing("doc");
}

#[test]
fn greedy_documents_cost_no_other_what_it_remembers() {
    let server = Server::start(|config| config.history.total_bytes = 1 << 20);
    let (mut keeper, _) = join(&server, "keeper");
    let (a, of_a) = join(&server, "a");
    let (b, of_b) = join(&server, "b");
    cut(&server, b, 2);
    server.hub.publish("doc", None, &message(1)).unwrap();
    assert_eq!(json(&mut keeper)["offset"], 1);
    let long = format!(r#"{{"type":"x","long":"{}"}}"#, "x".repeat(64 << 10));
    let mut greedy: Vec<_> = (0..8).map(|index| server.join(&format!("greedy{index}"), "c")).collect();
    for _ in 0..10 {
        for (index, client) in greedy.iter_mut().enumerate() {
            server.hub.publish(&format!("greedy{index}"), None, &long).unwrap();
            client.text();
        }
    }
    let (c, of_c) = join(&server, "c");
    cut(&server, c, 2);
    server.hub.publish("doc", None, &message(2)).unwrap();
    assert_eq!(json(&mut keeper)["offset"], 2);
    for (client, position) in [("b", of_b), ("c", of_c)] {
        let (_, _, word) = back(&server, client, &position);
        assert_eq!((word["type"].as_str(), word["to"].as_u64()), (Some("recovered"), Some(2)), "{client}");
    }
    drop((a, of_a));
}

#[test]
fn with_recovery_off_nothing_of_it_is_on_the_wire() {
    let server = Server::start(|config| config.recovery_window = None);
    let mut a = server.connect("/ws/fabric?documentId=doc&clientID=a");
    assert_eq!(a.text(), r#"{"type":"connected","clientID":"a","documentId":"doc"}"#);
    let mut b = server.connect("/ws/fabric?documentId=doc&clientID=b&token=x&epoch=0&offset=0");
    assert_eq!(b.text(), r#"{"type":"connected","clientID":"b","documentId":"doc"}"#);
    assert_eq!(b.text(), r#"{"type":"reload","reason":"RECOVERY_OFF"}"#);
    update(&mut a, 1);
    assert_eq!(b.text(), r#"{"type":"update","documentId":"doc","update":1,"clientID":"a"}"#);
    server.hub.publish("doc", None, &message(1)).unwrap();
    assert_eq!(a.text(), message(1));
}

#[test]
fn an_endpoints_broadcast_is_no_documents_history() {
    let server = Server::start(|_| ());
    let (mut a, position) = join(&server, "a");
    server.hub.broadcast("/ws/fabric", &message(1)).unwrap();
    assert_eq!(a.text(), message(1));
    cut(&server, a, 0);
    let (mut a, _, word) = back(&server, "a", &position);
    assert_eq!(word["to"], 0);
    a.hears_nothing("doc");
}

#[test]
fn who_joins_or_comes_back_is_shown_what_the_others_show_now() {
    let server = Server::start(|_| ());
    let (mut a, of_a) = join(&server, "a");
    let (mut b, _) = join(&server, "b");
    let show = |client: &mut Client, topic: &str, value: usize| {
        client.send(&format!(r#"{{"type":"{topic}","documentId":"doc","{topic}":{value}}}"#));
    };
    show(&mut a, "awareness", 1);
    show(&mut a, "awareness", 2);
    show(&mut a, "selection", 3);
    show(&mut b, "awareness", 4);
    a.hears_nothing_but("doc", |text| text.contains("awareness"));
    b.hears_nothing_but("doc", |text| text.contains(r#""clientID":"a""#));

    let (mut c, _) = join(&server, "c");
    assert_eq!(c.text(), r#"{"type":"awareness","documentId":"doc","awareness":2,"clientID":"a"}"#);
    assert_eq!(c.text(), r#"{"type":"selection","documentId":"doc","selection":3,"clientID":"a"}"#);
    assert_eq!(c.text(), r#"{"type":"awareness","documentId":"doc","awareness":4,"clientID":"b"}"#);
    c.hears_nothing("doc");

    cut(&server, b, 2);
    update(&mut c, 5);
    c.hears_nothing("doc");
    let (mut a, _, word) = back(&server, "a", &of_a);
    assert_eq!(word["type"], "recovered");
    assert_eq!(json(&mut a)["update"], 5);
    // Nothing of its own older connection, and nothing of who has left.
    a.hears_nothing("doc");
}

#[test]
fn publications_of_many_threads_are_numbered_in_the_order_they_arrive() {
    const THREADS: usize = 4;
    const MESSAGES: usize = 250;
    let server = Server::start(|_| ());
    let (mut a, _) = join(&server, "a");
    let (away, of_away) = join(&server, "away");
    let (mut writer, _) = join(&server, "writer");
    cut(&server, away, 2);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..MESSAGES {
                    server.hub.publish("doc", None, &message(n)).unwrap();
                }
            });
        }
        scope.spawn(|| (0..MESSAGES).for_each(|n| update(&mut writer, n)));
    });
    let total = (THREADS + 1) * MESSAGES;
    let seen: Vec<String> = (0..total).map(|_| a.text()).collect();
    for (index, text) in seen.iter().enumerate() {
        let message: Value = serde_json::from_str(text).unwrap();
        assert_eq!(message["offset"], index + 1);
    }
    let (mut away, _, word) = back(&server, "away", &of_away);
    assert_eq!(word["to"], total);
    for text in seen {
        assert_eq!(away.text(), text, "the replay is what the others got, byte for byte");
    }
}

#[test]
fn clients_that_are_cut_again_and_again_miss_nothing_while_others_write() {
    const MESSAGES: u64 = 2000;
    let server = Server::start(|_| ());
    let clients: Vec<_> = (0..4).map(|n| (format!("c{n}"), join(&server, &format!("c{n}")))).collect();
    thread::scope(|scope| {
        for (seed, (name, (mut client, mut position))) in clients.into_iter().enumerate() {
            let server = &server;
            scope.spawn(move || {
                let (mut next, mut random) = (1, seed as u64 + 1);
                loop {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    for _ in 0..(random >> 33) % 40 {
                        let message = json(&mut client);
                        assert_eq!(message["n"], next, "at {name}");
                        assert_eq!(message["offset"], next);
                        if next == MESSAGES {
                            return;
                        }
                        next += 1;
                    }
                    drop(client);
                    let word;
                    (client, position, word) = back(server, &name, &position.at(next - 1));
                    assert_eq!(word["type"], "recovered", "{word}");
                    assert_eq!(word["from"], next - 1);
                }
            });
        }
        scope.spawn(|| {
            for n in 1..=MESSAGES {
                server.hub.publish("doc", None, &format!(r#"{{"n":{n}}}"#)).unwrap();
                thread::sleep(Duration::from_micros(50));
            }
        });
    });
}
