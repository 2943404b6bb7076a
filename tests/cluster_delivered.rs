//! How many connections got what a route handler has published, over all processes that share a Redis.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use captify_hub::{ids::Id, room::publication::Refusal};
use support::{
    Server,
    recovery::{cut, json},
    redis::{Redis, over, process},
};

/// Publishes for a route handler; returns how many connections got it.
fn publish(server: &Server, client: Option<&str>, text: &str) -> Result<usize, Refusal> {
    let (told, outcome) = mpsc::channel();
    let id = |text: &str| Id::new(text).unwrap();
    let tell = move |outcome| told.send(outcome).unwrap();
    server.hub.publish_everywhere(id("doc"), client.map(id), text.to_owned(), tell).unwrap();
    outcome.recv_timeout(support::PATIENCE).unwrap()
}

#[test]
fn a_route_handler_is_told_how_many_connections_of_all_processes_got_it() {
    let redis = Redis::start();
    let [one, two, three] = [(); 3].map(|()| process(&over(&redis.url())));
    let (_a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    let _others = [two.join("doc", "c"), two.join("doc", "b"), three.join("other", "d")];
    // As long as one is waited for that says nothing.
    support::eventually("nobody is waited for in vain", || {
        let started = Instant::now();
        for server in [&one, &two, &three] {
            assert_eq!(publish(server, None, r#"{"type":"steps"}"#), Ok(4));
            assert_eq!(publish(server, Some("b"), r#"{"type":"for b"}"#), Ok(2));
            assert_eq!(publish(server, Some("nobody"), r#"{"type":"for nobody"}"#), Ok(0));
        }
        started.elapsed() < Duration::from_secs(1)
    });
    assert_eq!(json(&mut b)["type"], "steps");
}

#[test]
fn it_is_right_for_many_that_are_published_at_once_by_all_and_for_who_comes_and_goes() {
    let redis = Redis::start();
    let [one, two] = [(); 2].map(|()| process(&over(&redis.url())));
    let _a = one.join("doc", "a");
    std::thread::scope(|scope| {
        for server in [&one, &two] {
            scope.spawn(move || {
                for _ in 0..100 {
                    let count = publish(server, None, r#"{"type":"steps"}"#).unwrap();
                    assert!((1..=2).contains(&count), "{count}");
                }
            });
        }
        for _ in 0..20 {
            let b = two.join("doc", "b");
            cut(&two, b, 0);
        }
    });
    assert_eq!(publish(&two, None, r#"{"type":"last"}"#), Ok(1));
}

#[test]
fn a_process_that_hangs_is_waited_for_no_longer_than_a_second() {
    let redis = Redis::start();
    let one = process(&over(&redis.url()));
    let _a = one.join("doc", "a");
    // It hears what is said of the document, and says nothing.
    let mut hanging = redis.subscriber();
    let mut hears = hanging.as_pubsub();
    hears.subscribe("hub:{doc}:said").unwrap();
    redis.command("PUBLISH hub:alive 00000000000000aa");
    let started = Instant::now();
    assert_eq!(publish(&one, None, r#"{"type":"steps"}"#), Ok(1));
    assert!(started.elapsed() >= Duration::from_millis(900) && started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_route_handler_is_told_that_redis_is_away() {
    let mut redis = Redis::start();
    let mut config = over(&redis.url());
    config.wait = Duration::from_millis(300);
    let one = process(&config);
    let _a = one.join("doc", "a");
    redis.kill();
    assert_eq!(publish(&one, None, r#"{"type":"steps"}"#), Err(Refusal::Unavailable));
}

#[test]
fn who_listens_and_is_no_process_is_waited_for_by_nobody_once_the_processes_know_one_another() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let _members = [one.join("doc", "a"), two.join("doc", "b")];
    let mut curious = redis.subscriber();
    let mut hears = curious.as_pubsub();
    hears.psubscribe("*").unwrap();
    support::eventually("it takes no second any more", || {
        let started = Instant::now();
        assert_eq!(publish(&one, None, r#"{"type":"steps"}"#), Ok(2));
        started.elapsed() < Duration::from_millis(500)
    });
}
