//! Several processes over one Redis: one order for all, recovery on any of them, and nothing twice.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{sync::mpsc, time::Duration};

use captify_hub::{
    Config, Hub,
    ids::Id,
    room::publication::{Answer, Publication, Refusal},
};
use serde_json::{Value, json};
use support::{
    Client, Server,
    recovery::{Position, back, join, json as message, target},
    redis::{Redis, config, over, process},
};

fn two(redis: &Redis) -> (Server, Server) {
    (process(&over(&redis.url())), process(&over(&redis.url())))
}

fn send(client: &mut Client, id: u64) {
    client
        .send(&format!(r#"{{"type":"update","documentId":"doc","update":"of {id}","id":{id},"ack":true}}"#));
}

fn ack(up_to: u64, offset: u64) -> Value {
    json!({ "type": "ack", "upTo": up_to, "offset": offset })
}

/// Publishes for a route handler; returns what became of it.
fn publish(server: &Server, client: Option<&str>, text: &str) -> Result<u64, Refusal> {
    let (told, outcome) = mpsc::channel();
    let publication = Publication {
        answer: Some(Answer::new(move |outcome| told.send(outcome).unwrap())),
        ..Publication::of_route_handler(client.map(|id| Id::new(id).unwrap()), text)
    };
    server.hub.submit_opening(Id::new("doc").unwrap(), publication).unwrap();
    outcome.recv_timeout(support::PATIENCE).unwrap()
}

#[test]
fn a_document_that_a_process_opens_again_takes_nothing_for_done_that_was_another_time() {
    let redis = Redis::start();
    let config = Config { recovery_window: Some(Duration::from_millis(200)), ..config() };
    let server = Server { hub: Hub::start_cluster(config, &over(&redis.url()), Box::new(drop)).unwrap() };
    for time in 1..=3 {
        let mut a = server.join("doc", "a");
        send(&mut a, 1);
        assert_eq!(message(&mut a), ack(1, time));
        drop(a);
        let unsubscribed = redis::Value::Array(vec![
            redis::Value::BulkString(b"hub:{doc}:said".to_vec()),
            redis::Value::Int(0),
        ]);
        support::eventually("the room is forgotten", || {
            redis.command("PUBSUB NUMSUB hub:{doc}:said") == unsubscribed
        });
    }
    assert_eq!(redis.command("XLEN hub:{doc}:log"), redis::Value::Int(3));
}

#[test]
fn members_of_all_processes_get_the_same_in_the_same_order() {
    let redis = Redis::start();
    let (one, two) = two(&redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    let mut watching = [one.join("doc", "c"), two.join("doc", "d")];
    for id in 1..=100 {
        send(&mut a, id);
        send(&mut b, id);
    }
    let seen = watching.each_mut().map(|client| (0..200).map(|_| message(client)).collect::<Vec<_>>());
    assert_eq!(seen[0], seen[1]);
    let offsets: Vec<_> = seen[0].iter().map(|each| each["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, (1..=200).collect::<Vec<_>>());
    for client in ["a", "b"] {
        let of_one = seen[0].iter().filter(|each| each["clientID"] == client);
        let texts: Vec<_> = of_one.map(|each| each["update"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            texts,
            (1..=100).map(|id| format!("of {id}")).collect::<Vec<_>>(),
            "in the order of {client}"
        );
    }
}

#[test]
fn a_route_handler_reaches_members_of_all_processes_also_from_one_without_any() {
    let redis = Redis::start();
    let (one, two) = two(&redis);
    let (mut a, mut b) = (one.join("doc", "a"), one.join("doc", "b"));
    assert_eq!(publish(&two, None, r#"{"type":"steps"}"#), Ok(1));
    assert_eq!(publish(&two, Some("b"), r#"{"type":"for b"}"#), Ok(2));
    assert_eq!(publish(&one, None, r#"{"type":"last"}"#), Ok(3));
    let got = |client: &mut Client| message(client)["type"].as_str().unwrap().to_owned();
    assert_eq!([got(&mut a), got(&mut a)], ["steps", "last"]);
    assert_eq!([got(&mut b), got(&mut b), got(&mut b)], ["steps", "for b", "last"]);
}

#[test]
fn a_client_that_comes_back_to_another_process_gets_what_it_missed_and_nothing_of_its_own() {
    let redis = Redis::start();
    let (one, two) = two(&redis);
    let (mut a, position) = join(&one, "a");
    let mut b = two.join("doc", "b");
    send(&mut a, 1);
    assert_eq!(message(&mut a), ack(1, 1));
    assert_eq!(message(&mut b)["offset"], 1);
    drop(a);
    for id in 1..=2 {
        send(&mut b, id);
        assert_eq!(message(&mut b), ack(id, id + 1));
    }
    let (mut again, position, word) = back(&two, "a", &position.at(1));
    assert_eq!(word, json!({ "type": "recovered", "from": 1, "to": 3, "upTo": 1 }));
    assert_eq!([message(&mut again)["offset"].clone(), message(&mut again)["offset"].clone()], [2, 3]);
    // What it sends again stands already; what it sends anew goes on.
    send(&mut again, 1);
    assert_eq!(message(&mut again), ack(1, 3));
    send(&mut again, 2);
    assert_eq!(message(&mut again), ack(2, 4));
    assert_eq!(message(&mut b)["update"], "of 2");
    // And back, with an offset that the first process has not asked for in all this time.
    drop(again);
    let (mut again, _, word) = back(&one, "a", &position.at(4));
    assert_eq!(word, json!({ "type": "recovered", "from": 4, "to": 4, "upTo": 2 }));
    again.hears_nothing("doc");
}

#[test]
fn what_was_taken_by_one_process_is_not_taken_by_another() {
    let redis = Redis::start();
    let (one, two) = two(&redis);
    let (mut a, position) = join(&one, "a");
    let mut b = two.join("doc", "b");
    for id in 1..=5 {
        send(&mut a, id);
    }
    // It comes back elsewhere without having waited for an answer, and sends everything again.
    let (mut again, _, _) = back(&two, "a", &position);
    for id in 1..=6 {
        send(&mut again, id);
    }
    let texts: Vec<_> = (0..6).map(|_| message(&mut b)["update"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (1..=6).map(|id| format!("of {id}")).collect::<Vec<_>>());
    b.hears_nothing("doc");
}

#[test]
fn a_document_that_nobody_had_open_is_remembered() {
    let redis = Redis::start();
    let (a, position) = {
        let one = process(&over(&redis.url()));
        let (mut a, position) = join(&one, "a");
        assert_eq!(publish(&one, None, r#"{"type":"early"}"#), Ok(1));
        assert_eq!(message(&mut a)["type"], "early");
        assert_eq!(publish(&one, None, r#"{"type":"missed"}"#), Ok(2));
        (a, position)
    };
    // The only process has ended.
    drop(a);
    let other = process(&over(&redis.url()));
    let (mut again, _, word) = back(&other, "a", &position.at(1));
    assert_eq!(word, json!({ "type": "recovered", "from": 1, "to": 2, "upTo": 0 }));
    assert_eq!(message(&mut again)["type"], "missed");
}

#[test]
fn a_token_of_nobody_and_an_offset_that_has_not_been_are_refused_as_ever() {
    let redis = Redis::start();
    let (one, two) = two(&redis);
    let (mut a, position) = join(&one, "a");
    send(&mut a, 1);
    assert_eq!(message(&mut a), ack(1, 1));
    let word = |server: &Server, position: &Position| back(server, "a", position).2;
    assert_eq!(word(&two, &position.at(9))["reason"], "BAD_OFFSET");
    let first = if position.token.starts_with('A') { 'B' } else { 'A' };
    let forged = Position { token: format!("{first}{}", &position.token[1..]), ..position.clone() };
    assert_ne!(forged.token, position.token);
    assert_eq!(word(&two, &forged)["reason"], "BAD_TOKEN");
    let other = Position { epoch: "00000000000000ff".to_owned(), ..position };
    assert_eq!(word(&two, &other)["reason"], "OTHER_EPOCH");
    let mut fresh = two.connect(&target("b", &other).replace(&format!("&token={}", other.token), ""));
    assert_eq!(message(&mut fresh)["type"], "connected");
    assert_eq!(message(&mut fresh)["type"], "reload");
}

#[test]
fn a_stream_is_bounded_and_who_has_missed_more_reloads() {
    let redis = Redis::start();
    let mut hub = support::redis::config();
    hub.history.messages = 3;
    let start = |hub: &captify_hub::Config| Server {
        hub: captify_hub::Hub::start_cluster(hub.clone(), &over(&redis.url()), Box::new(drop)).unwrap(),
    };
    let (one, two) = (start(&hub), start(&hub));
    let (mut a, position) = join(&one, "a");
    for id in 1..=5 {
        send(&mut a, id);
        assert_eq!(message(&mut a), ack(id, id));
    }
    assert_eq!(redis.command("XLEN hub:{doc}:log"), redis::Value::Int(3));
    let (_, _, word) = back(&two, "a", &position);
    assert_eq!((&word["reason"], &word["upTo"]), (&json!("HISTORY_GONE"), &json!(5)));
    let mut b = two.join("doc", "b");
    assert_eq!(publish(&two, None, r#"{"type":"steps"}"#), Ok(6));
    assert_eq!(message(&mut b)["offset"], 6);
}
