//! Which process has something that only one may have, until it lets it go or is gone.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Value};

use super::{
    rooms::channel_of,
    shared::{Shared, milliseconds},
    slots::slot_of,
    wire::text,
};

/// The key of something that belongs to a room.
fn key_of(shared: &Shared, path: &str, room: &str, name: &str) -> String {
    let name = name.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
    format!("{}:{name}", channel_of(shared, path, room))
}

/// Claims it for this process, for so long at most; also where `gone` has it, which is there no more. Returns who has it then;
/// `None` where Redis is away.
pub(super) async fn claim(
    shared: &Shared,
    (path, room, name): (&str, &str, &str),
    kept: Duration,
    gone: Option<u64>,
) -> Option<u64> {
    let key = key_of(shared, path, room, name);
    let link = shared.link_now(slot_of(&key))?;
    let own = format!("{:016x}", shared.process);
    let set = |process: &str, how: &[&str]| -> Cmd {
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(process).arg(how).arg("PX").arg(milliseconds(kept));
        set
    };
    let process = |value: &Value| u64::from_str_radix(text(value)?, 16).ok();
    if link.call(&set(&own, &["NX"])).await.ok()? != Value::Nil {
        return Some(shared.process);
    }
    let holder = process(&link.call(redis::cmd("GET").arg(&key)).await.ok()?);
    if holder.is_some() && holder != gone {
        return holder;
    }
    // It is gone, or has let it go in between. Of several that see so the first is told.
    let before = link.call(&set(&own, &["GET"])).await.ok()?;
    match process(&before) {
        Some(other) if Some(other) != gone && other != shared.process => {
            link.call(&set(&format!("{other:016x}"), &["XX"])).await.ok()?;
            Some(other)
        }
        _ => Some(shared.process),
    }
}

/// Lets go of what this process has, where another has not claimed it since; `done` is told once that was tried.
pub(super) fn release(
    shared: &Arc<Shared>,
    (path, room, name): (&str, &str, &str),
    done: impl FnOnce() + Send + 'static,
) {
    let key = key_of(shared, path, room, name);
    let shared = Arc::clone(shared);
    shared.handle.clone().spawn(async move {
        if let Some(link) = shared.link_now(slot_of(&key)) {
            link.let_go(&key, &format!("{:016x}", shared.process)).await;
        }
        done();
    });
}
