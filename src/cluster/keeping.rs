//! Says to Redis what must not expire: client sessions that are here, and documents that are open.

use std::sync::Weak;

use super::{
    link::Link,
    shared::{Kept, Shared, milliseconds},
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
        if let Some(link) = strong.link_now() {
            tell(&strong, &link, kept).await;
        }
    }
}

async fn tell(shared: &Shared, link: &Link, kept: Kept) {
    let of_sessions = milliseconds(shared.kept);
    let of_metas = milliseconds(shared.meta_kept);
    let client_sessions: Vec<_> = kept.client_sessions.into_iter().collect();
    let metas: Vec<_> = kept.metas.into_iter().collect();
    for some in client_sessions.chunks(AT_ONCE) {
        let mut calls = redis::pipe();
        for key in some {
            // One that has sent nothing yet is known all the same.
            calls.cmd("SET").arg(key).arg(0).arg("NX").arg("PX").arg(of_sessions).ignore();
            calls.cmd("PEXPIRE").arg(key).arg(of_sessions).ignore();
        }
        judge(link, calls.exec_async(&mut link.commands.clone()).await);
    }
    for some in metas.chunks(AT_ONCE) {
        let mut calls = redis::pipe();
        for key in some {
            calls.cmd("PEXPIRE").arg(key).arg(of_metas).ignore();
        }
        judge(link, calls.exec_async(&mut link.commands.clone()).await);
    }
}

fn judge(link: &Link, told: redis::RedisResult<()>) {
    if let Err(error) = told {
        log::warn!("what is needed may expire in Redis: {error}");
        link.judge(&error);
    }
}
