//! A Redis that will not do is refused at the start, by what is wrong with it.

#![cfg(feature = "redis")]

mod support;

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
};

use captify_hub::{Config, Error, Hub};
use support::redis::{Redis, config, documented_rights, over, process};

fn refusal(hub: Config, url: &str) -> String {
    match Hub::start_cluster(hub, &over(url), Box::new(drop)) {
        Err(error @ Error::Redis(_)) => {
            assert_eq!(error.code(), "HUB_REDIS");
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_secret_or_a_window_there_is_nothing_to_share() {
    let redis = Redis::start();
    assert!(refusal(Config { token_secret: None, ..config() }, &redis.url()).contains("tokenSecret"));
    assert!(refusal(Config { recovery_window: None, ..config() }, &redis.url()).contains("recoveryWindowMs"));
}

#[test]
fn a_redis_that_evicts_is_refused() {
    let redis = Redis::with(&["--save", "", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let said = refusal(config(), &redis.url());
    assert!(said.contains("allkeys-lru") && said.contains("noeviction"), "{said}");
}

#[test]
fn a_replica_is_refused() {
    let primary = Redis::start();
    let replica = Redis::with(&["--save", "", "--replicaof", "127.0.0.1", &primary.port.to_string()]);
    assert!(refusal(config(), &replica.url()).contains("replica"));
}

#[test]
fn a_redis_that_is_not_there_or_wants_another_password_is_refused_without_naming_the_password() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let said = refusal(config(), &format!("redis://:hunter2@127.0.0.1:{port}"));
    assert!(said.contains(&port.to_string()) && !said.contains("hunter2"), "{said}");
    let redis = Redis::start();
    redis.command("ACL SETUSER default >right");
    redis.command_as("right", "ACL SETUSER default resetpass >right");
    let said = refusal(config(), &format!("redis://:wrong@127.0.0.1:{}", redis.port));
    assert!(said.to_lowercase().contains("password") && !said.contains(":wrong"), "{said}");
}

#[test]
fn a_user_that_lacks_a_right_is_told_which() {
    let redis = Redis::start();
    let url = format!("redis://hub:secret@127.0.0.1:{}", redis.port);
    let all = "ACL SETUSER hub on >secret ~hub:* &hub:* +@all";
    for (takes, named) in [
        ("-xadd", "xadd"),
        ("-publish", "publish"),
        ("-subscribe", "subscribe"),
        ("-info", "info"),
        ("-evalsha", "evalsha"),
        ("-script", "script"),
        ("-set", "set"),
        ("resetchannels", "channel"),
        ("resetkeys", "key"),
    ] {
        redis.command("ACL DELUSER hub");
        redis.command(&format!("{all} {takes}"));
        let said = refusal(config(), &url).to_lowercase();
        assert!(said.contains("rights") && said.contains(named), "{takes}: {said}");
    }
    redis.command("ACL DELUSER hub");
    redis.command(all);
    drop(process(&over(&url)));
}

#[test]
fn the_rights_that_are_documented_are_enough() {
    let redis = Redis::start();
    redis.command(&format!("ACL SETUSER hub on >secret ~hub:* &hub:* -@all {}", documented_rights()));
    drop(process(&over(&format!("redis://hub:secret@127.0.0.1:{}", redis.port))));
    redis.command("ACL SETUSER hub +@all -@dangerous +info");
    drop(process(&over(&format!("redis://hub:secret@127.0.0.1:{}", redis.port))));
}

#[test]
fn every_command_of_a_script_is_among_the_documented_rights() {
    let rights = documented_rights();
    let rights: HashSet<_> = rights.split_whitespace().map(|right| right.trim_start_matches('+')).collect();
    let mut called = HashSet::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cluster")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lua") {
            let script = std::fs::read_to_string(path).unwrap();
            // What stands before the first call is none.
            let commands = script.split("redis.call('").skip(1);
            called.extend(commands.map(|rest| rest.split('\'').next().unwrap().to_lowercase()));
        }
    }
    assert!(called.len() > 10, "{called:?}");
    let missing: Vec<_> = called.iter().filter(|command| !rights.contains(command.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_the_start_tries_does_not_stay() {
    let redis = Redis::start();
    drop(process(&over(&redis.url())));
    support::eventually("what was tried has expired", || redis.command("DBSIZE") == redis::Value::Int(0));
}
