//! Clients for the tests that need a look inside: sockets that join a document of a hub in the same process.

use std::{
    io::Read,
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::Duration,
};

use crate::{Hub, ids::ConnectionId, server::accept::Incoming, websocket::handshake::Request};

/// Joins the document `doc`; returns the connection's name and the client's socket.
pub(crate) fn join(hub: &Hub, client: &str) -> (ConnectionId, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let upgrade = Request::from_lines(&format!(
        "GET\n/ws/fabric?documentId=doc&clientID={client}\n1.1\nConnection\nUpgrade\nUpgrade\nwebsocket\n\
         Sec-WebSocket-Version\n13\nSec-WebSocket-Key\ndGhlIHNhbXBsZSBub25jZQ=="
    ));
    let id = hub.accept(Incoming { stream, upgrade: upgrade.into(), early: Vec::new() }).unwrap();
    read_to(&socket, b"\"offset\":0}");
    (id, socket)
}

/// Reads until `end` has come; returns all that came.
pub(crate) fn read_to(mut socket: &TcpStream, end: &[u8]) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(end) {
        socket.read_exact(&mut byte).unwrap();
        all.push(byte[0]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
