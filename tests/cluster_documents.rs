//! Documents with an authority over several processes and one Redis: one order of steps, loaded and saved by one process at a
//! time, whatever becomes of the processes and of Redis.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering::SeqCst, mpsc},
    time::Duration,
};

use captify_hub::{
    document::{
        hooks::{Content, HookError, Snapshot},
        store::Kind,
    },
    ids::Id,
};
use serde_json::{Value, json};
use support::{
    Client, PATIENCE, Server,
    app::App,
    eventually,
    recovery::{back, join, json as message},
    redis::{Redis, away, over, ready},
    redis_proxy::Proxy,
};

fn two(app: &Arc<App>, redis: &Redis) -> (Server, Server) {
    let over = over(&redis.url());
    (app.process("one", &over), app.process("two", &over))
}

fn send(client: &mut Client, version: u64, id: u64) {
    send_word(client, version, id, "w");
}

fn send_word(client: &mut Client, version: u64, id: u64, word: &str) {
    client.send(&format!(
        r#"{{"type":"steps","version":{version},"id":{id},"steps":[{{"stepType":"{word}{version}"}}]}}"#
    ));
}

/// The next message that is of this type, over all others.
fn next(client: &mut Client, kind: &str) -> Value {
    loop {
        let message = message(client);
        if message["type"] == kind {
            return message;
        }
    }
}

/// The next steps, and what the client was refused before them.
fn steps_and_refusal(client: &mut Client) -> (Value, Option<Value>) {
    let mut refused = None;
    loop {
        let message = message(client);
        match message["type"].as_str() {
            Some("steps") => return (message, refused),
            Some("error") => refused = Some(message),
            _ => {}
        }
    }
}

/// Sends steps until they have their place: nobody writes before all that was lost has its own.
fn write(client: &mut Client, version: u64) {
    let client = RefCell::new(client);
    eventually("they have their place", || {
        let client = &mut client.borrow_mut();
        send(client, version, 1);
        let answer = message(client);
        (&answer["type"], &answer["version"]) == (&json!("steps"), &json!(version))
    });
}

fn version(client: &mut Client) -> u64 {
    client.send(r#"{"type":"sync"}"#);
    next(client, "synced")["version"].as_u64().unwrap()
}

/// Waits until a client is told that the document has reached a version.
fn reaches(client: &mut Client, reached: u64) {
    let client = RefCell::new(client);
    eventually("it has reached the version", || version(&mut client.borrow_mut()) >= reached);
}

fn read(server: &Server, document: &str) -> Result<Option<Content>, HookError> {
    let (tell, told) = mpsc::channel();
    server.hub.read(Id::new(document).unwrap(), move |read| tell.send(read).unwrap()).unwrap();
    told.recv_timeout(PATIENCE).unwrap()
}

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
    app.does_not_save.store(true, SeqCst);
    let one = app.process("one", &over(&redis.url()));
    let mut a = one.join("doc", "a");
    send(&mut a, 0, 1);
    next(&mut a, "steps");
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
    let one = app.process("one", &over(&redis.url()));
    let mut a = one.join("doc", "a");
    app.does_not_save.store(true, SeqCst);
    send(&mut a, 0, 1);
    next(&mut a, "steps");
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

#[test]
fn relays_beside_them_are_as_they_were() {
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let (one, two) = two(&app, &redis);
    let (mut a, mut b) = (one.join("relay", "a"), two.join("relay", "b"));
    a.send(r#"{"type":"update","documentId":"relay","update":1}"#);
    assert_eq!(next(&mut b, "update")["update"], 1);
    assert!(app.loads.lock().unwrap().is_empty());
}
