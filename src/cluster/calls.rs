//! Calls of the app that every process has to do: who may do what, and whose session goes on. They stand in a stream, so that
//! a process which was cut off when one was made does it when it is back.

use std::sync::Arc;

use redis::Value;
use tokio::time::{Duration, Instant, sleep};

use super::{
    call_queue::MOST,
    link::Link,
    shared::{Shared, milliseconds},
    wire::text,
};
use crate::sync::lock;

/// How long a call stays: longer than a process that is to go on may be cut off.
const KEPT: Duration = Duration::from_hours(24);

/// Calls that are read at once.
const AT_ONCE: usize = 100;

/// How long one who tries again waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Has every other process do something; as soon as Redis is there.
pub(super) fn say(shared: &Arc<Shared>, call: String) {
    {
        let mut saying = lock(&shared.calls.saying);
        if saying.waiting.len() >= MOST {
            log::error!(
                "Redis is away, and {MOST} calls wait for it: the oldest is not done in other processes"
            );
            saying.waiting.remove(0);
        }
        saying.waiting.push(call);
        if std::mem::replace(&mut saying.is_saying, true) {
            return;
        }
    }
    let shared = Arc::clone(shared);
    shared.handle.clone().spawn(async move {
        while let Some(call) = next(&shared) {
            while let Err(reason) = put(&shared, &call).await {
                log::warn!("a call waits until other processes can be told: {reason}");
                sleep(PAUSE).await;
            }
        }
    });
}

fn next(shared: &Shared) -> Option<String> {
    let mut saying = lock(&shared.calls.saying);
    if saying.waiting.is_empty() {
        saying.is_saying = false;
        return None;
    }
    Some(saying.waiting.remove(0))
}

/// One that is put there twice, because nobody knows whether it arrived, is done twice, which does no harm.
async fn put(shared: &Shared, call: &str) -> Result<(), String> {
    let deadline = Instant::now() + shared.config.wait;
    let link = shared.link(shared.calls_slot, deadline).await.ok_or("Redis is away")?;
    let key = shared.calls_key();
    let mut add = redis::cmd("XADD");
    add.arg(&key).arg("MAXLEN").arg("~").arg(MOST).arg("*");
    add.arg("by").arg(format!("{:016x}", shared.process)).arg("call").arg(call);
    link.call(&add).await.map_err(|error| error.to_string())?;
    let kept = redis::cmd("PEXPIRE").arg(&key).arg(milliseconds(KEPT)).to_owned();
    link.call(&kept).await.map_err(|error| error.to_string())?;
    link.call(link.publish(&key).arg("")).await.map_err(|error| error.to_string())?;
    Ok(())
}

/// Does what other processes have said since the last look; the first one only looks where they are.
///
/// # Errors
///
/// Where the connection does not do.
pub(super) async fn catch_up(shared: &Shared, link: &Link) -> redis::RedisResult<()> {
    let mut done = shared.calls.done.lock().await;
    let key = shared.calls_key();
    let Some(last) = &mut *done else {
        let newest =
            link.call(redis::cmd("XREVRANGE").arg(&key).arg("+").arg("-").arg("COUNT").arg(1)).await?;
        *done = Some(entries(newest).pop().map_or("0-0".to_owned(), |entry| entry.id));
        return Ok(());
    };
    loop {
        let mut range = redis::cmd("XRANGE");
        range.arg(&key).arg(format!("({last}")).arg("+").arg("COUNT").arg(AT_ONCE);
        let entries = entries(link.call(&range).await?);
        let count = entries.len();
        for Entry { id, by, call } in entries {
            *last = id;
            if by != format!("{:016x}", shared.process) {
                (shared.calls.hear)(call);
            }
        }
        if count < AT_ONCE {
            return Ok(());
        }
    }
}

struct Entry {
    id: String,
    by: String,
    call: String,
}

fn entries(answer: Value) -> Vec<Entry> {
    let Value::Array(entries) = answer else { return Vec::new() };
    let entry = |entry: &Value| {
        let Value::Array(parts) = entry else { return None };
        let [id, Value::Array(fields)] = &parts[..] else { return None };
        let [_, by, _, call] = &fields[..] else { return None };
        Some(Entry { id: text(id)?.to_owned(), by: text(by)?.to_owned(), call: text(call)?.to_owned() })
    };
    entries.iter().filter_map(entry).collect()
}
