//! Clients that come back.

use serde_json::Value;

use super::{Client, Server, eventually};

/// How a client comes back: what the hub told it when it connected.
#[derive(Debug, Clone)]
pub struct Position {
    pub token: String,
    pub epoch: String,
    pub offset: u64,
}

impl Position {
    pub fn of(connected: &Value) -> Self {
        let text = |key: &str| connected[key].as_str().unwrap().to_owned();
        Self { token: text("token"), epoch: text("epoch"), offset: connected["offset"].as_u64().unwrap() }
    }

    pub fn at(&self, offset: u64) -> Self {
        Self { offset, ..self.clone() }
    }
}

pub fn json(client: &mut Client) -> Value {
    serde_json::from_str(&client.text()).unwrap()
}

pub fn join(server: &Server, client: &str) -> (Client, Position) {
    let mut joined = server.connect(&format!("/ws/fabric?documentId=doc&clientID={client}"));
    let position = Position::of(&json(&mut joined));
    (joined, position)
}

pub fn target(client: &str, Position { token, epoch, offset }: &Position) -> String {
    format!("/ws/fabric?documentId=doc&clientID={client}&token={token}&epoch={epoch}&offset={offset}")
}

/// Comes back; returns the client, its new position, and the hub's word on what it missed.
pub fn back(server: &Server, client: &str, position: &Position) -> (Client, Position, Value) {
    let mut joined = server.connect(&target(client, position));
    let position = Position::of(&json(&mut joined));
    let word = json(&mut joined);
    (joined, position, word)
}

pub fn reason(server: &Server, client: &str, position: &Position) -> String {
    let (mut joined, _, word) = back(server, client, position);
    assert_eq!(word["type"], "reload", "{word}");
    joined.hears_nothing("doc");
    word["reason"].as_str().unwrap().to_owned()
}

/// Ends a client's connection without a word, and waits until the hub has seen it.
pub fn cut(server: &Server, client: Client, left: usize) {
    drop(client);
    eventually("the connection is gone", || server.hub.connection_count("doc") == left);
}

pub fn update(client: &mut Client, number: usize) {
    client.send(&format!(r#"{{"type":"update","documentId":"doc","update":{number}}}"#));
}

pub fn message(number: usize) -> String {
    format!(r#"{{"type":"notice","n":{number}}}"#)
}
