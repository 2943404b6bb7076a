//! Limits that are all processes' together.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use captify_hub::{Config, Hub, admission::limits::Limits};
use support::{
    Server, eventually,
    recovery::{back, join},
    redis::{Redis, away, config, over},
};

/// Two processes with these limits.
fn two(redis: &Redis, limits: &Limits) -> (Server, Server) {
    let process = || {
        let config = Config { limits: limits.clone(), ..config() };
        Server { hub: Hub::start_cluster(config, &over(&redis.url()), Box::new(drop)).unwrap() }
    };
    (process(), process())
}

/// Waits until a process knows of as many connections of "doc".
fn knows(server: &Server, count: usize) {
    eventually("the other process was heard", || {
        server.hub.cluster_counts().documents.get("doc").copied().unwrap_or(0) == count
    });
}

#[test]
fn a_document_has_no_more_members_in_all_processes_together_than_it_may() {
    let mut redis = Redis::start();
    let limits = Limits { connections_per_document: 2, ..Limits::default() };
    let (one, two) = two(&redis, &limits);
    let (a, position) = join(&one, "a");
    let _b = one.join("doc", "b");
    knows(&two, 2);
    let mut refused = two.connect("/ws/fabric?documentId=doc&clientID=c");
    assert_eq!(refused.closed(), (1013, "Too many connections of this document".to_owned(), 0));
    let _other = two.join("other", "c");
    // One that comes back from there is not one more, wherever its old connection is.
    let (_again, _, _) = back(&two, "a", &position);
    drop(a);
    // While Redis is away nobody is kept out by what cannot be known.
    redis.kill();
    away(&two);
    eventually("nothing is known any more", || two.hub.cluster_counts().processes.len() == 1);
}

#[test]
fn a_user_has_no_more_connections_in_all_processes_together_than_it_may() {
    let redis = Redis::start();
    let limits = Limits { connections_per_user: 2, ..Limits::default() };
    let (one, two) = two(&redis, &limits);
    let of = |server: &Server, user: &str, client: &str| {
        server.connect_as(&format!("/ws/fabric?documentId=doc&clientID={client}"), Some(user))
    };
    let joined = |user: &str, client: &str| of(&one, user, client);
    let (_a, _b) = (joined("anna", "a"), joined("anna", "b"));
    knows(&two, 2);
    let mut refused = of(&two, "anna", "c");
    assert_eq!(refused.closed(), (1013, "Too many connections of this user".to_owned(), 0));
    assert!(of(&two, "ben", "d").text().contains("connected"));
}
