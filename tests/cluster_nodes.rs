//! A Redis Cluster: documents are divided among its nodes, and follow their slots where these go.

#![cfg(feature = "redis")]

mod support;

use std::{sync::mpsc, time::Duration};

use captify_hub::{Hub, cluster::State, cluster::config::ClusterConfig, ids::Id};
use support::{
    Client, Server,
    clients::{acknowledged, join, numbered, send_to, updates},
    grid::Grid,
    recovery::Position,
    redis::{Redis, config, documented_rights, free_port, over, process, ready},
};

/// How a test's hubs reach a cluster.
fn by(grid: &Grid) -> ClusterConfig {
    ClusterConfig { wait: Duration::from_secs(20), ..over(&grid.url()) }
}

/// A document for each primary.
fn one_on_each(grid: &Grid) -> Vec<String> {
    let on =
        |index: usize| (0..1000).map(|number| format!("doc{number}")).find(|each| grid.of(each) == index);
    (0..3).filter_map(on).collect()
}

fn pair(one: &Server, two: &Server, document: &str) -> (Client, Client, Position) {
    let ((a, _), (b, position)) = (join(one, document, "a"), join(two, document, "b"));
    (a, b, position)
}

#[test]
fn documents_of_all_nodes_reach_all_processes_in_one_order() {
    let grid = Grid::start(false);
    let (one, two) = (process(&by(&grid)), process(&by(&grid)));
    let documents: Vec<_> = (0..30).map(|number| format!("doc{number}")).collect();
    let mut pairs: Vec<_> = documents.iter().map(|each| pair(&one, &two, each)).collect();
    for id in 1..=10 {
        for ((a, _, _), document) in pairs.iter_mut().zip(&documents) {
            send_to(a, document, id);
        }
    }
    for (a, b, _) in &mut pairs {
        acknowledged(a, 10);
        assert_eq!(updates(b, 10), numbered(1..=10));
    }
    for primary in &grid.primaries {
        assert!(matches!(primary.command("DBSIZE"), redis::Value::Int(1..)), "each has some");
    }
    // What is true now, too.
    let (mut a, mut b, _) = pairs.remove(0);
    a.send(r#"{"type":"awareness","documentId":"doc0","awareness":1}"#);
    assert_eq!(support::recovery::json(&mut b)["type"], "awareness");
}

#[test]
fn a_slot_that_moves_while_somebody_types_costs_no_client_anything() {
    let grid = Grid::start(false);
    let (one, two) = (process(&by(&grid)), process(&by(&grid)));
    let (mut a, mut b, _) = pair(&one, &two, "doc");
    let home = grid.of("doc");
    let mut sent = 0;
    let mut type_some = |a: &mut Client| {
        for _ in 0..20 {
            sent += 1;
            send_to(a, "doc", sent);
        }
    };
    for (from, to) in [(home, (home + 1) % 3), ((home + 1) % 3, home)] {
        type_some(&mut a);
        grid.migrate("doc", from, to, || type_some(&mut a));
        type_some(&mut a);
    }
    acknowledged(&mut a, 120);
    assert_eq!(updates(&mut b, 120), numbered(1..=120), "over the connection that it had");
    b.hears_nothing("doc");
    assert_eq!(one.hub.cluster_state(), Some(State::Ready));
}

#[test]
fn a_document_of_which_nothing_is_published_is_heard_where_it_has_gone() {
    let grid = Grid::start(false);
    let (one, two) = (process(&by(&grid)), process(&by(&grid)));
    let (mut a, mut b, _) = pair(&one, &two, "doc");
    let home = grid.of("doc");
    grid.migrate("doc", home, (home + 1) % 3, || ());
    // Nobody is told by an error: both processes find out by what is pushed to them, or when they look.
    a.send(r#"{"type":"awareness","documentId":"doc","awareness":1}"#);
    send_to(&mut a, "doc", 1);
    acknowledged(&mut a, 1);
    loop {
        let heard = support::recovery::json(&mut b);
        if heard["type"] == "update" {
            break;
        }
        assert_eq!(heard["type"], "awareness");
    }
    // One that is opened now begins where the document is.
    let (mut c, _) = join(&two, "doc", "c");
    send_to(&mut c, "doc", 1);
    acknowledged(&mut c, 1);
}

#[test]
fn a_node_that_dies_is_replaced_by_its_replica_and_hinders_no_document_of_the_others() {
    let mut grid = Grid::start(true);
    let (one, two) = (process(&by(&grid)), process(&by(&grid)));
    let documents = one_on_each(&grid);
    let mut pairs: Vec<_> = documents.iter().map(|each| pair(&one, &two, each)).collect();
    for ((a, b, _), document) in pairs.iter_mut().zip(&documents) {
        send_to(a, document, 1);
        acknowledged(a, 1);
        assert_eq!(updates(b, 1), numbered(1..=1));
    }
    assert_eq!(grid.primaries[1].command("WAIT 1 5000"), redis::Value::Int(1));
    grid.primaries[1].kill();
    let reason = support::redis::away(&one);
    assert!(reason.contains(&format!("Redis node 127.0.0.1:{}", grid.primaries[1].port)), "{reason}");
    send_to(&mut pairs[1].0, &documents[1], 2);
    for index in [0, 2] {
        let (a, b, _) = &mut pairs[index];
        send_to(a, &documents[index], 2);
        acknowledged(a, 2);
        assert_eq!(updates(b, 1), numbered(2..=2));
    }
    let (a, b, _) = &mut pairs[1];
    acknowledged(a, 2);
    assert_eq!(updates(b, 1), numbered(2..=2), "over the connection that it had");
    ready(&one);
    ready(&two);
    let role = format!("{:?}", grid.replicas[1].command("ROLE"));
    assert!(role.contains("master"), "{role}");
}

#[test]
fn a_replica_that_was_behind_has_only_those_documents_reload_that_diverged() {
    let mut grid = Grid::start(true);
    let (one, two) = (process(&by(&grid)), process(&by(&grid)));
    // Two documents of one node.
    let lost = "doc";
    let same =
        (0..1000).map(|number| format!("same{number}")).find(|each| grid.of(each) == grid.of(lost)).unwrap();
    let ((mut a, mut b, position), (mut c, mut d, _)) = (pair(&one, &two, lost), pair(&one, &two, &same));
    for (client, document) in [(&mut a, lost), (&mut c, &same)] {
        send_to(client, document, 1);
        acknowledged(client, 1);
    }
    let home = grid.of(lost);
    assert_eq!(grid.primaries[home].command("WAIT 1 5000"), redis::Value::Int(1));
    // From here on the replica is told nothing more.
    grid.replicas[home].command("CONFIG SET masterauth wrong");
    grid.replicas[home].command("CONFIG SET masteruser nobody");
    grid.primaries[home].command("CLIENT KILL TYPE replica");
    send_to(&mut a, lost, 2);
    acknowledged(&mut a, 2);
    assert_eq!(updates(&mut b, 2), numbered(1..=2));
    grid.primaries[home].kill();
    assert_eq!((a.closed().0, b.closed().0), (1013, 1013));
    send_to(&mut c, &same, 2);
    acknowledged(&mut c, 2);
    assert_eq!(updates(&mut d, 2), numbered(1..=2));
    let (_, _, word) = support::recovery::back(&two, "b", &position.at(2));
    assert_eq!(word["type"], "reload", "{word}");
}

#[test]
fn where_a_replica_is_cut_off_nobody_is_told_that_nothing_is_published_late() {
    let grid = Grid::start(true);
    let mut small = support::redis::config();
    small.history.messages = 3;
    let one = Server { hub: Hub::start_cluster(small, &by(&grid), Box::new(drop)).unwrap() };
    let ((mut a, _), (b, of_b), (c, of_c)) =
        (join(&one, "doc", "a"), join(&one, "doc", "b"), join(&one, "doc", "c"));
    drop((b, c));
    for id in 1..=5 {
        send_to(&mut a, "doc", id);
        acknowledged(&mut a, id);
    }
    let (_, _, word) = support::recovery::back(&one, "b", &of_b);
    assert_eq!(word["upTo"], 0, "{word}");
    let home = grid.of("doc");
    grid.replicas[home].command("CONFIG SET masterauth wrong");
    grid.replicas[home].command("CONFIG SET masteruser nobody");
    grid.primaries[home].command("CLIENT KILL TYPE replica");
    let (_, _, word) = support::recovery::back(&one, "c", &of_c);
    assert_eq!(word, serde_json::json!({ "type": "reload", "reason": "HISTORY_GONE" }));
}

#[test]
fn a_primary_that_hands_over_as_planned_is_followed() {
    let grid = Grid::start(true);
    let (one, two) = (process(&by(&grid)), process(&by(&grid)));
    let (mut a, mut b, _) = pair(&one, &two, "doc");
    send_to(&mut a, "doc", 1);
    acknowledged(&mut a, 1);
    grid.replicas[grid.of("doc")].command("CLUSTER FAILOVER");
    for id in 2..=100 {
        send_to(&mut a, "doc", id);
    }
    acknowledged(&mut a, 100);
    assert_eq!(updates(&mut b, 100), numbered(1..=100));
    ready(&one);
}

#[test]
fn what_every_process_has_to_do_is_heard_also_where_its_slot_has_gone() {
    let grid = Grid::start(false);
    let one = process(&by(&grid));
    let (told, heard) = mpsc::channel();
    let hear = move |call| told.send(call).unwrap();
    let _two = Server { hub: Hub::start_cluster(config(), &by(&grid), Box::new(hear)).unwrap() };
    one.hub.say("before".to_owned());
    assert_eq!(heard.recv_timeout(support::PATIENCE).unwrap(), "before");
    let home = grid.of("hub:calls");
    grid.migrate("hub:calls", home, (home + 1) % 3, || one.hub.say("meanwhile".to_owned()));
    one.hub.say("behind".to_owned());
    assert_eq!(heard.recv_timeout(support::PATIENCE).unwrap(), "meanwhile");
    assert_eq!(heard.recv_timeout(support::PATIENCE).unwrap(), "behind");
    assert!(heard.try_recv().is_err(), "each once");
}

#[test]
fn who_is_there_and_who_got_something_is_counted_over_all_nodes() {
    let grid = Grid::start(false);
    let (one, two) = (process(&by(&grid)), process(&by(&grid)));
    let documents = one_on_each(&grid);
    let _pairs: Vec<_> = documents.iter().map(|each| pair(&one, &two, each)).collect();
    for server in [&one, &two] {
        support::eventually("all are counted", || server.hub.cluster_counts().connections == 6);
    }
    for (server, document) in
        [&one, &two].into_iter().flat_map(|server| documents.iter().map(move |each| (server, each)))
    {
        let (told, got) = mpsc::channel();
        let id = Id::new(document).unwrap();
        let tell = move |outcome| told.send(outcome).unwrap();
        server.hub.publish_everywhere(id, None, r#"{"type":"steps"}"#.to_owned(), tell).unwrap();
        assert_eq!(got.recv_timeout(support::PATIENCE).unwrap(), Ok(2), "{document}");
    }
}

#[test]
fn what_is_no_cluster_or_not_all_of_one_is_refused_at_the_start() {
    let refusal = |url: &str| match Hub::start_cluster(config(), &over(url), Box::new(drop)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{url} starts"),
    };
    let single = Redis::start();
    let said = refusal(&format!("redis+cluster://127.0.0.1:{}", single.port));
    assert!(said.contains("cluster support disabled"), "{said}");
    let said = refusal(&format!("redis+cluster://127.0.0.1:{}", free_port()));
    assert!(said.contains("refused"), "{said}");

    let grid = Grid::start(false);
    let said = refusal(&grid.primaries[0].url());
    assert!(said.contains("redis+cluster://"), "{said}");
    // One of several is enough.
    drop(process(&over(&format!(
        "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
        free_port(),
        grid.primaries[2].port
    ))));
    let all = "ACL SETUSER hub on >secret ~hub:* &hub:* +@all";
    let url = grid.url().replace("://", "://hub:secret@");
    for primary in &grid.primaries {
        primary.command(&format!("ACL SETUSER hub on >secret ~hub:* &hub:* -@all {}", documented_rights()));
    }
    drop(process(&over(&url)));
    for (takes, named) in [("-cluster", "cluster"), ("-ssubscribe", "ssubscribe"), ("-spublish", "spublish")]
    {
        for primary in &grid.primaries {
            primary.command(&format!("{all} {takes}"));
        }
        let said = refusal(&url).to_lowercase();
        assert!(said.contains("rights") && said.contains(named), "{takes}: {said}");
        for primary in &grid.primaries {
            primary.command("ACL DELUSER hub");
        }
    }
    for primary in &grid.primaries {
        primary.command("CLUSTER DELSLOTS 6000");
    }
    let said = refusal(&grid.url());
    assert!(said.contains("no node has slot 6000"), "{said}");
}
