//! A primary that sentinels name: when they name another, a hub goes there, and only what was lost on the way is lost.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::time::Duration;

use captify_hub::{
    Hub,
    cluster::{State, config::ClusterConfig},
};
use serde_json::json;
use support::{
    Server,
    clients::{acknowledged, join, numbered, send, send_to, updates},
    recovery::back,
    redis::{Redis, away, config, over, process, ready},
    sentinel::{NAME, Sentinel},
};

const PASSWORD: &str = "hunter2";

/// A primary and a replica, both with a password.
fn pair() -> (Redis, Redis) {
    let common = [
        "--save",
        "",
        "--requirepass",
        PASSWORD,
        "--masterauth",
        PASSWORD,
        "--repl-diskless-sync-delay",
        "0",
    ];
    let primary = Redis::with(&common);
    let replicaof = ["--replicaof", "127.0.0.1", &primary.port.to_string()].map(str::to_owned);
    let all: Vec<_> = common.iter().map(|word| (*word).to_owned()).chain(replicaof).collect();
    let replica = Redis::with(&all.iter().map(String::as_str).collect::<Vec<_>>());
    follows(&replica);
    (primary, replica)
}

fn info(redis: &Redis) -> String {
    match redis.try_command_as(PASSWORD, "INFO replication") {
        Ok(redis::Value::BulkString(text)) => String::from_utf8(text).unwrap(),
        other => format!("{other:?}"),
    }
}

fn follows(replica: &Redis) {
    support::eventually("the replica follows", || info(replica).contains("master_link_status:up"));
}

/// A sentinel of a pair that knows both.
fn sentinel(primary: &Redis) -> Sentinel {
    let sentinel = Sentinel::with(primary.port, &format!("sentinel auth-pass {NAME} {PASSWORD}"));
    sentinel.knows_a_replica();
    sentinel
}

/// How a hub finds the primary by sentinels on ports.
fn by(ports: &[u16]) -> ClusterConfig {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    ClusterConfig {
        wait: Duration::from_secs(20),
        look_interval: Duration::from_millis(300),
        ..over(&format!("redis+sentinel://:{PASSWORD}@{}/{NAME}", hosts.join(",")))
    }
}

#[test]
fn a_fail_over_costs_no_client_anything_where_the_replica_had_everything() {
    let (mut primary, replica) = pair();
    let sentinel = sentinel(&primary);
    let (one, two) = (process(&by(&[sentinel.port])), process(&by(&[sentinel.port])));
    let ((mut a, _), (mut b, position)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    assert_eq!(primary.command_as(PASSWORD, "WAIT 1 5000"), redis::Value::Int(1));
    primary.kill();
    send(&mut a, 2);
    away(&one);
    away(&two);
    acknowledged(&mut a, 2);
    assert_eq!(updates(&mut b, 2), numbered(1..=2), "over the connection that it had");
    ready(&two);
    assert!(info(&replica).contains("role:master"));
    let (_, _, word) = back(&two, "b", &position);
    assert_eq!(word["type"], "recovered", "{word}");
}

#[test]
fn a_replica_that_was_behind_has_those_documents_reload_that_diverged() {
    let (mut primary, replica) = pair();
    let sentinel = sentinel(&primary);
    let (one, two) = (process(&by(&[sentinel.port])), process(&by(&[sentinel.port])));
    let ((mut a, _), (mut b, position)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    let (_, of_early) = join(&two, "doc", "early");
    let ((mut same, _), (mut other, _)) = (join(&one, "same", "s"), join(&two, "same", "o"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    send_to(&mut same, "same", 1);
    acknowledged(&mut same, 1);
    assert_eq!(primary.command_as(PASSWORD, "WAIT 1 5000"), redis::Value::Int(1));

    // From here on the replica is told nothing more.
    replica.command_as(PASSWORD, "CONFIG SET masterauth wrong");
    primary.command_as(PASSWORD, "CLIENT KILL TYPE replica");
    send(&mut a, 2);
    acknowledged(&mut a, 2);
    assert_eq!(updates(&mut b, 2), numbered(1..=2));
    primary.kill();
    away(&one);
    away(&two);
    assert_eq!((a.closed().0, b.closed().0), (1013, 1013));
    ready(&one);
    assert!(info(&replica).contains("role:master"));

    // The other document goes on over the connections that it had.
    send_to(&mut same, "same", 2);
    acknowledged(&mut same, 2);
    assert_eq!(updates(&mut other, 2), numbered(1..=2));

    // Who had seen what is lost is told to reload, also after somebody has written in its place; nobody else is.
    let (mut c, _) = join(&one, "doc", "c");
    send(&mut c, 1);
    acknowledged(&mut c, 1);
    let (_, _, word) = back(&two, "b", &position.at(2));
    assert_eq!(word["type"], "reload", "{word}");
    let (mut again, _, word) = back(&two, "early", &of_early.at(1));
    assert_eq!(word["type"], "recovered", "{word}");
    assert_eq!(updates(&mut again, 1), numbered(1..=1));
}

#[test]
fn without_a_replica_that_follows_nobody_is_told_that_nothing_is_published_late() {
    let (primary, replica) = pair();
    let sentinel = sentinel(&primary);
    let mut small = config();
    small.history.messages = 3;
    let hub = Hub::start_cluster(small, &by(&[sentinel.port]), Box::new(drop)).unwrap();
    let one = Server { hub };
    let ((mut a, _), (b, position)) = (join(&one, "doc", "a"), join(&one, "doc", "b"));
    drop(b);
    for id in 1..=5 {
        send(&mut a, id);
        acknowledged(&mut a, id);
    }
    replica.command_as(PASSWORD, "CONFIG SET masterauth wrong");
    primary.command_as(PASSWORD, "CLIENT KILL TYPE replica");
    let (_, _, word) = back(&one, "b", &position);
    assert_eq!(word, json!({ "type": "reload", "reason": "HISTORY_GONE" }));
}

#[test]
fn a_primary_that_is_relieved_as_planned_is_left_at_once() {
    let (primary, replica) = pair();
    let sentinel = sentinel(&primary);
    let (one, two) = (process(&by(&[sentinel.port])), process(&by(&[sentinel.port])));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    assert_eq!(primary.command_as(PASSWORD, "WAIT 1 5000"), redis::Value::Int(1));
    sentinel.command(&format!("SENTINEL FAILOVER {NAME}"));
    let heard =
        redis::Value::Array(vec![redis::Value::BulkString(b"hub:{doc}:said".to_vec()), redis::Value::Int(2)]);
    support::eventually("both have gone over", || {
        replica.try_command_as(PASSWORD, "PUBSUB NUMSUB hub:{doc}:said").is_ok_and(|said| said == heard)
    });
    send(&mut a, 2);
    acknowledged(&mut a, 2);
    assert_eq!(updates(&mut b, 2), numbered(1..=2));
    assert!(info(&replica).contains("role:master"));
    support::eventually("the old primary follows", || info(&primary).contains("role:slave"));
    ready(&one);
    ready(&two);
}

#[test]
fn another_primary_is_noticed_though_the_one_before_is_still_there_and_nobody_has_said_so() {
    let (old, new) = (Redis::start(), Redis::start());
    let sentinel = Sentinel::of(old.port);
    let no_password = ClusterConfig {
        look_interval: Duration::from_millis(300),
        ..over(&format!("redis+sentinel://127.0.0.1:{}/{NAME}", sentinel.port))
    };
    let one = process(&no_password);
    sentinel.command(&format!("SENTINEL REMOVE {NAME}"));
    sentinel.command(&format!("SENTINEL MONITOR {NAME} 127.0.0.1 {} 1", new.port));
    let reason = away(&one);
    assert!(reason.contains(&format!("another primary, 127.0.0.1:{}", new.port)), "{reason}");
    ready(&one);
    let (mut a, _) = join(&one, "doc", "a");
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    assert_eq!(new.command("XLEN hub:{doc}:log"), redis::Value::Int(1));
    assert_eq!(old.command("XLEN hub:{doc}:log"), redis::Value::Int(0));
}

#[test]
fn the_sentinel_that_knows_of_the_latest_fail_over_is_believed() {
    let (old, new) = (Redis::start(), Redis::start());
    let cut_off = Sentinel::with(old.port, &format!("sentinel config-epoch {NAME} 3"));
    let informed = Sentinel::with(new.port, &format!("sentinel config-epoch {NAME} 4"));
    for ports in [[cut_off.port, informed.port], [informed.port, cut_off.port]] {
        let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
        let one = process(&over(&format!("redis+sentinel://{hosts}/{NAME}")));
        let (mut a, _) = join(&one, "doc", "a");
        a.send(r#"{"type":"update","documentId":"doc","update":"x","ack":true,"id":1}"#);
        acknowledged(&mut a, 1);
    }
    assert_eq!(new.command("XLEN hub:{doc}:log"), redis::Value::Int(2));
}

#[test]
fn a_sentinel_that_was_cut_off_and_answers_alone_takes_nobody_back_to_the_primary_before() {
    let (old, new) = (Redis::start(), Redis::start());
    let cut_off = Sentinel::with(old.port, &format!("sentinel config-epoch {NAME} 3"));
    let informed = Sentinel::with(new.port, &format!("sentinel config-epoch {NAME} 4"));
    let one = process(&ClusterConfig {
        look_interval: Duration::from_millis(100),
        ..over(&format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/{NAME}", cut_off.port, informed.port))
    });
    let (mut a, _) = join(&one, "doc", "a");
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    drop(informed);
    // Each look is a connection; so is each question of this test.
    let own = std::cell::Cell::new(0);
    let asked = || {
        own.set(own.get() + 1);
        let redis::Value::BulkString(said) = cut_off.command("INFO stats") else { panic!("no text") };
        let said = String::from_utf8(said).unwrap();
        let connections = said.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        connections.unwrap().parse::<u32>().unwrap() - own.get()
    };
    let before = asked();
    support::eventually("it was asked again", || asked() > before + 3);
    send(&mut a, 2);
    acknowledged(&mut a, 2);
    // Nor does who connects anew go back.
    new.command("CLIENT KILL TYPE pubsub");
    support::eventually("it is doubted", || {
        let state = one.hub.cluster_state();
        matches!(state, Some(State::Away(reason)) if reason.contains("1 of 2 sentinels answer"))
    });
    assert_eq!(new.command("XLEN hub:{doc}:log"), redis::Value::Int(2));
    assert_eq!(old.command("XLEN hub:{doc}:log"), redis::Value::Int(0));
}

#[test]
fn sentinels_that_do_not_say_who_it_is_are_named_at_the_start() {
    let refusal = |url: &str| match Hub::start_cluster(config(), &over(url), Box::new(drop)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{url} starts"),
    };
    let (primary, replica) = pair();
    let sentinel = sentinel(&primary);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = refusal(&format!("redis+sentinel://:{PASSWORD}@127.0.0.1:{nobody}/{NAME}"));
    assert!(said.contains(&format!("sentinel 127.0.0.1:{nobody}: ")) && !said.contains(PASSWORD), "{said}");
    let said = refusal(&format!("redis+sentinel://:{PASSWORD}@127.0.0.1:{}/other", sentinel.port));
    assert!(said.contains("No such master"), "{said}");
    let said = refusal(&format!("redis+sentinel://127.0.0.1:{}/{NAME}", sentinel.port));
    assert!(said.contains("NOAUTH") || said.contains("uthentication"), "{said}");
    // One of several is enough.
    drop(process(&by(&[nobody, sentinel.port])));
    let wrong = Sentinel::of(replica.port);
    let said = refusal(&format!("redis+sentinel://:{PASSWORD}@127.0.0.1:{}/{NAME}", wrong.port));
    assert!(said.contains("which is a replica"), "{said}");
}

#[test]
fn sentinels_may_have_a_password_of_their_own() {
    let redis = Redis::start();
    let sentinel = Sentinel::of(redis.port);
    let url = format!("redis+sentinel://127.0.0.1:{}/{NAME}", sentinel.port);
    sentinel.command("ACL SETUSER watcher on >secret ~* &* +@all");
    sentinel.command("ACL SETUSER default off");
    let refused = Hub::start_cluster(config(), &over(&url), Box::new(drop)).unwrap_err().to_string();
    assert!(refused.contains("sentinel 127.0.0.1:"), "{refused}");
    let mut with = over(&url);
    with.server.set_sentinel_login(Some("watcher".to_owned()), Some("secret".to_owned())).unwrap();
    drop(process(&with));
}
