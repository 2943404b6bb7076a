//! Documents with an authority over a Redis that has lost some of them, or all.

#![cfg(feature = "redis")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use captify_hub::document::store::Kind;
use serde_json::json;
use support::{
    Server,
    app::App,
    eventually,
    redis::{Redis, away, over, ready},
    redis_proxy::Proxy,
    steps::{next, reaches, read, send, send_word, two, unsaved, version, write},
};

#[test]
fn a_redis_that_has_lost_everything_is_given_back_what_the_processes_have() {
    let (mut redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    app.does_not_save.store(true, SeqCst);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    for round in 0..5 {
        send(&mut b, round, round + 1);
        next(&mut a, "steps");
        next(&mut b, "steps");
    }
    redis.kill();
    redis.restart();
    assert_eq!((a.closed().0, b.closed().0), (1013, 1013));
    for server in [&one, &two] {
        ready(server);
        eventually("it is all there again", || {
            read(server, "doc").is_ok_and(|content| content.is_some_and(|content| content.version == 5))
        });
    }
    app.does_not_save.store(false, SeqCst);
    eventually("it is saved", || app.row("doc").is_some_and(|row| row.version == 5));
    let mut again = two.join("doc", "b");
    assert_eq!(version(&mut again), 5);
}

#[test]
fn a_document_that_was_given_back_is_saved_by_the_next_process_without_anybody_who_opens_it() {
    for is_flushed in [false, true] {
        let (mut redis, app) = (Redis::start(), App::of(Kind::Steps));
        app.does_not_save.store(true, SeqCst);
        {
            let (one, two) = two(&app, &redis);
            let mut a = one.join("doc", "a");
            send(&mut a, 0, 1);
            next(&mut a, "steps");
            if is_flushed {
                redis.command("FLUSHALL");
                send(&mut a, 1, 2);
            } else {
                redis.kill();
                redis.restart();
            }
            assert_eq!(a.closed().0, 1013);
            for server in [&one, &two] {
                ready(server);
            }
            eventually("it is there again, and known not to be saved", || {
                let version = redis.command("HGET hub:{doc}:meta v");
                version == redis::Value::BulkString(b"1".to_vec())
                    && redis.command("SCARD hub:unsaved") == redis::Value::Int(1)
            });
        }
        app.does_not_save.store(false, SeqCst);
        let _three = app.process("three", &over(&redis.url()));
        eventually("it is saved", || app.row("doc").is_some_and(|row| row.version == 1));
        assert_eq!(app.saves.lock().unwrap()[..], [("three", 1, "restart")]);
    }
}

#[test]
fn what_those_had_alone_who_do_not_look_after_the_document_is_set_aside_once() {
    let (mut redis, app) = (Redis::start(), App::of(Kind::Steps));
    app.does_not_save.store(true, SeqCst);
    let proxies = [(); 3].map(|()| Proxy::to(redis.port));
    let [one, two, three] = [("one", 0), ("two", 1), ("three", 2)]
        .map(|(name, index)| app.process(name, &over(&proxies[index].url())));
    let (mut a, mut b, mut c) = (one.join("doc", "a"), two.join("doc", "b"), three.join("doc", "c"));
    send(&mut a, 0, 1);
    next(&mut a, "steps");
    next(&mut b, "steps");
    redis.command("SAVE");
    // What Redis will have lost, and who looks after the document has not heard.
    proxies[0].swallow(true, true);
    send_word(&mut b, 1, 1, "lost");
    next(&mut b, "steps");
    while next(&mut c, "steps")["version"] != 1 {}
    for proxy in &proxies[1..] {
        proxy.swallow(true, true);
    }
    redis.kill();
    redis.restart();
    proxies[0].heal();
    ready(&one);
    send_word(&mut a, 1, 2, "other");
    assert_eq!(next(&mut a, "steps")["version"], 1);
    for proxy in &proxies[1..] {
        proxy.heal();
    }
    ready(&two);
    ready(&three);
    // Each looks first whether another has.
    eventually("both have set it aside", || redis.calls("lrange") == 2);
    assert_eq!(redis.command("LLEN hub:{doc}:aside"), redis::Value::Int(1));
    let redis::Value::BulkString(record) = redis.command("LINDEX hub:{doc}:aside 0") else { panic!() };
    assert!(String::from_utf8_lossy(&record).contains("lost1"));
}

#[test]
fn a_document_that_redis_has_lost_is_there_again_whole_before_anybody_writes_to_it() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    app.does_not_save.store(true, SeqCst);
    let one = app.process("one", &over(&redis.url()));
    let mut a = one.join("doc", "a");
    for round in 0..20 {
        send(&mut a, round, round + 1);
        while next(&mut a, "steps")["version"] != round {}
    }
    redis.command("FLUSHALL");
    send(&mut a, 20, 21);
    assert_eq!(a.closed().0, 1013);
    eventually("it is there again", || {
        let version = redis.command("HGET hub:{doc}:meta v");
        assert!(version == redis::Value::Nil || version == redis::Value::BulkString(b"20".to_vec()));
        version != redis::Value::Nil
    });
    let mut b = one.join("doc", "b");
    reaches(&mut b, 20);
    write(&mut b, 20);
}

#[test]
fn a_document_that_redis_has_lost_is_put_there_again_however_often_that_fails() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, mut a) = unsaved(&app, &redis);
    redis.command("FLUSHALL");
    // Somebody has the lease who does nothing with it, and is silent after a while.
    redis.command("SET hub:{doc}:lease another PX 1500");
    send(&mut a, 1, 2);
    assert_eq!(a.closed().0, 1013);
    eventually("it is there again", || {
        redis.command("HGET hub:{doc}:meta v") == redis::Value::BulkString(b"1".to_vec())
    });
    let mut b = one.join("doc", "b");
    reaches(&mut b, 1);
    write(&mut b, 1);
}

#[test]
fn steps_that_redis_has_lost_the_end_of_are_put_there_again_and_the_app_is_not_overwritten() {
    let (mut redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    send(&mut a, 0, 1);
    assert_eq!(next(&mut b, "saved")["version"], 1);
    redis.command("SAVE");
    // This is what it will have lost, and the app has some of it.
    send(&mut a, 1, 2);
    assert_eq!(next(&mut b, "saved")["version"], 2);
    app.does_not_save.store(true, SeqCst);
    for round in 2..5 {
        send(&mut a, round, round + 1);
        while next(&mut b, "steps")["version"] != round {}
    }
    redis.kill();
    away(&one);
    away(&two);
    redis.restart();
    ready(&one);
    ready(&two);
    let text =
        |server: &Server| read(server, "doc").ok().flatten().map(|content| (content.version, content.steps));
    eventually("all of it is there again", || text(&one).is_some_and(|(version, _)| version == 5));
    eventually("and everywhere", || text(&two) == text(&one));
    app.does_not_save.store(false, SeqCst);
    eventually("it is saved", || app.row("doc").is_some_and(|row| row.version == 5));
    assert_eq!(*app.refused.lock().unwrap(), []);
    for round in 0..5 {
        assert_eq!(app.row("doc").unwrap().doc.matches(&format!("w{round}")).count(), 1);
    }
    drop((a, b));
}

#[test]
fn members_go_on_over_a_redis_that_has_kept_everything() {
    let (mut redis, app) =
        (Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    send(&mut a, 0, 1);
    next(&mut b, "steps");
    next(&mut a, "steps");
    redis.kill();
    // It waits, and is not confirmed before Redis is back.
    send(&mut b, 1, 1);
    redis.restart();
    for client in [&mut a, &mut b] {
        let steps = next(client, "steps");
        assert_eq!((&steps["version"], &steps["clientID"]), (&json!(1), &json!("b")));
        // The first step may have been saved by itself.
        while next(client, "saved")["version"] != 2 {}
    }
}
