//! Clients of documents of steps over several processes.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering::SeqCst, mpsc},
};

use captify_hub::{
    document::hooks::{Content, HookError},
    ids::Id,
};
use serde_json::{Value, json};

use super::{
    Client, PATIENCE, Server,
    app::App,
    eventually,
    recovery::json as message,
    redis::{Redis, over},
};

/// Two processes of an app.
pub fn two(app: &Arc<App>, redis: &Redis) -> (Server, Server) {
    let over = over(&redis.url());
    (app.process("one", &over), app.process("two", &over))
}

/// A process of an app which saves nothing yet, and a client of it, one step of whose document is in Redis.
pub fn unsaved(app: &Arc<App>, redis: &Redis) -> (Server, Client) {
    app.does_not_save.store(true, SeqCst);
    let one = app.process("one", &over(&redis.url()));
    let mut a = one.join("doc", "a");
    send(&mut a, 0, 1);
    next(&mut a, "steps");
    (one, a)
}

/// Sends a step for a version.
pub fn send(client: &mut Client, version: u64, id: u64) {
    send_word(client, version, id, "w");
}

/// The same, with a word of its own.
pub fn send_word(client: &mut Client, version: u64, id: u64, word: &str) {
    client.send(&format!(
        r#"{{"type":"steps","version":{version},"id":{id},"steps":[{{"stepType":"{word}{version}"}}]}}"#
    ));
}

/// The next message that is of this type, over all others.
pub fn next(client: &mut Client, kind: &str) -> Value {
    loop {
        let message = message(client);
        if message["type"] == kind {
            return message;
        }
    }
}

/// The next steps, and what the client was refused before them.
pub fn steps_and_refusal(client: &mut Client) -> (Value, Option<Value>) {
    let mut refused = None;
    loop {
        let message = message(client);
        match message["type"].as_str() {
            Some("steps") => return (message, refused),
            Some("error") => refused = Some(message),
            _ => {}
        }
    }
}

/// Sends steps until they have their place: nobody writes before all that was lost has its own.
pub fn write(client: &mut Client, version: u64) {
    let client = RefCell::new(client);
    eventually("they have their place", || {
        let client = &mut client.borrow_mut();
        send(client, version, 1);
        let answer = message(client);
        (&answer["type"], &answer["version"]) == (&json!("steps"), &json!(version))
    });
}

/// Which version the process says that the document has.
pub fn version(client: &mut Client) -> u64 {
    client.send(r#"{"type":"sync"}"#);
    next(client, "synced")["version"].as_u64().unwrap()
}

/// Waits until a client is told that the document has reached a version.
pub fn reaches(client: &mut Client, reached: u64) {
    let client = RefCell::new(client);
    eventually("it has reached the version", || version(&mut client.borrow_mut()) >= reached);
}

/// The document as a route handler reads it.
pub fn read(server: &Server, document: &str) -> Result<Option<Content>, HookError> {
    let (tell, told) = mpsc::channel();
    server.hub.read(Id::new(document).unwrap(), move |read| tell.send(read).unwrap()).unwrap();
    told.recv_timeout(PATIENCE).unwrap()
}
