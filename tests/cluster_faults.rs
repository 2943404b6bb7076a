//! A Redis that is killed, paused, silent, or has lost what it was told: nothing that was acknowledged is published twice, and
//! who cannot be given everything is told to reload.

#![cfg(feature = "redis")]

mod support;

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use captify_hub::{
    Hub,
    cluster::config::ClusterConfig,
    ids::Id,
    room::publication::{Answer, Publication, Refusal},
};
use serde_json::json;
use support::{
    Client, Server,
    clients::{ack, acknowledged, join, numbered, send, send_to, updates},
    recovery::{back, json as message},
    redis::{Redis, away, config, over, process, ready},
    redis_proxy::Proxy,
};

#[test]
fn a_redis_that_is_killed_and_has_kept_everything_costs_no_client_anything() {
    let mut redis = Redis::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let ((mut a, _), (mut b, position)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    redis.kill();
    // What is published now waits, and nobody is told that it stands.
    send(&mut a, 2);
    send(&mut a, 3);
    assert!(!away(&one).is_empty());
    away(&two);
    redis.restart();
    acknowledged(&mut a, 3);
    assert_eq!(updates(&mut b, 3), numbered(1..=3), "over the connection that it had");
    ready(&two);
    let (mut again, _, word) = back(&two, "b", &position);
    assert_eq!(word["type"], "recovered", "{word}");
    assert_eq!(updates(&mut again, 3), numbered(1..=3));
}

#[test]
fn a_redis_that_has_lost_everything_has_every_client_reload() {
    let mut redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let ((mut a, _), (mut b, position)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    assert_eq!(updates(&mut b, 1), numbered(1..=1));
    redis.kill();
    away(&one);
    redis.restart();
    assert_eq!((a.closed().0, b.closed().0), (1013, 1013));
    let (mut again, _, word) = back(&two, "b", &position.at(1));
    assert_eq!((&word["type"], &word["reason"]), (&json!("reload"), &json!("OTHER_EPOCH")));
    again.hears_nothing("doc");
    let (mut a, _) = join(&one, "doc", "a");
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    assert_eq!(updates(&mut again, 1), numbered(1..=1));
}

#[test]
fn a_redis_that_has_lost_its_tail_has_those_documents_reload_that_had_something_in_it() {
    let mut redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let (mut a, _) = join(&one, "doc", "a");
    let (mut b, position) = join(&two, "doc", "b");
    let (_, of_early) = join(&two, "doc", "early");
    let (mut same, _) = join(&one, "same", "s");
    let (mut other, of_other) = join(&two, "same", "o");
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    send_to(&mut same, "same", 1);
    acknowledged(&mut same, 1);
    redis.command("SAVE");
    // This is what it will have lost.
    send(&mut a, 2);
    acknowledged(&mut a, 2);
    assert_eq!(updates(&mut b, 2), numbered(1..=2));
    redis.kill();
    away(&one);
    away(&two);
    redis.restart();
    assert_eq!((a.closed().0, b.closed().0), (1013, 1013));

    // Somebody writes where something was lost: the offset is not given a second time.
    let (mut c, _) = join(&one, "doc", "c");
    send(&mut c, 1);
    acknowledged(&mut c, 1);
    let (_, _, word) = back(&two, "b", &position.at(2));
    assert_eq!((&word["type"], &word["reason"]), (&json!("reload"), &json!("BAD_OFFSET")), "{word}");
    // Who had not seen what was lost misses nothing.
    let (mut again, _, word) = back(&two, "early", &of_early.at(1));
    assert_eq!(word["type"], "recovered", "{word}");
    assert_eq!(updates(&mut again, 1), numbered(1..=1));

    // The other document goes on over the connections that it had, and its clients can come back.
    send_to(&mut same, "same", 2);
    acknowledged(&mut same, 2);
    assert_eq!(updates(&mut other, 2), numbered(1..=2));
    drop(other);
    let target = support::recovery::target("o", &of_other).replace("documentId=doc", "documentId=same");
    let mut other = two.connect(&target);
    message(&mut other);
    assert_eq!(message(&mut other)["type"], "recovered");
    assert_eq!(updates(&mut other, 2), numbered(1..=2));
}

#[test]
fn a_process_that_was_behind_what_was_lost_goes_on() {
    let mut redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    // One of them is deaf for a while, and does not notice before Redis is gone.
    let slow = ClusterConfig { probe_interval: Duration::from_secs(30), ..over(&proxy.url()) };
    let (one, two) = (process(&over(&redis.url())), process(&slow));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    assert_eq!(updates(&mut b, 1), numbered(1..=1));
    redis.command("SAVE");
    proxy.swallow(false, true);
    send(&mut a, 2);
    acknowledged(&mut a, 2);
    redis.kill();
    drop(proxy);
    assert!(!away(&one).is_empty());
    redis.restart();
    assert_eq!(a.closed().0, 1013);
    b.hears_nothing("doc");
}

#[test]
fn what_a_replica_that_takes_over_may_publish_late_no_client_is_told_is_not() {
    let primary = Redis::start();
    let between = Proxy::to(primary.port);
    let port = between.port.to_string();
    let replica =
        Redis::with(&["--save", "", "--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", &port]);
    support::eventually("the replica follows", || replication(&replica).contains("master_link_status:up"));
    let mut hub = config();
    hub.history.messages = 3;
    let one = Server { hub: Hub::start_cluster(hub, &over(&primary.url()), Box::new(drop)).unwrap() };
    let (mut writer, _) = join(&one, "doc", "writer");
    let comes_back = |writer: &mut Client, first: u64| {
        let (mut client, position) = join(&one, "doc", "a");
        send(&mut client, 1);
        acknowledged(&mut client, 1);
        drop(client);
        for id in first..first + 5 {
            send(writer, id);
            acknowledged(writer, id);
        }
        back(&one, "a", &position).2
    };
    let word = comes_back(&mut writer, 1);
    assert_eq!(word, json!({ "type": "reload", "reason": "HISTORY_GONE", "upTo": 1 }));
    // It hears nothing of the client session that is over.
    between.swallow(true, true);
    let word = comes_back(&mut writer, 6);
    assert_eq!(word, json!({ "type": "reload", "reason": "HISTORY_GONE" }));
}

fn replication(redis: &Redis) -> String {
    let redis::Value::BulkString(text) = redis.command("INFO replication") else { panic!("no text") };
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn nothing_is_published_late_that_a_client_was_told_is_not() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let slow = ClusterConfig { probe_interval: Duration::from_secs(30), ..over(&proxy.url()) };
    let mut hub = config();
    hub.history.messages = 3;
    let start = |redis: &ClusterConfig| Server {
        hub: Hub::start_cluster(hub.clone(), redis, Box::new(drop)).unwrap(),
    };
    let (one, two) = (start(&slow), start(&over(&redis.url())));
    let (mut a, position) = join(&one, "doc", "a");
    let (mut b, _) = join(&two, "doc", "b");
    for id in 1..=5 {
        send(&mut a, id);
        acknowledged(&mut a, id);
    }
    assert_eq!(updates(&mut b, 5), numbered(1..=5));
    // The process does not hear that its client is elsewhere, nor what becomes of what it sends.
    proxy.swallow(false, true);
    let (mut again, _, word) = back(&two, "a", &position);
    assert_eq!(word, json!({ "type": "reload", "reason": "HISTORY_GONE", "upTo": 5 }));
    send(&mut a, 6);
    assert_eq!(a.closed().0, 1013, "and it is not acknowledged");
    send(&mut again, 7);
    acknowledged(&mut again, 7);
    assert_eq!(updates(&mut b, 1), numbered(7..=7));
    // Who comes with the old token is none that anybody knows.
    let (_, _, word) = back(&two, "a", &position);
    assert_eq!(word, json!({ "type": "reload", "reason": "TOKEN_EXPIRED" }));
}

#[test]
fn connections_that_are_cut_off_are_made_again() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    for round in 0..5 {
        redis.command(if round % 2 == 0 { "CLIENT KILL TYPE normal" } else { "CLIENT KILL TYPE pubsub" });
        for id in round * 10 + 1..=round * 10 + 10 {
            send(&mut a, id);
        }
        acknowledged(&mut a, round * 10 + 10);
    }
    assert_eq!(updates(&mut b, 50), numbered(1..=50));
    b.hears_nothing("doc");
}

#[test]
fn a_redis_that_pauses_is_given_nothing_twice() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    redis.command("CLIENT PAUSE 1500 ALL");
    // Without a number nobody but the batch says that it was sent before.
    for number in 1..=20 {
        a.send(&format!(r#"{{"type":"update","documentId":"doc","update":"of {number}"}}"#));
    }
    assert_eq!(updates(&mut b, 20), numbered(1..=20));
    b.hears_nothing("doc");
    assert_eq!(redis.command("XLEN hub:{doc}:log"), redis::Value::Int(20));
}

#[test]
fn silence_is_noticed_whichever_way_it_is() {
    for (commands, answers) in [(true, false), (false, true), (true, true)] {
        let redis = Redis::start();
        let proxy = Proxy::to(redis.port);
        let (one, two) = (process(&over(&proxy.url())), process(&over(&redis.url())));
        let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
        send(&mut a, 1);
        acknowledged(&mut a, 1);
        proxy.swallow(commands, answers);
        // Where only answers are swallowed this arrives, and nobody says so.
        for id in 2..=5 {
            send(&mut a, id);
            a.send(&format!(r#"{{"type":"update","documentId":"doc","update":"no number {id}"}}"#));
        }
        send(&mut b, 1);
        let began = Instant::now();
        away(&one);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        proxy.heal();
        acknowledged(&mut a, 5);
        let all = updates(&mut a_reader(&two), 10);
        let expected: Vec<_> =
            (2..=5).flat_map(|id| [format!("of {id}"), format!("no number {id}")]).collect();
        assert_eq!(all.iter().filter(|text| expected.contains(text)).cloned().collect::<Vec<_>>(), expected);
    }
}

/// A client that is given all that was ever published to the document.
fn a_reader(server: &Server) -> Client {
    let (reader, position) = join(server, "doc", "reader");
    drop(reader);
    let (again, _, word) = back(server, "reader", &position.at(0));
    assert_eq!(word["type"], "recovered", "{word}");
    again
}

#[test]
fn a_subscription_that_hears_nothing_is_noticed() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    assert_eq!(updates(&mut b, 1), numbered(1..=1));
    // Redis takes everything and delivers nothing.
    redis.command("ACL SETUSER default resetchannels");
    away(&one);
    redis.command("ACL SETUSER default allchannels");
    send(&mut a, 2);
    acknowledged(&mut a, 2);
    assert_eq!(updates(&mut b, 1), numbered(2..=2));
}

#[test]
fn while_redis_is_away_publications_wait_within_a_bound_and_are_then_refused() {
    let mut redis = Redis::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let config = ClusterConfig { wait: Duration::from_millis(600), ..over(&redis.url()) };
    let one = process(&config);
    let ((mut a, position), (mut b, _)) = (join(&one, "doc", "a"), join(&one, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    redis.kill();
    away(&one);
    send(&mut a, 2);
    // Who only watches stays, and what is true now goes on within the process.
    a.send(r#"{"type":"awareness","documentId":"doc","awareness":1}"#);
    assert_eq!(updates(&mut b, 1), numbered(1..=1));
    assert_eq!(message(&mut b)["type"], "awareness");
    let (told, outcome) = mpsc::channel();
    let publication = Publication {
        answer: Some(Answer::new(move |outcome| told.send(outcome).unwrap())),
        ..Publication::of_route_handler(None, r#"{"type":"steps"}"#)
    };
    one.hub.submit_opening(Id::new("doc").unwrap(), publication).unwrap();
    assert_eq!(outcome.recv_timeout(support::PATIENCE).unwrap(), Err(Refusal::Unavailable));
    assert_eq!(a.closed(), (1013, "The document takes nothing at the moment".to_owned(), 0));
    b.hears_nothing("doc");
    redis.restart();
    ready(&one);
    let (mut again, _, word) = back(&one, "a", &position.at(1));
    assert_eq!((&word["type"], &word["upTo"]), (&json!("recovered"), &json!(1)), "{word}");
    send(&mut again, 2);
    acknowledged(&mut again, 2);
    assert_eq!(updates(&mut b, 1), numbered(2..=2));
}

#[test]
fn who_comes_while_redis_is_away_is_told_to_come_back() {
    let mut redis = Redis::start();
    let config = ClusterConfig { wait: Duration::from_millis(300), ..over(&redis.url()) };
    let one = process(&config);
    let (_a, position) = join(&one, "doc", "a");
    redis.kill();
    away(&one);
    let mut new = one.connect("/ws/fabric?documentId=new&clientID=n");
    assert_eq!(new.closed().0, 1013);
    let mut again = one.connect(&support::recovery::target("a", &position));
    assert_eq!(again.closed().0, 1013);
}

#[test]
fn scripts_that_somebody_has_flushed_are_put_there_again() {
    let redis = Redis::start();
    let one = process(&over(&redis.url()));
    let (mut a, _) = join(&one, "doc", "a");
    redis.command("SCRIPT FLUSH");
    send(&mut a, 1);
    assert_eq!(message(&mut a), ack(1, 1));
    redis.command("SCRIPT FLUSH");
    let (mut b, _) = join(&one, "other", "b");
    b.hears_nothing("other");
}
