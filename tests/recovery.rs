//! A client that comes back gets exactly what it missed, or is told to reload.

mod support;

use captify_hub::config::Secret;
use serde_json::Value;
use support::{
    Server, eventually,
    recovery::{Position, back, cut, join, json, message, reason, target, update},
};

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
