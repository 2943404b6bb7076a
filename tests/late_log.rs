//! Documents whose log answers later: nothing in a room takes an answer in the same turn for granted.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use captify_hub::{
    ids::Epoch,
    room::{
        document_log::{Appended, News, Start, Stood},
        publication::{Answer, Publication, Refusal},
    },
};
use serde_json::{Value, json};
use support::{Client, Server, eventually, late_log::LateLog};

fn start(change: impl FnOnce(&mut captify_hub::Config)) -> (Server, Arc<LateLog>) {
    let log = LateLog::new();
    let opener = Arc::clone(&log);
    (Server::start_with(change, Some(opener)), log)
}

fn send(client: &mut Client, id: u64, ack: bool) {
    client
        .send(&format!(r#"{{"type":"update","documentId":"doc","update":"of {id}","id":{id},"ack":{ack}}}"#));
}

fn join(server: &Server, client: &str, more: &str) -> (Client, Value) {
    let mut joined = server.connect(&format!("/ws/fabric?documentId=doc&clientID={client}{more}"));
    let connected = message(&mut joined);
    assert_eq!(connected["type"], "connected");
    (joined, connected)
}

fn message(client: &mut Client) -> Value {
    serde_json::from_str(&client.text()).unwrap()
}

fn position(connected: &Value) -> String {
    let text = |key: &str| connected[key].as_str().unwrap().to_owned();
    format!("&token={}&epoch={}&offset={}", text("token"), text("epoch"), connected["offset"])
}

fn ack(up_to: u64, offset: u64) -> Value {
    json!({ "type": "ack", "upTo": up_to, "offset": offset })
}

#[test]
fn what_is_published_goes_out_when_the_log_has_answered_and_in_its_order() {
    let (server, log) = start(|_| ());
    let (mut a, mut b) = (server.join("doc", "a"), server.join("doc", "b"));
    send(&mut a, 1, false);
    log.appended(1);
    server.hub.publish("doc", None, r#"{"type":"steps"}"#).unwrap();
    send(&mut b, 1, false);
    log.appended(3);
    a.hears_nothing("doc");
    b.hears_nothing("doc");
    log.answer(2);
    let (first, second) = (message(&mut b), message(&mut b));
    assert_eq!((&first["update"], &first["offset"]), (&json!("of 1"), &json!(1)));
    assert_eq!((&second["type"], &second["offset"]), (&json!("steps"), &json!(2)));
    log.answer(1);
    assert_eq!(message(&mut a)["offset"], 2, "its own is not sent back");
    assert_eq!(message(&mut a)["offset"], 3);
    b.hears_nothing("doc");
}

#[test]
fn what_says_only_what_is_true_now_waits_for_no_log() {
    let (server, log) = start(|_| ());
    let (mut a, mut b) = (server.join("doc", "a"), server.join("doc", "b"));
    send(&mut a, 1, false);
    a.send(r#"{"type":"awareness","documentId":"doc","awareness":1}"#);
    assert_eq!(message(&mut b)["type"], "awareness");
    assert_eq!(server.hub.publish("doc", None, "\"no object\"").unwrap(), 2);
    assert_eq!(b.text(), "\"no object\"");
    log.appended(1);
    assert_eq!(log.appended_count(), 1);
    // Who comes now sees what is shown, and of the order only what comes.
    let (mut c, connected) = join(&server, "c", "");
    assert_eq!(connected["offset"], 0);
    assert_eq!(message(&mut c)["type"], "awareness");
    log.answer(1);
    assert_eq!(message(&mut c)["offset"], 1);
}

#[test]
fn an_acknowledgement_comes_behind_the_answer_of_the_log() {
    let (server, log) = start(|_| ());
    let (mut a, _) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    send(&mut a, 1, true);
    send(&mut a, 2, true);
    log.appended(2);
    a.hears_nothing("doc");
    a.send(r#"{"type":"ack","documentId":"doc"}"#);
    a.hears_nothing("doc");
    log.answer(1);
    assert_eq!(message(&mut a), ack(1, 1));
    log.answer(1);
    assert_eq!(message(&mut a), ack(2, 2));
    a.send(r#"{"type":"ack","documentId":"doc"}"#);
    assert_eq!(message(&mut a), ack(2, 2), "nothing is with the log any more");
    assert_eq!((message(&mut b)["offset"].clone(), message(&mut b)["offset"].clone()), (json!(1), json!(2)));
}

#[test]
fn what_is_sent_again_while_it_is_with_the_log_is_not_appended_again() {
    let (server, log) = start(|_| ());
    let (mut a, connected) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    send(&mut a, 1, false);
    send(&mut a, 1, true);
    log.appended(1);
    // The connection is lost, and the client comes back before the log has answered.
    let (mut again, greeting) = join(&server, "a", &position(&connected));
    assert_eq!(greeting["offset"], 0);
    assert_eq!(message(&mut again), json!({ "type": "recovered", "from": 0, "to": 0, "upTo": 0 }));
    send(&mut again, 1, true);
    send(&mut again, 2, true);
    log.appended(2);
    again.hears_nothing("doc");
    assert_eq!(log.appended_count(), 2);
    log.answer(2);
    assert_eq!(message(&mut again), ack(2, 2));
    assert_eq!(message(&mut b)["update"], "of 1");
    assert_eq!(message(&mut b)["update"], "of 2");
    b.hears_nothing("doc");
}

#[test]
fn what_the_log_answers_while_a_client_is_away_is_known_when_it_comes_back() {
    let (server, log) = start(|_| ());
    let (mut a, connected) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    send(&mut a, 1, false);
    log.appended(1);
    a.close();
    eventually("it has left", || server.hub.connection_count("doc") == 1);
    server.hub.publish("doc", None, r#"{"type":"steps"}"#).unwrap();
    log.answer(2);
    assert_eq!((message(&mut b)["offset"].clone(), message(&mut b)["offset"].clone()), (json!(1), json!(2)));
    let (mut again, _) = join(&server, "a", &position(&connected));
    assert_eq!(message(&mut again), json!({ "type": "recovered", "from": 0, "to": 2, "upTo": 1 }));
    assert_eq!(message(&mut again), json!({ "type": "steps", "offset": 2 }), "not its own");
}

#[test]
fn a_client_that_has_to_reload_is_not_told_what_was_applied_before_the_log_has_answered() {
    let (server, log) = start(|config| config.history.messages = 1);
    let (mut a, connected) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    for id in 1..=2 {
        send(&mut a, id, true);
    }
    log.appended(2);
    log.answer(2);
    assert_eq!(message(&mut a)["upTo"], 2);
    send(&mut a, 3, false);
    log.appended(3);
    let (mut again, _) = join(&server, "a", &position(&connected));
    assert_eq!(message(&mut again), json!({ "type": "reload", "reason": "HISTORY_GONE" }));
    log.answer(1);
    assert_eq!((1..=3).map(|_| message(&mut b)["offset"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_client_whose_message_the_log_does_not_take_comes_back_and_sends_it_again() {
    let (server, log) = start(|_| ());
    let (mut a, connected) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    send(&mut a, 1, true);
    send(&mut a, 2, true);
    log.appended(2);
    log.fail();
    assert_eq!(a.closed(), (1013, "The document takes nothing at the moment".to_owned(), 0));
    b.hears_nothing("doc");
    let (mut again, _) = join(&server, "a", &position(&connected));
    assert_eq!(message(&mut again)["upTo"], 0);
    send(&mut again, 1, true);
    send(&mut again, 2, true);
    log.appended(4);
    log.answer(2);
    assert_eq!(message(&mut again), ack(2, 2));
    let first = message(&mut b);
    assert_eq!((&first["update"], &first["offset"]), (&json!("of 1"), &json!(1)));
}

#[test]
fn a_condition_holds_for_one_of_two_and_the_other_is_told_what_is_current() {
    let (server, log) = start(|_| ());
    let mut a = server.join("doc", "a");
    let (told, answers) = mpsc::channel();
    let submit = |after: u64, name: &'static str| {
        let told = told.clone();
        let message = format!(r#"{{"type":"steps","of":"{name}"}}"#);
        let publication = Publication {
            after: Some(after),
            answer: Some(Answer::new(move |outcome| told.send((name, outcome)).unwrap())),
            ..Publication::of_route_handler(None, message)
        };
        server.hub.submit("doc", publication).is_ok()
    };
    assert!(submit(0, "first"));
    assert!(!submit(0, "second"));
    assert_eq!(
        answers.recv_timeout(support::PATIENCE).unwrap(),
        ("second", Err(Refusal::Stale { current: 1, retry_in_ms: None }))
    );
    log.answer(1);
    assert_eq!(answers.recv_timeout(support::PATIENCE).unwrap(), ("first", Ok(1)));
    assert_eq!(message(&mut a), json!({ "type": "steps", "of": "first", "offset": 1 }));
    assert!(submit(1, "third"));
    log.fail();
    assert_eq!(answers.recv_timeout(support::PATIENCE).unwrap(), ("third", Err(Refusal::Unavailable)));
    a.hears_nothing("doc");
}

#[test]
fn a_document_in_memory_takes_conditions_too() {
    let server = Server::start(|_| ());
    let mut a = server.join("doc", "a");
    let (told, answers) = mpsc::channel();
    for after in [0, 0, 1] {
        let told = told.clone();
        let answer = Answer::new(move |outcome| told.send(outcome).unwrap());
        let publication = Publication {
            after: Some(after),
            answer: Some(answer),
            ..Publication::of_route_handler(None, r#"{"type":"steps"}"#)
        };
        drop(server.hub.submit("doc", publication));
    }
    let answers: Vec<_> = answers.try_iter().collect();
    assert_eq!(answers, [Ok(1), Err(Refusal::Stale { current: 1, retry_in_ms: None }), Ok(2)]);
    assert_eq!((message(&mut a)["offset"].clone(), message(&mut a)["offset"].clone()), (json!(1), json!(2)));
}

#[test]
fn members_of_a_document_whose_log_is_slow_wait_and_nobody_else_does() {
    let (server, log) = start(|config| config.threads = 1);
    let (mut a, mut b) = (server.join("doc", "a"), server.join("doc", "b"));
    let mut other = server.join("other", "a");
    let large = "x".repeat(256 << 10);
    let text = move |id| format!(r#"{{"type":"update","documentId":"doc","update":"{large}","id":{id}}}"#);
    let writing = std::thread::spawn(move || {
        for id in 1..=40 {
            a.send(&text(id));
        }
        a
    });
    log.appended(4);
    other.hears_nothing("other");
    let before = log.appended_count();
    assert!(before < 40, "{before} went to a log that answers none");
    let mut seen = 0;
    while seen < 40 {
        seen += 1;
        log.appended(seen);
        log.answer(1);
        assert_eq!(message(&mut b)["offset"], seen);
    }
    drop(writing.join().unwrap());
    b.hears_nothing("doc");
}

#[test]
fn a_document_without_members_and_memory_stays_until_its_log_has_answered() {
    let (server, log) = start(|config| config.recovery_window = None);
    let (mut a, _) = join(&server, "a", "");
    let (told, answers) = mpsc::channel();
    a.send(r#"{"type":"update","documentId":"doc","update":1}"#);
    log.appended(1);
    let publication = Publication {
        answer: Some(Answer::new(move |outcome| told.send(outcome).unwrap())),
        ..Publication::of_route_handler(None, r#"{"type":"steps"}"#)
    };
    assert_eq!(server.hub.submit("doc", publication).unwrap(), 1);
    a.close();
    eventually("it has left", || server.hub.total_count() == 0);
    log.answer(2);
    assert_eq!(answers.recv_timeout(support::PATIENCE).unwrap(), Ok(2));
    let publication = Publication::of_route_handler(None, r#"{"type":"steps"}"#);
    eventually("the room is gone", || {
        server
            .hub
            .submit(
                "doc",
                Publication { after: Some(99), ..Publication::of_route_handler(None, "{\"a\":1}") },
            )
            .is_ok()
    });
    assert_eq!(server.hub.submit("doc", publication).unwrap(), 0);
}

#[test]
fn a_drain_waits_for_the_log_so_that_everybody_knows_what_was_applied() {
    let (server, log) = start(|_| ());
    let (mut a, _) = join(&server, "a", "");
    let mut b = server.join("doc", "b");
    send(&mut a, 1, true);
    log.appended(1);
    let answering = {
        let log = Arc::clone(&log);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            log.answer(1);
        })
    };
    let closing = std::thread::spawn(move || server.hub.close(support::PATIENCE));
    assert_eq!(message(&mut a), ack(1, 1));
    assert_eq!(message(&mut b)["offset"], 1);
    assert_eq!((a.closed().0, b.closed().0), (1012, 1012));
    drop((a, b));
    assert_eq!(closing.join().unwrap(), 0);
    answering.join().unwrap();
}

#[test]
fn a_log_that_never_answers_holds_up_a_drain_for_no_more_than_its_patience() {
    let (server, log) = start(|_| ());
    let (mut a, _) = join(&server, "a", "");
    send(&mut a, 1, true);
    log.appended(1);
    let closing = std::thread::spawn(move || server.hub.close(support::PATIENCE));
    assert_eq!(a.closed().0, 1012);
    drop(a);
    assert_eq!(closing.join().unwrap(), 0);
}

#[test]
fn members_of_a_log_that_is_another_one_are_sent_nothing_of_it_before_they_come_back() {
    let (server, log) = start(|_| ());
    let (mut a, b) = (server.join("doc", "a"), server.join("doc", "b"));
    send(&mut a, 1, true);
    log.appended(1);
    let behind = |offset| {
        let publication = Publication::of_route_handler(None, r#"{"type":"steps"}"#);
        News::Elsewhere(Stood { publication, offset, age: 0 })
    };
    // All of it comes at once, as it is read after Redis was away.
    log.say(|publication| {
        let start = Start { epoch: Epoch::new(2), before: 0, history: Vec::new() };
        let mine = News::Answer(Appended { publication, outcome: Ok(2) });
        vec![behind(7), News::Restart(start), behind(1), mine]
    });
    for mut member in [a, b] {
        let (code, _, messages) = member.closed();
        assert_eq!((code, messages), (1013, 0));
    }
    let (_, connected) = join(&server, "c", "");
    assert_eq!((&connected["epoch"], &connected["offset"]), (&json!("0000000000000002"), &json!(2)));
}
