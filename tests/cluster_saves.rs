//! Documents with an authority over several processes: one process at a time saves, whatever becomes of it.

#![cfg(feature = "redis")]

mod support;

use std::{
    sync::{Arc, atomic::Ordering::SeqCst, mpsc},
    time::Duration,
};

use captify_hub::{
    document::{hooks::Snapshot, store::Kind},
    ids::Id,
};
use serde_json::json;
use support::{
    PATIENCE,
    app::App,
    eventually,
    redis::{Redis, away, over, ready},
    redis_proxy::Proxy,
    steps::{next, reaches, send, two, unsaved},
};

#[test]
fn one_process_saves_and_the_clients_of_all_are_told() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    for round in 0..3 {
        let writer = if round % 2 == 0 { &mut b } else { &mut a };
        send(writer, round, round + 1);
        for client in [&mut a, &mut b] {
            assert_eq!(next(client, "saved")["version"], round + 1);
        }
    }
    let savers: Vec<_> =
        app.saves.lock().unwrap().iter().map(|(name, version, _)| (*name, *version)).collect();
    assert_eq!(savers, [("one", 1), ("one", 2), ("one", 3)], "the one that has loaded it");
    // Without anybody to save it Redis has noted that all of it is.
    eventually("nothing is unsaved", || redis.command("SCARD hub:unsaved") == redis::Value::Int(0));
}

#[test]
fn a_mark_that_could_not_be_taken_away_is_taken_away_later() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, _two) = two(&app, &redis);
    let mut a = one.join("doc", "a");
    redis.command("ACL SETUSER default -srem");
    send(&mut a, 0, 1);
    assert_eq!(next(&mut a, "saved")["version"], 1);
    eventually("it was tried", || redis.command("ACL LOG") != redis::Value::Array(Vec::new()));
    assert_eq!(redis.command("SCARD hub:unsaved"), redis::Value::Int(1));
    redis.command("ACL SETUSER default +srem");
    eventually("nothing is unsaved", || redis.command("SCARD hub:unsaved") == redis::Value::Int(0));
}

#[test]
fn a_mark_that_redis_alone_has_lost_is_set_again_over_the_next_connection() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (_one, _a) = unsaved(&app, &redis);
    assert_eq!(redis.command("DEL hub:unsaved"), redis::Value::Int(1));
    redis.command("CLIENT KILL TYPE pubsub");
    eventually("its mark is set again", || redis.command("SCARD hub:unsaved") == redis::Value::Int(1));
}

#[test]
fn documents_that_no_app_saves_cost_nothing_but_their_leases() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    app.has_no_save.store(true, SeqCst);
    let one = app.process("one", &over(&redis.url()));
    let mut a = one.join("doc", "a");
    send(&mut a, 0, 1);
    next(&mut a, "steps");
    eventually("its mark is set", || redis.command("SCARD hub:unsaved") == redis::Value::Int(1));
    // A lease is looked for in the script alone, with two calls of HMGET.
    let rounds = || redis.calls("hmget");
    let before = rounds();
    eventually("its lease was renewed", || rounds() > before);
    let asked = redis.calls("hget");
    let before = rounds();
    eventually("its lease was renewed again", || rounds() > before + 2);
    assert_eq!(redis.calls("hget") - asked, 0);
}

#[test]
fn who_has_the_document_open_saves_on_when_the_process_ends_that_did() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    app.does_not_save.store(true, SeqCst);
    send(&mut b, 0, 1);
    next(&mut b, "steps");
    drop(a);
    drop(one);
    app.does_not_save.store(false, SeqCst);
    assert_eq!(next(&mut b, "saved")["version"], 1);
    assert_eq!(app.saves.lock().unwrap().last().unwrap().0, "two");
}

#[test]
fn what_no_process_could_save_is_saved_by_the_next_one_without_anybody_who_opens_it() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    app.does_not_save.store(true, SeqCst);
    {
        let (one, two) = two(&app, &redis);
        let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
        send(&mut a, 0, 1);
        next(&mut b, "steps");
        send(&mut b, 1, 1);
        next(&mut b, "steps");
    }
    app.does_not_save.store(false, SeqCst);
    let _three = app.process("three", &over(&redis.url()));
    eventually("it is saved", || app.row("doc").is_some_and(|row| row.version == 2));
    assert_eq!(app.saves.lock().unwrap()[..], [("three", 2, "restart")]);
}

#[test]
fn a_save_that_could_not_be_noted_is_noted_later_and_not_made_again() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let proxy = Proxy::to(redis.port);
    let (one, two) = (app.process("one", &over(&proxy.url())), app.process("two", &over(&redis.url())));
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    let proxy = Arc::new(proxy);
    let cut = Arc::clone(&proxy);
    *app.before_answer.lock().unwrap() = Some(Box::new(move || cut.swallow(true, true)));
    send(&mut a, 0, 1);
    next(&mut a, "steps");
    eventually("it is saved", || app.row("doc").is_some());
    away(&one);
    proxy.heal();
    ready(&one);
    assert_eq!(next(&mut b, "saved")["version"], 1);
    send(&mut a, 1, 2);
    assert_eq!(next(&mut b, "saved")["version"], 2);
    assert_eq!(*app.refused.lock().unwrap(), []);
    assert_eq!(app.saves.lock().unwrap().len(), 2);
}

#[test]
fn a_save_whose_process_has_died_before_it_could_note_it_is_known_to_the_next() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let proxy = Arc::new(Proxy::to(redis.port));
    let (one, two) = (app.process("one", &over(&proxy.url())), app.process("two", &over(&redis.url())));
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    let cut = Arc::clone(&proxy);
    *app.before_answer.lock().unwrap() = Some(Box::new(move || cut.swallow(true, true)));
    send(&mut a, 0, 1);
    next(&mut a, "steps");
    eventually("it is saved", || app.row("doc").is_some());
    // It is gone for the others, and they look after its documents.
    redis.command("DEL hub:{doc}:lease");
    eventually("the other one looks after it", || {
        redis.command("EXISTS hub:{doc}:lease") == redis::Value::Int(1)
    });
    send(&mut b, 1, 1);
    while next(&mut b, "saved")["version"] != 2 {}
    assert_eq!(*app.refused.lock().unwrap(), []);
    assert_eq!(app.row("doc").unwrap().version, 2);
    drop(a);
}

#[test]
fn who_has_missed_that_it_was_saved_hears_it_all_the_same() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    app.does_not_save.store(true, SeqCst);
    send(&mut b, 0, 1);
    next(&mut a, "steps");
    reaches(&mut b, 1);
    let (tell, told) = mpsc::channel();
    two.hub.save_document(&Id::new("doc").unwrap(), move |saved| tell.send(saved).unwrap()).unwrap();
    assert!(told.recv_timeout(Duration::from_millis(300)).is_err());
    // It is noted, and nobody tells it.
    redis.command("HSET hub:{doc}:kept saved 1");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Ok(true));
    eventually("its mark is taken away", || redis.command("SCARD hub:unsaved") == redis::Value::Int(0));
    drop((a, b));
}

#[test]
fn a_document_that_was_saved_as_its_last_process_ended_does_not_stay_in_redis() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, a) = unsaved(&app, &redis);
    assert_eq!(redis.command("PTTL hub:{doc}:kept"), redis::Value::Int(-1));
    // It is not saved before the process ends, which it does before it would say again how long all of it stays.
    app.does_not_save.store(false, SeqCst);
    one.hub.close(Duration::from_secs(5));
    drop(a);
    assert_eq!(app.row("doc").unwrap().version, 1);
    for key in ["meta", "log", "kept"] {
        let redis::Value::Int(left) = redis.command(&format!("PTTL hub:{{doc}}:{key}")) else { panic!() };
        assert!(left > 0, "{key}: {left}");
    }
}

#[test]
fn a_process_that_has_lost_its_lease_does_not_save() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, _two) = two(&app, &redis);
    let mut a = one.join("doc", "a");
    redis.command("SET hub:{doc}:lease another PX 1000");
    send(&mut a, 0, 1);
    next(&mut a, "steps");
    let other = redis::Value::BulkString(b"another".to_vec());
    eventually("it is the other's no more", || {
        let is_saved = !app.saves.lock().unwrap().is_empty();
        let is_the_others = redis.command("GET hub:{doc}:lease") == other;
        assert!(!(is_the_others && is_saved));
        !is_the_others
    });
    // Once the other is silent it looks after the document again.
    assert_eq!(next(&mut a, "saved")["version"], 1);
    assert_eq!(redis.command("HGET hub:{doc}:kept saved"), redis::Value::BulkString(b"1".to_vec()));
}

#[test]
fn what_a_process_notes_that_has_lost_its_lease_meanwhile_counts_for_nothing() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let redis = Arc::new(redis);
    let (one, _two) = two(&app, &redis);
    let mut a = one.join("doc", "a");
    let taken = Arc::clone(&redis);
    *app.before_answer.lock().unwrap() = Some(Box::new(move || {
        taken.command("SET hub:{doc}:lease another PX 1000");
    }));
    send(&mut a, 0, 1);
    eventually("it is saved", || app.row("doc").is_some());
    assert_eq!(redis.command("HGET hub:{doc}:kept saved"), redis::Value::BulkString(b"0".to_vec()));
    // Once the other is silent it looks after the document again, and says so.
    assert_eq!(next(&mut a, "saved")["version"], 1);
    assert_eq!(redis.command("HGET hub:{doc}:kept saved"), redis::Value::BulkString(b"1".to_vec()));
    assert_eq!(*app.refused.lock().unwrap(), []);
}

#[test]
fn where_somebody_else_has_changed_the_apps_copy_the_hub_sets_aside_what_gives_way() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    app.does_not_save.store(true, SeqCst);
    {
        let (one, _two) = two(&app, &redis);
        let mut a = one.join("doc", "a");
        send(&mut a, 0, 1);
        next(&mut a, "steps");
    }
    redis.command("DEL hub:{doc}:lease");
    let other = Snapshot { version: 5, doc: r#""other""#.into() };
    app.rows.lock().unwrap().insert("doc".to_owned(), other);
    app.does_not_save.store(false, SeqCst);
    let (one, two) = two(&app, &redis);
    for server in [&one, &two] {
        let mut client = server.join("doc", "b");
        client.send(r#"{"type":"sync"}"#);
        let doc = next(&mut client, "sync");
        assert_eq!((&doc["version"], &doc["doc"]), (&json!(5), &json!("other")));
    }
    assert_eq!(redis.command("LLEN hub:{doc}:aside"), redis::Value::Int(1));
}
