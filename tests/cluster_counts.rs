//! Who is there, over all processes that share a Redis.

#![cfg(feature = "redis")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use captify_hub::{Config, Hub, server::counts::ClusterCounts};
use support::{
    Server, eventually,
    redis::{Redis, over, process, ready},
};

fn documents(counts: &ClusterCounts) -> BTreeMap<&str, usize> {
    counts.documents.iter().map(|(document, count)| (&**document, *count)).collect()
}

/// Waits until a process counts these processes, connections, and members of documents.
fn counts(server: &Server, processes: usize, expected: &[(&str, usize)]) {
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let connections = expected.values().sum();
    eventually("all processes are counted", || {
        let counts = server.hub.cluster_counts();
        (counts.processes.len(), counts.connections) == (processes, connections)
            && documents(&counts) == expected
    });
}

#[test]
fn every_process_counts_the_connections_of_all() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let a = one.join("doc", "a");
    let (_b, _c) = (two.join("doc", "b"), two.join("other", "c"));
    for server in [&one, &two] {
        counts(server, 2, &[("doc", 2), ("other", 1)]);
    }
    let of_two = two.hub.cluster_counts();
    assert_eq!(of_two.processes[0].documents, 2, "its own first");
    assert_ne!(of_two.processes[0].id, of_two.processes[1].id);
    assert_eq!(of_two.processes[0].about.pid, std::process::id());
    drop(a);
    counts(&two, 2, &[("doc", 1), ("other", 1)]);
    // One that comes later is told of all who are there already.
    let three = process(&over(&redis.url()));
    counts(&three, 3, &[("doc", 1), ("other", 1)]);
    drop(three);
    counts(&one, 2, &[("doc", 1), ("other", 1)]);
}

#[test]
fn a_process_that_was_cut_off_is_told_everything_again() {
    let mut redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let a = one.join("doc", "a");
    for server in [&one, &two] {
        counts(server, 2, &[("doc", 1)]);
    }
    redis.kill();
    support::redis::away(&one);
    drop(a);
    counts(&one, 2, &[]);
    let _b = one.join("doc", "b");
    redis.restart();
    ready(&one);
    ready(&two);
    counts(&two, 2, &[("doc", 1)]);
}

#[test]
fn many_documents_of_a_process_are_counted_by_the_others() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let clients: Vec<_> = (0..200).map(|n| one.join(&format!("doc {n}"), "a")).collect();
    eventually("all are counted", || two.hub.cluster_counts().documents.len() == 200);
    drop(clients);
    eventually("none is left", || two.hub.cluster_counts().documents.is_empty());
}

#[test]
fn without_redis_it_is_one_process() {
    let server = Server { hub: Hub::start(Config { threads: 2, ..Config::default() }).unwrap() };
    let _a = server.join("doc", "a");
    counts(&server, 1, &[("doc", 1)]);
    let [this] = &server.hub.cluster_counts().processes[..] else { panic!("one process") };
    assert_eq!((this.connections, this.documents), (1, 1));
    assert!(Duration::from_millis(this.about.since) > Duration::from_hours(24), "Unix time");
}

#[test]
fn a_process_that_begins_tells_everything_once_and_answers_no_question_of_its_own() {
    const KIND: usize = 1;
    const TELLS: u8 = 0;
    const TELLS_ANEW: u8 = 1;
    let redis = Redis::start();
    let mut curious = redis.subscriber();
    let mut hears = curious.as_pubsub();
    hears.set_read_timeout(Some(support::PATIENCE)).unwrap();
    hears.subscribe("hub:census").unwrap();
    let _one = process(&over(&redis.url()));
    let mut anew = 0;
    loop {
        // Where nothing has changed it says once in a while that it is there.
        let message = loop {
            match hears.get_message() {
                // Of a process that was stopped and went on.
                Err(error) if error.to_string().contains("Interrupted") => {}
                message => break message.unwrap(),
            }
        };
        match message.get_payload_bytes()[KIND] {
            TELLS_ANEW => anew += 1,
            TELLS => break,
            _ => {}
        }
    }
    assert_eq!(anew, 1);
}
