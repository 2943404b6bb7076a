//! What a room remembers for those who come back, and for how long.

mod support;

use std::{
    cell::RefCell,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    Client, Server, eventually,
    recovery::{Position, back, cut, join, json, message, reason, update},
};

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
    const WINDOW: Duration = Duration::from_millis(400);
    let server = Server::start(|config| config.recovery_window = Some(WINDOW));
    eventually("it is back within the window", || {
        let (a, position) = join(&server, "a");
        thread::sleep(3 * WINDOW);
        back_within(WINDOW, &server, a, &position).is_some_and(|(_, _, word)| {
            assert_eq!(word["type"], "recovered");
            true
        })
    });
}

/// Cuts the connection of the only member and comes back; returns nothing where this took longer than the window, which it may
/// where the machine stands still.
fn back_within(
    window: Duration,
    server: &Server,
    a: Client,
    position: &Position,
) -> Option<(Client, Position, Value)> {
    let left = Instant::now();
    cut(server, a, 0);
    let again = back(server, "a", position);
    (left.elapsed() < window).then_some(again)
}

#[test]
fn a_document_that_everybody_has_left_is_neither_counted_nor_forgotten_before_the_window_is_over() {
    const WINDOW: Duration = Duration::from_millis(300);
    let server = Server::start(|config| config.recovery_window = Some(WINDOW));
    let (a, position) = join(&server, "a");
    cut(&server, a, 0);
    assert_eq!(server.hub.documents(), Vec::<String>::new());
    let position = RefCell::new(position);
    eventually("it is back within the window", || {
        let (a, before) = join(&server, "a");
        let again = back_within(WINDOW, &server, a, &before);
        *position.borrow_mut() = before;
        again.is_some_and(|(a, same, word)| {
            assert_eq!((&same.epoch, &word["type"]), (&position.borrow().epoch, &"recovered".into()));
            cut(&server, a, 0);
            true
        })
    });
    let position = position.into_inner();
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
