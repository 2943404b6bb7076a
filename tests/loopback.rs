//! The way in for sockets without a plain descriptor.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use captify_hub::server::loopback::Loopback;
use support::{Client, Server};
use tokio_tungstenite::tungstenite::{WebSocket, protocol::Role};

const TICKET: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream
}

#[test]
fn a_ticket_lets_one_socket_in_as_if_it_had_been_handed_over() {
    let server = Server::start(|_| ());
    let loopback = Loopback::start(&server.hub).unwrap();
    let mut beside = server.join("doc", "b");
    let (port, _) =
        loopback.expect(TICKET, support::upgrade("/ws/fabric?documentId=doc&clientID=a")).unwrap();

    let mut stream = connect(port);
    // The ticket may come in pieces, and frames right behind it.
    stream.write_all(&TICKET[..7]).unwrap();
    stream.write_all(&TICKET[7..]).unwrap();
    stream.write_all(&support::frame(0x81, br#"{"type":"update","documentId":"doc","update":1}"#)).unwrap();
    assert!(support::read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    let mut client = Client(WebSocket::from_raw_socket(stream, Role::Client, None));
    assert!(client.text().contains("connected"));
    assert_eq!(beside.text(), r#"{"type":"update","documentId":"doc","update":1,"clientID":"a","offset":1}"#);

    let mut again = connect(port);
    again.write_all(&TICKET).unwrap();
    assert_eq!(again.read(&mut [0]).unwrap(), 0, "a ticket is good for one socket");
}

#[test]
fn without_a_known_ticket_nobody_gets_a_byte() {
    let server = Server::start(|_| ());
    let loopback = Loopback::start(&server.hub).unwrap();
    let (port, _) = loopback.expect(TICKET, support::upgrade("/ws/fabric?documentId=d&clientID=c")).unwrap();
    let mut stream = connect(port);
    stream.write_all(&[b'x'; 32]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty());
    assert_eq!(server.hub.connection_count("fabric"), 0);
}
