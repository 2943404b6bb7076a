//! Clients that publish to a document, and are told what became of it.

use serde_json::{Value, json};

use super::{
    Client, Server,
    recovery::{Position, json as message},
};

pub fn join(server: &Server, document: &str, client: &str) -> (Client, Position) {
    let mut joined = server.connect(&format!("/ws/fabric?documentId={document}&clientID={client}"));
    let position = Position::of(&message(&mut joined));
    (joined, position)
}

pub fn send_to(client: &mut Client, document: &str, id: u64) {
    client.send(&format!(
        r#"{{"type":"update","documentId":"{document}","update":"of {id}","id":{id},"ack":true}}"#
    ));
}

pub fn send(client: &mut Client, id: u64) {
    send_to(client, "doc", id);
}

pub fn ack(up_to: u64, offset: u64) -> Value {
    json!({ "type": "ack", "upTo": up_to, "offset": offset })
}

/// Reads until the client was told that everything up to `id` is applied.
pub fn acknowledged(client: &mut Client, id: u64) {
    loop {
        let told = message(client);
        if told["type"] == "ack" && told["upTo"] == id {
            return;
        }
    }
}

/// The next `count` updates of a client's, which nothing stands between.
pub fn updates(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| message(client)["update"].as_str().unwrap().to_owned()).collect()
}

pub fn numbered(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|id| format!("of {id}")).collect()
}
