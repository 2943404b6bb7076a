//! Who writes next, where a route handler of one process and the editors of another want to.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::sync::mpsc;

use captify_hub::{
    document::store::Kind,
    ids::Id,
    room::publication::{Answer, Content, Publication, Refusal, Steps},
};
use serde_json::Value;
use support::{
    Client, PATIENCE, Server,
    app::App,
    recovery::json as message,
    redis::{Redis, over},
};

/// What becomes of a step of a route handler's for a version.
fn submit(server: &Server, version: u64) -> Result<u64, Refusal> {
    let (tell, told) = mpsc::channel();
    let steps = Steps {
        client: Id::new("agent").unwrap(),
        user: None,
        version,
        count: 1,
        steps: r#"[{"stepType":"of a handler"}]"#.into(),
        change_id: None,
    };
    let publication = Publication {
        content: Content::Steps(steps),
        answer: Some(Answer::new(move |outcome| tell.send(outcome).unwrap())),
        ..Publication::of_route_handler(None, "")
    };
    server.hub.submit_opening(Id::new("doc").unwrap(), publication).unwrap();
    told.recv_timeout(PATIENCE).unwrap()
}

/// The answer to steps of a client's for a version: they come back, or are refused.
fn answer(client: &mut Client, version: u64) -> Value {
    client.send(&format!(r#"{{"type":"steps","version":{version},"steps":[{{"stepType":"w"}}]}}"#));
    loop {
        let message = message(client);
        if message["type"] == "error" || message["type"] == "steps" {
            return message;
        }
    }
}

/// Waits until what a process has said of a document by now has come to another.
fn heard(here: &mut Client, there: &mut Client, word: u64) {
    here.send(&format!(r#"{{"type":"presence","word":{word}}}"#));
    loop {
        let message = message(there);
        if message["type"] == "presence" && message["word"] == word {
            return;
        }
    }
}

#[test]
fn a_route_handler_that_was_too_late_has_its_turn_before_the_editors_of_other_processes() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let over = over(&redis.url());
    let (one, two) = (app.process("one", &over), app.process("two", &over));
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    // A turn is short, and the machine may be slow: each round is another try.
    let mut version = 0;
    let waits = (0..50).find(|round| {
        assert_eq!(answer(&mut b, version)["type"], "steps");
        version += 1;
        while message(&mut a)["type"] != "steps" {}
        let refusal = submit(&one, version - 1).unwrap_err();
        assert!(matches!(refusal, Refusal::Stale { current, .. } if current == version), "{refusal:?}");
        heard(&mut a, &mut b, *round);
        let answer = answer(&mut b, version);
        if answer["type"] == "steps" {
            version += 1;
            while message(&mut a)["type"] != "steps" {}
            return false;
        }
        assert!(answer["version"] == version && answer["retryInMs"].as_u64().unwrap() > 0, "{answer}");
        true
    });
    assert!(waits.is_some(), "the editor is never told to wait");
    submit(&one, version).unwrap();
    while message(&mut b)["version"] != version {}
    heard(&mut a, &mut b, 100);
    assert_eq!(answer(&mut b, version + 1)["type"], "steps", "which has had it");
}
