//! Says to Redis what must not expire: client sessions that are here, and documents that are open.

use std::sync::Weak;

use super::{
    link::{Link, is_elsewhere},
    shared::{Shared, milliseconds},
};
use crate::sync::lock;

/// Keys that are told at once.
const AT_ONCE: usize = 500;

/// Says so whenever there is something to say.
pub(super) async fn keep(shared: Weak<Shared>) {
    while let Some(strong) = shared.upgrade() {
        strong.keep.notified().await;
        let kept = std::mem::take(&mut *lock(&strong.keeping));
        // What cannot be said now is said again in a fraction of the window.
        for (link, keys) in strong.by_link(kept.client_sessions) {
            tell_client_sessions(&strong, &link, &keys).await;
        }
        for (link, keys) in strong.by_link(kept.metas) {
            tell_metas(&strong, &link, &keys).await;
        }
    }
}

async fn tell_client_sessions(shared: &Shared, link: &Link, keys: &[String]) {
    let of_sessions = milliseconds(shared.kept);
    for some in keys.chunks(AT_ONCE) {
        let mut calls = redis::pipe();
        for key in some {
            // One that has sent nothing yet is known all the same.
            calls.cmd("SET").arg(key).arg(0).arg("NX").arg("PX").arg(of_sessions).ignore();
            calls.cmd("PEXPIRE").arg(key).arg(of_sessions).ignore();
        }
        judge(link, calls.exec_async(&mut link.commands.clone()).await);
    }
}

async fn tell_metas(shared: &Shared, link: &Link, keys: &[String]) {
    let of_metas = milliseconds(shared.meta_kept);
    for some in keys.chunks(AT_ONCE) {
        let mut calls = redis::pipe();
        for key in some {
            calls.cmd("PEXPIRE").arg(key).arg(of_metas).ignore();
        }
        judge(link, calls.exec_async(&mut link.commands.clone()).await);
    }
}

fn judge(link: &Link, told: redis::RedisResult<()>) {
    if let Err(error) = told {
        let level = if is_elsewhere(&error) { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "what is needed may expire in Redis: {error}");
        link.judge(&error);
    }
}
