//! Limits and a client that comes back while its old connection hangs in a network that is gone: it is not one more.

#![allow(clippy::allow_attributes, clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use captify_hub::{admission::Admission, admission::limits::Limits, server::accept::Incoming};
use serde_json::Value;
use support::{Client, Server, eventually, read_head, socket_pair, upgrade};
use tokio_tungstenite::tungstenite::{WebSocket, protocol::Role};

/// Who comes, and from where.
#[derive(Clone, Copy)]
struct Person {
    user: Option<&'static str>,
    address: &'static str,
}

const ANNA: Person = Person { user: Some("anna"), address: "203.0.113.7" };
const NOBODY: Person = Person { user: None, address: "203.0.113.7" };

fn come(server: &Server, who: Person, query: &str) -> Client {
    let (mut stream, theirs) = socket_pair();
    let mut request = upgrade(&format!("/ws/fabric?{query}"));
    request.user = who.user.map(Into::into);
    request.admission = Admission { address: Some(who.address.parse().unwrap()), ..Admission::default() };
    server.hub.accept(Incoming { stream: theirs, upgrade: request, early: Vec::new() }).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    Client(WebSocket::from_raw_socket(stream, Role::Client, None))
}

/// Joins; returns the client and the query by which it comes back.
fn join(server: &Server, who: Person, document: &str, client: &str) -> (Client, String) {
    let query = format!("documentId={document}&clientID={client}");
    let mut joined = come(server, who, &query);
    let connected: Value = serde_json::from_str(&joined.text()).unwrap();
    let text = |key: &str| connected[key].as_str().unwrap().to_owned();
    let back =
        format!("{query}&token={}&epoch={}&offset={}", text("token"), text("epoch"), connected["offset"]);
    (joined, back)
}

/// Fills one limit with two clients, and tries to come in besides.
fn only_who_replaces_comes_in(limit: impl FnOnce(&mut Limits), who: Person, reason: &str) {
    let server = Server::start(|config| {
        config.threads = 1;
        config.limits = Limits::none();
        limit(&mut config.limits);
    });
    // Neither reads nor answers any more: their network is gone.
    let lost = [join(&server, who, "doc", "a"), join(&server, who, "doc", "b")];
    let is_kept_out = |query: &str| {
        assert_eq!(come(&server, who, query).closed(), (1013, reason.to_owned(), 0), "{query}");
    };
    is_kept_out("documentId=doc&clientID=c");
    is_kept_out("documentId=doc&clientID=a");
    let [(_, back_of_a), (_, back_of_b)] = &lost;
    // Not theirs, not good, and of another document.
    is_kept_out(&back_of_a.replace("clientID=a", "clientID=b"));
    is_kept_out(&back_of_a.replace("token=", "token=x"));
    is_kept_out(&back_of_a.replace("epoch=", "epoch=0"));
    if !reason.contains("this document") {
        is_kept_out(&back_of_a.replace("documentId=doc", "documentId=other"));
    }
    is_kept_out("documentId=doc&clientID=a&token=&epoch=&offset=");

    let mut newest = None;
    for _ in 0..5 {
        let mut again = come(&server, who, back_of_a);
        assert!(again.text().starts_with(r#"{"type":"connected""#));
        assert!(again.text().starts_with(r#"{"type":"recovered""#));
        // Shown again and again, a token is still one connection's.
        newest = Some(again);
    }
    eventually("the older ones are gone", || server.hub.connection_count("fabric") == 2);
    let mut b = come(&server, who, back_of_b);
    assert!(b.text().starts_with(r#"{"type":"connected""#));
    eventually("the older one is gone", || server.hub.connection_count("fabric") == 2);
    is_kept_out("documentId=doc&clientID=c");
    // Whose connection has ended replaces nobody, and its place may be somebody else's by now.
    drop((newest, b));
    eventually("all are gone", || server.hub.connection_count("fabric") == 0);
    let _others = [join(&server, who, "doc", "c"), join(&server, who, "doc", "d")];
    is_kept_out(back_of_a);
}

#[test]
fn a_full_document_lets_in_who_replaces_its_own_connection() {
    let limit = |limits: &mut Limits| limits.connections_per_document = 2;
    only_who_replaces_comes_in(limit, NOBODY, "Too many connections of this document");
    let limit = |limits: &mut Limits| limits.connections_per_document = 2;
    only_who_replaces_comes_in(limit, ANNA, "Too many connections of this document");
}

#[test]
fn a_user_with_all_its_connections_may_replace_one() {
    let limit = |limits: &mut Limits| limits.connections_per_user = 2;
    only_who_replaces_comes_in(limit, ANNA, "Too many connections of this user");
}

#[test]
fn an_address_with_all_its_connections_may_replace_one() {
    let limit = |limits: &mut Limits| limits.connections_per_address = 2;
    only_who_replaces_comes_in(limit, NOBODY, "Too many connections from this address");
    let limit = |limits: &mut Limits| limits.connections_per_address = 2;
    only_who_replaces_comes_in(limit, ANNA, "Too many connections from this address");
}

#[test]
fn a_hub_with_all_its_connections_lets_in_who_replaces_one() {
    let limit = |limits: &mut Limits| limits.connections = 2;
    only_who_replaces_comes_in(limit, NOBODY, "Too many connections");
}

#[test]
fn a_place_at_one_address_is_none_at_another() {
    let server = Server::start(|config| {
        config.limits = Limits { connections_per_address: 1, ..Limits::none() };
    });
    let elsewhere = Person { address: "203.0.113.8", ..NOBODY };
    let _there = join(&server, elsewhere, "doc", "there");
    let (_old, back) = join(&server, NOBODY, "doc", "a");
    let refused = (1013, "Too many connections from this address".to_owned(), 0);
    assert_eq!(come(&server, elsewhere, &back).closed(), refused);
    let mut again = come(&server, NOBODY, &back);
    assert!(again.text().starts_with(r#"{"type":"connected""#));
}
