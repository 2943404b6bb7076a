//! Documents with an authority over several processes and one Redis: one order of steps, loaded by one process for all.

#![cfg(feature = "redis")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use captify_hub::document::store::Kind;
use serde_json::json;
use support::{
    app::App,
    eventually,
    recovery::{back, join, json as message},
    redis::{Redis, over},
    steps::{next, read, send, send_word, steps_and_refusal, two, version},
};

#[test]
fn members_of_all_processes_get_the_same_steps_and_who_comes_second_is_told_behind_them() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    for round in 0..100 {
        send(&mut a, round, round + 1);
        send(&mut b, round, round + 1);
        let (of_a, early_a) = steps_and_refusal(&mut a);
        let (of_b, early_b) = steps_and_refusal(&mut b);
        assert_eq!((&of_a, &of_a["version"]), (&of_b, &json!(round)));
        let (loser, early) = if of_a["clientID"] == "a" { (&mut b, early_b) } else { (&mut a, early_a) };
        // It was the other's turn, which it is told at once; or the other was first, and it is told behind what took its place.
        let is_early = early.is_some();
        let refused = early.unwrap_or_else(|| next(loser, "error"));
        assert_eq!(refused["code"], "VERSION_MISMATCH");
        // What took its place may overtake that it was the other's turn. It never hears of a version that it was not sent.
        let known = if is_early { round..=round } else { round..=round + 1 };
        assert!(known.contains(&refused["version"].as_u64().unwrap()), "{refused} in round {round}");
    }
    assert_eq!((version(&mut a), version(&mut b)), (100, 100));
}

#[test]
fn a_document_is_loaded_once_for_all_and_what_cannot_be_loaded_lets_nobody_in() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    app.does_not_load.store(true, SeqCst);
    for server in [&one, &two] {
        let (code, reason, _) = server.connect("/ws/fabric?documentId=doc&clientID=a").closed();
        assert_eq!((code, reason.as_str()), (1013, "The document could not be opened"));
    }
    assert_eq!(app.loads.lock().unwrap().len(), 2, "the next one who comes tries again");
    app.does_not_load.store(false, SeqCst);
    app.load_takes(200);
    let mut clients: Vec<_> = (0..6)
        .map(|place| {
            let server = if place % 2 == 0 { &one } else { &two };
            server.connect(&format!("/ws/fabric?documentId=doc&clientID=c{place}"))
        })
        .collect();
    for client in &mut clients {
        assert_eq!(message(client)["kind"], "steps");
    }
    assert_eq!(app.loads.lock().unwrap().len(), 3);
}

#[test]
fn a_client_that_comes_back_to_another_process_gets_its_own_steps_too_and_none_twice() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, position) = join(&one, "a");
    let mut b = two.join("doc", "b");
    send(&mut a, 0, 1);
    next(&mut b, "steps");
    send(&mut b, 1, 1);
    next(&mut b, "steps");
    drop(a);
    let (mut again, _, word) = back(&two, "a", &position);
    assert_eq!((&word["type"], &word["upTo"]), (&json!("recovered"), &json!(1)));
    let whose: Vec<_> = (0..2).map(|_| next(&mut again, "steps")["clientID"].clone()).collect();
    assert_eq!(whose, ["a", "b"]);
    // What it sends again is there already.
    send(&mut again, 0, 1);
    send(&mut again, 2, 2);
    let steps = next(&mut again, "steps");
    assert_eq!((&steps["version"], &steps["clientID"]), (&json!(2), &json!("a")));
    assert_eq!(version(&mut b), 3);
}

#[test]
fn a_document_is_read_in_any_process_as_it_is_now() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let mut a = one.join("doc", "a");
    for round in 0..20 {
        send(&mut a, round, round + 1);
        next(&mut a, "steps");
        assert_eq!(read(&two, "doc").unwrap().unwrap().version, round + 1);
    }
    assert_eq!(read(&two, "relay"), Ok(None));
    app.does_not_load.store(true, SeqCst);
    assert!(read(&two, "other").is_err());
}

#[test]
fn steps_that_do_not_fit_are_set_aside_and_everybody_goes_on_with_the_good_document() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    send(&mut a, 0, 1);
    next(&mut b, "steps");
    next(&mut b, "saved");
    send_word(&mut b, 1, 1, "unfit");
    for client in [&mut a, &mut b] {
        assert_eq!(next(client, "reload")["reason"], "STEPS_SET_ASIDE");
        client.send(r#"{"type":"sync"}"#);
        assert_eq!(next(client, "synced")["version"], 3);
        let doc = next(client, "sync");
        assert_eq!((&doc["version"], &doc["doc"]), (&json!(3), &json!(r#"[{"stepType":"w0"}]"#)));
    }
    send(&mut b, 3, 2);
    assert_eq!(next(&mut a, "steps")["version"], 3);
    assert_eq!(next(&mut a, "saved")["version"], 4);
    assert_eq!(&*app.row("doc").unwrap().doc, r#""[{\"stepType\":\"w0\"}][{\"stepType\":\"w3\"}]""#);
}

#[test]
fn updates_of_all_processes_are_kept_and_a_newcomer_elsewhere_gets_them_all() {
    let (redis, app) = (Redis::start(), App::of(Kind::Updates));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("doc", "a"), two.join("doc", "b"));
    for id in 1..=50 {
        for client in [&mut a, &mut b] {
            client.send(&format!(
                r#"{{"type":"update","documentId":"doc","update":{id},"id":{id},"ack":true}}"#
            ));
        }
    }
    for client in [&mut a, &mut b] {
        for id in 1..=50 {
            assert_eq!(next(client, "update")["update"], id, "of the other");
        }
    }
    eventually("all is saved", || app.row("doc").is_some_and(|row| row.version == 100));
    let mut c = two.join("doc", "c");
    c.send(r#"{"type":"sync","documentId":"doc"}"#);
    let state = next(&mut c, "state");
    let mut behind = 0;
    while message(&mut c)["type"] == "update" {
        behind += 1;
    }
    let merged = state["state"].as_str().map_or(0, str::len);
    assert!(merged > 0 || behind == 100, "{state} and {behind} updates");
}

#[test]
fn steps_behind_steps_that_find_no_place_find_none_either() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let one = app.process("one", &over(&redis.url()));
    let mut a = one.join("doc", "a");
    send(&mut a, 0, 1);
    next(&mut a, "steps");
    let field = |name: &str| match redis.command(&format!("HGET hub:{{doc}}:meta {name}")) {
        redis::Value::BulkString(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    let append = |places: &[&str]| {
        let mut call = redis::cmd("EVAL");
        call.arg(include_str!("../src/cluster/append.lua")).arg(4);
        for key in ["meta", "log", "did:x", "kept"] {
            call.arg(format!("hub:{{doc}}:{key}"));
        }
        let (epoch, offset, nonce, run) = (field("e"), field("o"), field("n"), field("r"));
        call.arg("hub:{doc}:said").arg("x").arg(1).arg(run).arg(epoch).arg(offset).arg(nonce);
        call.arg("00000000000000aa").arg(1).arg(100).arg(100_000).arg(10_000).arg(10_000);
        // Published in times to come.
        call.arg(1_u64 << 50).arg(places.len());
        for place in places {
            call.arg(0).arg("").arg(*place).arg("x");
        }
        let (_, reply, _): (String, String, redis::Value) = call.query(&mut redis.subscriber()).unwrap();
        redis.command("DEL hub:{doc}:did:x");
        reply.rsplit(' ').next().unwrap().to_owned()
    };
    // Another's has taken version 0, and what was made behind the first would stand behind that.
    assert_eq!(append(&["v0+1", "v1+2c", "", "v3+1c", "v1+1"]), "s1,s1,a,s1,a");
    assert_eq!(append(&["v2+1", "v3+1c"]), "a,a");
}

#[test]
fn relays_beside_them_are_as_they_were() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("relay", "a"), two.join("relay", "b"));
    a.send(r#"{"type":"update","documentId":"relay","update":1}"#);
    assert_eq!(next(&mut b, "update")["update"], 1);
    assert!(app.loads.lock().unwrap().is_empty());
}
