//! Tries at the start what a hub will do, so that a missing right is named then and not by a client's lost message.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use redis::{Cmd, RedisError, Value};

use super::{
    document::Document,
    error::StartError,
    link::Link,
    reading,
    routes::Node,
    sending,
    shared::{Shared, milliseconds},
    wire::Reading,
};
use crate::{
    ids::Id,
    room::{
        document_log::{Deliver, News},
        publication::Publication,
    },
};

/// How long what is tried stays in Redis.
const SHORT: Duration = Duration::from_secs(1);

/// What an error is to who starts a hub.
pub(super) fn explain(shared: &Shared, error: &RedisError) -> StartError {
    let text = error.to_string();
    if ["NOPERM", "o permissions", "can't run this command"].iter().any(|words| text.contains(words)) {
        return StartError::NotAllowed { what: text };
    }
    StartError::Unreachable { server: shared.config.server.name(), reason: text }
}

/// Each command of the hub and of its scripts. Nothing of it stays.
fn plain(meta: &str, stream: &str) -> Vec<Cmd> {
    let command = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command
    };
    vec![
        command(&["EXISTS", stream]),
        command(&["XADD", stream, "1-0", "d", "check"]),
        command(&["XLEN", stream]),
        command(&["XRANGE", stream, "-", "+"]),
        command(&["XREVRANGE", stream, "+", "-", "COUNT", "1"]),
        command(&["XTRIM", stream, "MINID", "2"]),
        command(&["DEL", stream]),
        command(&["SET", stream, "0", "NX", "PX", "1000"]),
        command(&["GET", stream]),
        command(&["PEXPIRE", stream, "1000"]),
        command(&["DEL", stream]),
        command(&["HSET", meta, "check", "0"]),
        command(&["HMGET", meta, "check"]),
        command(&["DEL", meta]),
        command(&["TIME"]),
        command(&["SADD", stream, "check"]),
        command(&["SMEMBERS", stream]),
        command(&["SREM", stream, "check"]),
        command(&["RPUSH", stream, "check"]),
        command(&["LTRIM", stream, "-8", "-1"]),
        command(&["LRANGE", stream, "0", "-1"]),
        command(&["PERSIST", stream]),
        command(&["DEL", stream]),
        command(&["HSET", meta, "check", "0"]),
        command(&["HGET", meta, "check"]),
        command(&["HDEL", meta, "check"]),
    ]
}

/// Nobody is in the room of what is tried.
struct Nobody;

impl Deliver for Nobody {
    fn hear(self: Arc<Self>, _: Vec<News>) {}
}

/// Tries everything once, on a document that is nobody's.
///
/// # Errors
///
/// [`StartError::NotAllowed`], [`StartError::Unreachable`]
pub(super) async fn rights(shared: &Arc<Shared>, link: &Link, node: &Node) -> Result<(), StartError> {
    let failed = |error: RedisError| explain(shared, &error);
    let strange = || StartError::Unreachable {
        server: shared.config.server.name(),
        reason: "it answers the hub's scripts with something else".to_owned(),
    };
    // One that this server has.
    let named = |number| Id::new(&format!("hub start check {:016x}:{number}", shared.process));
    let slot = |number| named(number).map(|id| shared.keys(&id).meta).unwrap_or_default();
    let id = shared.number_on(node, slot).and_then(named).ok_or_else(strange)?;
    let keys = shared.keys(&id);
    let document = Document::new(id, keys, Weak::<Nobody>::new(), &shared.numbers);
    let keys = &document.keys;
    let call = async |call: &Cmd| link.call(call).await.map_err(failed);

    link.subscribe(std::slice::from_ref(&keys.channel), |_| true).await.map_err(failed)?;
    // One by one: of what a script may not do it says only that it may not.
    for command in plain(&keys.meta, &keys.stream) {
        call(&command).await?;
    }
    call(link.publish(&keys.channel).arg("check")).await?;
    let answer = call(&reading::call(shared, link, &document, None)).await?;
    let reading = Reading::parse(answer).ok_or_else(strange)?;
    document.begin(&reading);
    // Of a route handler nothing was refused before.
    let _ = document.enqueue(Publication::of_route_handler(None, "{\"type\":\"start check\"}"));
    let append = document.next_batch().and_then(|batch| sending::append(shared, link, &document, batch));
    let Value::Array(_) = call(&append.ok_or_else(strange)?.0).await? else { return Err(strange()) };
    for key in [&keys.meta, &keys.stream, &keys.attempt] {
        call(redis::cmd("PEXPIRE").arg(key).arg(milliseconds(SHORT))).await?;
    }
    link.unsubscribe(&keys.channel, |_| false).await;
    Ok(())
}
