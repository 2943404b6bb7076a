//! What was decided about a socket before the hub got it, and how that changes.

#![allow(clippy::allow_attributes, clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::time::Duration;

use captify_hub::{
    admission::limits::Limits,
    admission::rate::Rate,
    admission::upgrade::Upgrade,
    admission::{Access, Admission},
    server::{accept::Incoming, users::Sessions},
    websocket::close::Close,
};
use support::{Client, Server, eventually, frame, read_head, socket_pair, upgrade};
use tokio_tungstenite::tungstenite::{WebSocket, protocol::Role};

const HOUR: Duration = Duration::from_hours(1);

/// A client that comes in with what `decide` says about it.
fn come(server: &Server, target: &str, decide: impl FnOnce(&mut Upgrade)) -> Client {
    let (mut stream, theirs) = socket_pair();
    let mut request = upgrade(target);
    decide(&mut request);
    server.hub.accept(Incoming { stream: theirs, upgrade: request, early: Vec::new() }).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    Client(WebSocket::from_raw_socket(stream, Role::Client, None))
}

fn as_user(user: &str, admission: Admission) -> impl FnOnce(&mut Upgrade) {
    let user = user.into();
    move |upgrade| {
        upgrade.user = Some(user);
        upgrade.admission = admission;
    }
}

fn session(name: &str, left: Duration) -> Admission {
    Admission { session: Some(name.into()), expires_in: Some(left), ..Admission::default() }
}

fn join(server: &Server, document: &str, user: &str, admission: Admission) -> Client {
    let target = format!("/ws/fabric?documentId={document}&clientID=c");
    let mut client = come(server, &target, as_user(user, admission));
    assert!(client.text().starts_with(r#"{"type":"connected""#));
    client
}

#[test]
fn a_refusal_completes_the_handshake_and_counts_nobody() {
    let server = Server::start(|_| ());
    let refusal = Some(Close::unauthorized());
    let mut client =
        come(&server, "/ws/fabric?documentId=d&clientID=c", |upgrade| upgrade.admission.refusal = refusal);
    assert_eq!(client.closed(), (4401, "Unauthorized".to_owned(), 0));
    assert_eq!((server.hub.connection_count("fabric"), server.hub.user_count()), (0, 0));
}

#[test]
fn a_session_is_announced_once_and_ends_its_connection() {
    let server = Server::start(|config| config.session_warning = Duration::from_millis(2500));
    let mut client = join(&server, "doc", "anna", session("s", Duration::from_secs(3)));
    let mut beside = join(&server, "doc", "berta", session("t", HOUR));
    let warning: serde_json::Value = serde_json::from_str(&client.text()).unwrap();
    assert_eq!(warning["type"], "session-expiring");
    assert!(warning["inMs"].as_u64().unwrap() <= 2500);
    assert_eq!(client.closed(), (4401, "Unauthorized".to_owned(), 0));
    eventually("it is forgotten", || server.hub.user_count() == 1);
    beside.hears_nothing("doc");
}

#[test]
fn a_session_of_decades_needs_no_timer_of_its_own_and_overflows_nothing() {
    let server = Server::start(|_| ());
    let mut client = join(&server, "doc", "anna", session("s", Duration::MAX));
    assert_eq!(server.hub.renew_session(Sessions::User("anna"), Duration::MAX), 1);
    client.hears_nothing("doc");
}

#[test]
fn only_the_sessions_that_are_meant_are_renewed_and_none_is_cut_short() {
    let server = Server::start(|_| ());
    let _all = [
        join(&server, "doc", "anna", session("laptop", HOUR)),
        join(&server, "doc", "anna", session("phone", HOUR)),
        join(&server, "doc", "berta", session("phone", HOUR)),
        join(&server, "doc", "carl", Admission::default()),
    ];
    let renew = |sessions, left| server.hub.renew_session(sessions, left);
    assert_eq!(renew(Sessions::User("anna"), HOUR * 2), 2);
    assert_eq!(renew(Sessions::Session("anna", "phone"), HOUR * 3), 1);
    assert_eq!(renew(Sessions::Any("phone"), HOUR * 4), 2);
    assert_eq!(renew(Sessions::User("anna"), HOUR), 0, "an old cookie ends nothing sooner");
    assert_eq!(renew(Sessions::User("carl"), HOUR), 0, "a session without an end needs none");
    assert_eq!(renew(Sessions::Session("mallory", "phone"), HOUR * 9), 0);
}

#[test]
fn a_change_of_access_reaches_a_socket_whose_handshake_is_not_done() {
    let server = Server::start(|config| config.threads = 1);
    for _ in 0..50 {
        let (mut stream, theirs) = socket_pair();
        let mut request = upgrade("/ws/fabric?documentId=doc&clientID=c");
        as_user("anna", Admission { access: Some(Access::Write), ..Admission::default() })(&mut request);
        server.hub.accept(Incoming { stream: theirs, upgrade: request, early: Vec::new() }).unwrap();
        assert_eq!(server.hub.set_access("anna", "doc", None), 1);
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
        let mut client = Client(WebSocket::from_raw_socket(stream, Role::Client, None));
        assert_eq!(client.closed().0, 4403);
        drop(client);
        eventually("it is forgotten", || server.hub.user_count() == 0);
    }
}

#[test]
fn a_decision_about_another_document_than_the_one_that_is_asked_for_lets_nobody_in() {
    let server = Server::start(|_| ());
    let about = |document: &str| Admission { document: Some(document.into()), ..Admission::default() };
    for decided in ["", "mine", "doc ", "DOC"] {
        let mut client =
            come(&server, "/ws/fabric?documentId=doc&clientID=c", as_user("anna", about(decided)));
        assert_eq!(client.closed(), (4403, "Forbidden".to_owned(), 0), "{decided:?}");
    }
    join(&server, "doc", "anna", about("doc")).hears_nothing("doc");
    let mut client = come(&server, "/ws/fabric", as_user("anna", about("")));
    assert_eq!(client.closed().0, 1003);
}

/// Sends so many updates that the hub reads them together, and waits until they were too many.
fn flood(client: &mut Client, updates: usize) {
    client.write_raw(&frame(0x81, br#"{"type":"update","documentId":"doc","update":1}"#).repeat(updates));
    assert!(client.text().contains("RATE_LIMITED"));
}

#[test]
fn a_user_who_comes_back_is_held_to_the_rate_that_was_used_up_before() {
    // It is a newcomer's again after 100 seconds.
    let server = Server::start(|config| {
        config.limits = Limits { user_messages: Rate::new(1, 100), ..Limits::default() };
    });
    for updates in [101, 99] {
        let mut client = join(&server, "doc", "anna", Admission::default());
        flood(&mut client, updates);
        drop(client);
        eventually("she leaves", || server.hub.user_count() == 0);
    }
    assert_eq!(server.hub.resting_user_count(), 1);
}

#[test]
fn a_user_who_has_rested_is_forgotten() {
    let server = Server::start(|config| {
        config.limits = Limits { user_messages: Rate::new(5, 10), ..Limits::default() };
    });
    let mut client = join(&server, "doc", "anna", Admission::default());
    flood(&mut client, 12);
    drop(client);
    eventually("she leaves", || server.hub.user_count() == 0);
    eventually("she has rested", || {
        drop(join(&server, "doc", "berta", Admission::default()));
        server.hub.resting_user_count() == 0
    });
    join(&server, "doc", "anna", Admission::default()).hears_nothing("doc");
}

#[test]
fn an_index_of_users_forgets_those_who_left_whatever_way_they_left() {
    let server = Server::start(|_| ());
    for round in 0..20 {
        let user = format!("user{}", round % 3);
        let client = join(&server, "doc", &user, session("s", HOUR));
        match round % 4 {
            0 => client.close(),
            1 => drop(client),
            2 => assert_eq!(server.hub.disconnect_user(&user, &Close::unauthorized()), 1),
            _ => assert_eq!(server.hub.set_access(&user, "doc", None), 1),
        }
        eventually("it is forgotten", || server.hub.user_count() == 0);
    }
    assert!(server.hub.connections_of("doc").is_empty());
}

#[test]
fn the_connections_of_an_address_are_counted_and_given_back() {
    let server = Server::start(|config| {
        config.limits = Limits { connections_per_address: 2, ..Limits::default() };
    });
    let from = |address: &str| {
        let admission = Admission { address: Some(address.parse().unwrap()), ..Admission::default() };
        come(&server, "/ws/fabric?documentId=d&clientID=c", |upgrade| upgrade.admission = admission)
    };
    for _ in 0..3 {
        let mut inside = [from("2001:db8::1"), from("2001:db8::2")];
        for client in &mut inside {
            client.text();
        }
        assert_eq!(from("2001:db8::3").closed().0, 1013, "one /64 is one address");
        from("2001:db8:0:1::1").text();
        from("10.0.0.1").text();
        drop(inside);
        eventually("they leave", || server.hub.connection_count("fabric") == 0);
    }
}

#[test]
fn a_flood_is_slowed_down_to_the_rate_and_nothing_of_it_is_lost() {
    let server = Server::start(|config| {
        config.limits = Limits { messages: Rate::new(1000, 50), ..Limits::default() };
    });
    let (mut writer, mut reader) = (server.join("doc", "writer"), server.join("doc", "reader"));
    let begun = std::time::Instant::now();
    // All at once, so that it is a flood however slow this machine is.
    let update = |number| format!(r#"{{"type":"update","documentId":"doc","update":{number}}}"#);
    writer.write_raw(&(0..550).flat_map(|number| frame(0x81, update(number).as_bytes())).collect::<Vec<_>>());
    for number in 0..550 {
        assert!(reader.text().contains(&format!(r#""update":{number},"#)));
    }
    writer.send(r#"{"type":"sync","documentId":"doc"}"#);
    let answers: Vec<_> =
        std::iter::from_fn(|| Some(writer.text())).take_while(|text| !text.contains("synced")).collect();
    assert!(answers[0].contains("RATE_LIMITED"), "{answers:?}");
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
}
