//! A hub that ends as planned leaves what it remembers to the next one, whose clients miss nothing and are not told to reload.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use captify_hub::{Config, Error, config::Secret, room::opening::Opener};
use support::{
    Client, PATIENCE, Server, eventually,
    late_log::LateLog,
    recovery::{Position, back, cut, join, json, message, reason, update},
};

/// A folder for the state, which ends with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hub-restarting-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn start(&self) -> Server {
        self.start_with(|_| (), None)
    }

    fn start_with(&self, change: impl FnOnce(&mut Config), opener: Option<Arc<dyn Opener>>) -> Server {
        let path = self.0.clone();
        Server::start_with(
            |config| {
                config.state_dir = Some(path);
                change(config);
            },
            opener,
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client that answers the close, as all do; returns why it was closed.
fn told(mut client: Client) -> std::thread::JoinHandle<(u16, String)> {
    std::thread::spawn(move || {
        let (code, reason, _) = client.closed();
        while client.0.read().is_ok() {}
        (code, reason)
    })
}

/// Ends a hub whose clients all answer.
fn end(server: Server, clients: impl IntoIterator<Item = Client>) -> Vec<(u16, String)> {
    let clients: Vec<_> = clients.into_iter().map(told).collect();
    assert_eq!(server.hub.close(PATIENCE), 0);
    drop(server);
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

#[test]
fn who_comes_back_to_the_next_hub_is_given_what_it_missed() {
    let folder = Folder::new("missed");
    let server = folder.start();
    let ((mut a, of_a), (mut b, of_b)) = (join(&server, "a"), join(&server, "b"));
    update(&mut a, 1);
    assert_eq!(json(&mut b)["offset"], 1);
    a.hears_nothing("doc");
    cut(&server, b, 1);
    update(&mut a, 2);
    a.hears_nothing("doc");
    server.hub.publish("doc", None, &message(3)).unwrap();
    assert_eq!(json(&mut a)["offset"], 3);
    end(server, [a]);

    let server = folder.start();
    let (mut b, position, word) = back(&server, "b", &of_b.at(1));
    assert_eq!(word.to_string(), r#"{"from":1,"to":3,"type":"recovered","upTo":0}"#);
    assert_eq!(json(&mut b)["update"], 2);
    assert_eq!(json(&mut b)["n"], 3);
    assert_eq!(position.epoch, of_b.epoch);
    // Offsets go on, and its token is good as it was.
    let (mut a, _, word) = back(&server, "a", &of_a.at(3));
    assert_eq!(word["type"], "recovered");
    update(&mut a, 4);
    assert_eq!(json(&mut b)["offset"], 4);
}

#[test]
fn what_a_client_sends_again_is_applied_once() {
    let folder = Folder::new("again");
    let server = folder.start();
    let ((mut a, of_a), (b, of_b)) = (join(&server, "a"), join(&server, "b"));
    a.send(r#"{"type":"update","documentId":"doc","update":1,"id":1,"ack":true}"#);
    assert_eq!(json(&mut a)["upTo"], 1);
    end(server, [a, b]);

    let server = folder.start();
    let (mut b, _, _) = back(&server, "b", &of_b);
    assert_eq!(json(&mut b)["update"], 1);
    let (mut a, _, word) = back(&server, "a", &of_a);
    assert_eq!((&word["type"], &word["upTo"]), (&"recovered".into(), &1.into()));
    for number in [1, 2] {
        a.send(&format!(r#"{{"type":"update","documentId":"doc","update":{number},"id":{number}}}"#));
    }
    assert_eq!(json(&mut b)["update"], 2);
}

#[test]
fn what_a_route_handler_publishes_before_anybody_is_back_is_not_lost() {
    let folder = Folder::new("publishes");
    let server = folder.start();
    let (a, of_a) = join(&server, "a");
    end(server, [a]);

    let server = folder.start();
    assert_eq!(server.hub.connection_count("doc"), 0);
    assert_eq!(server.hub.publish("doc", None, &message(1)).unwrap(), 0);
    assert_eq!(server.hub.publish("of nobody", None, &message(1)).unwrap(), 0);
    let (mut a, _, word) = back(&server, "a", &of_a);
    assert_eq!((&word["type"], &word["to"]), (&"recovered".into(), &1.into()));
    assert_eq!(json(&mut a)["n"], 1);
}

#[test]
fn what_is_published_while_clients_are_being_closed_is_not_lost() {
    let folder = Folder::new("meanwhile");
    let server = folder.start_with(|config| config.drain = Duration::from_secs(1), None);
    let mut clients = Vec::new();
    // As many as are not closed at once.
    for number in 0..200 {
        clients.push(join(&server, &number.to_string()));
    }
    let (clients, positions): (Vec<_>, Vec<_>) = clients.into_iter().unzip();
    let mut clients = clients.into_iter();
    let mut first = clients.next().unwrap();
    let others: Vec<_> = clients.map(told).collect();
    let published = std::thread::scope(|scope| {
        let hub = &server.hub;
        let closing = scope.spawn(move || hub.close(PATIENCE));
        assert_eq!(first.closed().0, 1012);
        while first.0.read().is_ok() {}
        let mut published = 0;
        while hub.publish("doc", None, &message(published + 1)).is_ok() {
            published += 1;
            // No more than clients can take, or they are closed for being slow.
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(first);
        assert_eq!(closing.join().unwrap(), 0);
        published
    });
    assert!(published > 0, "some was taken after the first was closed");
    assert!(matches!(server.hub.publish("doc", None, &message(0)), Err(Error::Closed)));
    drop(server);
    for other in others {
        other.join().unwrap();
    }
    let server = folder.start();
    let (mut first, _, word) = back(&server, "0", &positions[0]);
    assert_eq!((&word["type"], &word["to"]), (&"recovered".into(), &published.into()));
    for number in 1..=published {
        assert_eq!(json(&mut first)["n"], number);
    }
}

#[test]
fn two_restarts_behind_one_another_lose_nothing_of_a_document_that_nobody_came_for() {
    let folder = Folder::new("twice");
    let server = folder.start();
    let (mut a, of_a) = join(&server, "a");
    server.hub.publish("doc", None, &message(1)).unwrap();
    assert_eq!(json(&mut a)["n"], 1);
    end(server, [a]);
    end(folder.start(), []);
    let server = folder.start();
    let (mut a, _, word) = back(&server, "a", &of_a);
    assert_eq!(word["type"], "recovered");
    assert_eq!(json(&mut a)["n"], 1);
}

#[test]
fn what_a_client_showed_is_shown_again_once_it_is_back() {
    let folder = Folder::new("shown");
    let server = folder.start();
    let ((mut a, of_a), (mut b, _)) = (join(&server, "a"), join(&server, "b"));
    a.send(r#"{"type":"awareness","documentId":"doc","awareness":{"cursor":7}}"#);
    assert_eq!(json(&mut b)["awareness"]["cursor"], 7);
    end(server, [a, b]);

    let server = folder.start();
    let (mut c, _) = join(&server, "c");
    c.hears_nothing("doc");
    let (_a, _, word) = back(&server, "a", &of_a);
    assert_eq!(word["type"], "recovered");
    let (mut d, _) = join(&server, "d");
    assert_eq!(json(&mut d)["awareness"]["cursor"], 7);
}

#[test]
fn a_hub_that_ended_without_a_word_leaves_nothing_and_nobody_is_recovered_to_what_was_not() {
    let folder = Folder::new("crash");
    let server = folder.start();
    let (a, of_a) = join(&server, "a");
    end(server, [a]);
    // It takes what was left, and ends as a crash does.
    let server = folder.start();
    let (a, _, word) = back(&server, "a", &of_a);
    assert_eq!(word["type"], "recovered");
    drop((a, server));
    let server = folder.start();
    assert_eq!(reason(&server, "a", &of_a), "OTHER_EPOCH");
}

#[test]
fn what_is_damaged_or_too_old_or_of_another_secret_has_clients_reload() {
    type Spoil<'a> = &'a dyn Fn(&Folder);
    type Change = fn(&mut Config);
    let damage = |folder: &Folder| {
        let path = folder.0.join("rooms.state");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    };
    let cases: [(&str, Spoil<'_>, Change); 4] = [
        ("damaged", &damage, |_| ()),
        ("gone", &|folder| fs::remove_file(folder.0.join("rooms.state")).unwrap(), |_| ()),
        ("old", &|_| std::thread::sleep(Duration::from_millis(100)), |config| {
            config.recovery_window = Some(Duration::from_millis(50));
        }),
        ("secret", &|_| (), |config| config.token_secret = Some(Secret::new([1; 32]))),
    ];
    for (name, spoil, change) in cases {
        let folder = Folder::new(name);
        let server = folder.start();
        let (a, of_a) = join(&server, "a");
        end(server, [a]);
        spoil(&folder);
        let server = folder.start_with(change, None);
        assert_eq!(reason(&server, "a", &of_a), "OTHER_EPOCH", "{name}");
    }
}

#[test]
fn a_hub_that_is_started_before_the_one_before_has_ended_waits_for_what_that_leaves() {
    let folder = Folder::new("overlap");
    let old = folder.start();
    let (mut a, of_a) = join(&old, "a");
    old.hub.publish("doc", None, &message(1)).unwrap();
    assert_eq!(json(&mut a)["n"], 1);
    let new = folder.start();
    assert!(!new.hub.wait_for_state(Duration::ZERO), "the old one has it");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| new.hub.wait_for_state(PATIENCE));
        end(old, [a]);
        assert!(waiting.join().unwrap());
    });
    let (mut a, _, word) = back(&new, "a", &of_a);
    assert_eq!(word["type"], "recovered");
    assert_eq!(json(&mut a)["n"], 1);
}

#[test]
fn a_folder_that_cannot_be_used_costs_no_more_than_what_was_remembered() {
    let folder = Folder::new("unusable");
    fs::write(&folder.0, b"a file").unwrap();
    let server = folder.start();
    let (a, of_a) = join(&server, "a");
    end(server, [a]);
    let server = folder.start();
    assert_eq!(reason(&server, "a", &of_a), "OTHER_EPOCH");
    fs::remove_file(&folder.0).unwrap();
}

#[test]
fn a_document_whose_log_cannot_say_where_it_stands_begins_anew() {
    let folder = Folder::new("late");
    let (log, next) = (LateLog::new(), LateLog::new());
    let server = folder.start_with(|_| (), Some(log));
    let (a, of_a) = join(&server, "a");
    end(server, [a]);
    let server = folder.start_with(|_| (), Some(next));
    assert_eq!(reason(&server, "a", &of_a), "OTHER_EPOCH");
}

#[test]
fn each_client_is_told_another_time_to_come_back_which_lies_behind_the_end() {
    let folder = Folder::new("hints");
    let server = folder.start_with(|config| config.drain = Duration::from_millis(500), None);
    let clients: Vec<Client> = (0..300).map(|number| join(&server, &number.to_string()).0).collect();
    let began = Instant::now();
    let clients: Vec<_> = clients
        .into_iter()
        .map(told)
        .map(|told| std::thread::spawn(move || (told.join().unwrap(), began.elapsed())))
        .collect();
    assert_eq!(server.hub.close_for(PATIENCE, Duration::from_secs(3)), 0);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(250), "they were told one after the other: {took:?}");
    let mut hints: Vec<u64> = Vec::new();
    for client in clients {
        let ((code, reason), _) = client.join().unwrap();
        assert_eq!(code, 1012);
        let hint = reason.strip_prefix("Service restart; retry ").unwrap();
        hints.push(hint.parse().unwrap());
    }
    hints.sort_unstable();
    assert!(hints[0] >= 3000, "nobody before the next process is there: {hints:?}");
    hints.dedup();
    assert!(hints.len() > 150, "only {} are told apart", hints.len());
}

#[test]
fn one_that_does_not_answer_keeps_the_end_for_about_a_second() {
    let folder = Folder::new("silent");
    let server = folder.start();
    let (_silent, position) = join(&server, "silent");
    let began = Instant::now();
    assert_eq!(server.hub.close(PATIENCE), 1);
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    drop(server);
    // It is known all the same.
    let server = folder.start();
    let (_silent, _, word) = back(&server, "silent", &position);
    assert_eq!(word["type"], "recovered");
    eventually("it counts", || server.hub.connection_count("doc") == 1);
    let _: Position = position;
}
