//! What members show, and whose place they take, over several processes.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{
    Client, Server,
    recovery::{back, join, json as message},
    redis::{Redis, over, process, ready},
    redis_proxy::Proxy,
};

fn two(redis: &Redis) -> (Server, Server) {
    (process(&over(&redis.url())), process(&over(&redis.url())))
}

fn show(client: &mut Client, what: u64) {
    client.send(&format!(r#"{{"type":"awareness","documentId":"doc","awareness":{what}}}"#));
}

fn seen(client: &mut Client) -> (String, u64) {
    let Value::Object(shown) = message(client) else { panic!("no object") };
    assert_eq!(shown["type"], "awareness", "{shown:?}");
    assert!(!shown.contains_key("offset"));
    (shown["clientID"].as_str().unwrap().to_owned(), shown["awareness"].as_u64().unwrap())
}

/// Joins until what is shown to who joins is as it should be.
fn is_shown(server: &Server, expected: &[&str]) {
    let deadline = Instant::now() + support::PATIENCE;
    loop {
        let (mut client, _) = join(server, "watcher");
        client.send(r#"{"type":"sync","documentId":"doc"}"#);
        let mut shown = Vec::new();
        loop {
            let text = client.text();
            if text.contains("synced") {
                break;
            }
            shown.push(text);
        }
        client.close();
        let all_there = expected.iter().all(|each| shown.iter().any(|text| text.contains(each)));
        if all_there && shown.len() == expected.len() {
            return;
        }
        assert!(Instant::now() < deadline, "{shown:?} instead of {expected:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn members_of_one_process_see_those_of_another_and_who_comes_first_to_a_third_sees_all() {
    let redis = Redis::start();
    let (one, two) = two(&redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    show(&mut a, 1);
    assert_eq!(seen(&mut b), ("a".to_owned(), 1));
    show(&mut b, 2);
    assert_eq!(seen(&mut a), ("b".to_owned(), 2));
    is_shown(&two, &[r#""awareness":1"#, r#""awareness":2"#]);
    let three = process(&over(&redis.url()));
    let mut c = three.join("doc", "c");
    let mut both = [seen(&mut c), seen(&mut c)];
    both.sort();
    assert_eq!(both, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    // Who has left is not shown to those who come later.
    a.close();
    is_shown(&three, &[r#""awareness":2"#]);
    is_shown(&two, &[r#""awareness":2"#]);
}

#[test]
fn what_is_shown_comes_back_with_redis() {
    let mut redis = Redis::with(&["--save", "", "--appendonly", "yes"]);
    let (one, two) = two(&redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    redis.kill();
    support::redis::away(&one);
    show(&mut a, 1);
    a.hears_nothing("doc");
    redis.restart();
    ready(&two);
    assert_eq!(seen(&mut b), ("a".to_owned(), 1));
}

#[test]
fn the_members_of_a_process_that_is_gone_are_shown_for_seconds_at_most() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let (one, two) = (process(&over(&proxy.url())), process(&over(&redis.url())));
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    show(&mut a, 1);
    assert_eq!(seen(&mut b), ("a".to_owned(), 1));
    is_shown(&two, &[r#""awareness":1"#]);
    let began = Instant::now();
    proxy.swallow(true, true);
    is_shown(&two, &[]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn the_older_connection_of_a_client_that_came_back_elsewhere_is_closed_and_the_newer_is_not() {
    let redis = Redis::start();
    let (one, two) = two(&redis);
    let (mut first, position) = join(&one, "a");
    let (mut second, position, word) = back(&two, "a", &position);
    assert_eq!(word["type"], "recovered");
    assert_eq!(first.closed().0, 4409);
    let (mut third, position, word) = back(&one, "a", &position);
    assert_eq!(word["type"], "recovered");
    assert_eq!(second.closed().0, 4409);
    // There and back before anybody could say so.
    let (mut fourth, position, _) = back(&two, "a", &position);
    let (mut fifth, _, _) = back(&one, "a", &position);
    assert_eq!((third.closed().0, fourth.closed().0), (4409, 4409));
    std::thread::sleep(Duration::from_millis(100));
    fifth.hears_nothing("doc");
}
