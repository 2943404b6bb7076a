//! What route handlers ask and send.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::sync::{Arc, Mutex};

use captify_hub::{
    Error,
    admission::upgrade::Upgrade,
    connection::Connection,
    connection::endpoint::{Endpoint, Handler},
    websocket::close::Close,
};
use support::{Server, eventually};

#[test]
fn counts_are_right_at_once_after_connects_and_closes() {
    let server = Server::start(|_| ());
    let a = server.join("doc", "a");
    assert_eq!(server.hub.connection_count("doc"), 1);
    let b = server.join("doc", "b");
    let c = server.join("other", "c");
    assert_eq!(server.hub.connection_count("doc"), 2);
    for name in ["fabric", "/ws/fabric"] {
        assert_eq!(server.hub.connection_count(name), 3);
    }
    let mut documents = server.hub.documents();
    documents.sort();
    assert_eq!(documents, ["doc", "other"]);

    a.close();
    assert_eq!(server.hub.connection_count("doc"), 1, "the close was answered, so it is counted");
    b.close();
    assert_eq!(server.hub.connection_count("doc"), 0);
    assert_eq!(server.hub.documents(), ["other"]);
    drop(c);
    eventually("a lost connection leaves the counts", || server.hub.connection_count("fabric") == 0);
    assert_eq!(server.hub.documents(), Vec::<String>::new());
}

#[test]
fn what_is_refused_after_the_handshake_is_never_counted() {
    let server = Server::start(|_| ());
    for (target, reason) in [
        ("/ws/fabric", "Missing documentId or clientID"),
        ("/ws/fabric?documentId=d", "Missing documentId or clientID"),
        ("/ws/fabric?documentId=&clientID=a", "Missing documentId or clientID"),
        ("/ws/fabric?documentId=d%00&clientID=a", "Invalid documentId"),
        ("/ws/fabric?documentId=d&clientID=%1b", "Invalid clientID"),
        ("/ws/nothing?x", "No handler for /ws/nothing"),
    ] {
        let mut client = server.connect(target);
        assert_eq!(client.closed(), (1003, reason.to_owned(), 0), "{target}");
        assert_eq!(server.hub.connection_count("fabric"), 0, "{target}");
    }
    let long = "x".repeat(513);
    let mut client = server.connect(&format!("/ws/fabric?documentId={long}&clientID=a"));
    assert_eq!(client.closed().0, 1003);
}

#[test]
fn a_publication_reaches_every_member_and_is_counted() {
    let server = Server::start(|_| ());
    let mut clients = [server.join("doc", "a"), server.join("doc", "a"), server.join("doc", "b")];
    assert_eq!(server.hub.publish("doc", None, "to all").unwrap(), 3);
    assert_eq!(server.hub.publish("doc", Some("a"), "to a").unwrap(), 2);
    assert_eq!(server.hub.publish("doc", Some("nobody"), "x").unwrap(), 0);
    assert_eq!(server.hub.publish("no document", None, "x").unwrap(), 0);
    for client in &mut clients {
        assert_eq!(client.text(), "to all");
    }
    assert_eq!(clients[0].text(), "to a");
    assert_eq!(clients[1].text(), "to a");
    clients[2].hears_nothing("doc");
}

#[test]
fn one_client_gets_its_publications_between_those_for_all_in_order() {
    let server = Server::start(|_| ());
    let (mut a, mut b) = (server.join("doc", "a"), server.join("doc", "b"));
    for round in 0..100 {
        server.hub.publish("doc", None, &format!("all {round}")).unwrap();
        server.hub.publish("doc", Some("a"), &format!("a {round}")).unwrap();
    }
    for round in 0..100 {
        assert_eq!(a.text(), format!("all {round}"));
        assert_eq!(a.text(), format!("a {round}"));
        assert_eq!(b.text(), format!("all {round}"));
    }
}

#[test]
fn an_endpoints_broadcast_reaches_every_document() {
    let server = Server::start(|_| ());
    let mut clients: Vec<_> = (0..10).map(|n| server.join(&format!("doc{n}"), "a")).collect();
    assert_eq!(server.hub.broadcast("/ws/fabric", "hello").unwrap(), 10);
    assert_eq!(server.hub.broadcast("/ws/nothing", "hello").unwrap(), 0);
    for client in &mut clients {
        assert_eq!(client.text(), "hello");
    }
}

#[test]
fn who_joins_gets_nothing_from_before() {
    let server = Server::start(|_| ());
    let _first = server.join("doc", "a");
    for round in 0..50 {
        server.hub.publish("doc", None, "before").unwrap();
        let mut late = server.join("doc", "late");
        server.hub.publish("doc", None, &format!("after {round}")).unwrap();
        assert_eq!(late.text(), format!("after {round}"));
    }
}

#[test]
fn a_closed_hub_refuses_publications() {
    let server = Server::start(|_| ());
    server.hub.close(support::PATIENCE);
    assert!(matches!(server.hub.publish("doc", None, "x"), Err(Error::Closed)));
    assert!(matches!(server.hub.broadcast("/ws/fabric", "x"), Err(Error::Closed)));
}

/// Keeps its thread busy until a test lets go.
#[derive(Debug)]
struct Busy(Arc<Mutex<()>>);

impl Endpoint for Busy {
    fn path(&self) -> &'static str {
        "/ws/busy"
    }

    fn open(&self, _: &Arc<Connection>, _: &Upgrade) -> Result<Box<dyn Handler>, Close> {
        Ok(Box::new(Busy(Arc::clone(&self.0))))
    }
}

impl Handler for Busy {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], text: bool) {
        assert!(text);
        connection.send(
            captify_hub::websocket::frame::binary(payload),
            None,
            captify_hub::connection::batch::QueuePolicy::Reliable,
        );
        drop(self.0.lock().unwrap());
    }
}

#[test]
fn more_than_may_wait_for_a_document_is_refused_and_not_half_sent() {
    let server = Server::start(|config| {
        config.threads = 1;
        config.max_pending_bytes = 1 << 20;
    });
    let gate = Arc::new(Mutex::new(()));
    server.hub.serve(Arc::new(Busy(Arc::clone(&gate))));
    let mut member = server.join("doc", "a");
    let mut busy = server.connect("/ws/busy");
    let closed = gate.lock().unwrap();
    busy.send("stand still");
    busy.0.read().unwrap();

    let message = "x".repeat(600 << 10);
    assert_eq!(server.hub.publish("doc", None, &message).unwrap(), 1);
    assert_eq!(server.hub.publish("doc", None, &message).unwrap(), 1, "the limit is not reached yet");
    assert!(matches!(server.hub.publish("doc", None, "refused"), Err(Error::Overloaded)));

    drop(closed);
    assert_eq!(member.text(), message);
    assert_eq!(member.text(), message);
    assert_eq!(server.hub.publish("doc", None, "taken again").unwrap(), 1);
    assert_eq!(member.text(), "taken again");
}

#[test]
fn more_than_may_wait_for_an_endpoint_is_refused_and_not_half_sent() {
    let server = Server::start(|config| {
        config.threads = 2;
        config.max_pending_bytes = 1 << 20;
    });
    let gate = Arc::new(Mutex::new(()));
    server.hub.serve(Arc::new(Busy(Arc::clone(&gate))));
    let mut member = server.join("doc", "a");
    // One on each thread: what one of them has not sent yet waits, however far the other is.
    let mut busy: Vec<_> = (0..8).map(|_| server.connect("/ws/busy")).collect();
    let closed = gate.lock().unwrap();
    for client in &mut busy {
        client.send("stand still");
    }
    busy[0].0.read().unwrap();

    let message = "x".repeat(600 << 10);
    let broadcast = |path, message: &str| server.hub.broadcast(path, message);
    assert_eq!(broadcast("/ws/fabric", &message).unwrap(), 1);
    assert_eq!(broadcast("/ws/fabric", &message).unwrap(), 1, "the limit is not reached yet");
    assert!(matches!(broadcast("/ws/fabric", "refused"), Err(Error::Overloaded)));
    assert_eq!(broadcast("/ws/busy", "of another endpoint").unwrap(), 8);
    assert_eq!(broadcast("/ws/nobody", &message).unwrap(), 0);

    drop(closed);
    assert_eq!(member.text(), message);
    assert_eq!(member.text(), message);
    eventually("there is room again", || broadcast("/ws/fabric", "taken again").is_ok());
    assert_eq!(member.text(), "taken again");
}
