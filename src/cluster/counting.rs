//! Tells the other processes who is in this one, and hears who is in them.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use redis::RedisResult;
use tokio::time::{Instant, sleep, timeout};

use super::{
    census::{Message, Teller},
    link::Link,
    shared::Shared,
    slots::slot_of,
};
use crate::sync::lock;

/// How often it is looked what has changed, and so how old a count is at most, but for the way.
const ROUND: Duration = Duration::from_secs(1);

/// How often a process says that it is there, where nothing has changed.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How long who asks waits: others who ask meanwhile are told together.
const ASKED_PAUSE: Duration = Duration::from_millis(500);

/// How long a process that ends waits for the others to be told.
const GOODBYE: Duration = Duration::from_millis(200);

/// Tells the others who is here, as long as the process lives.
pub(super) async fn tell(shared: Weak<Shared>) {
    let mut teller = Teller::default();
    let mut said = Instant::now();
    // Over which connection everything was told.
    let mut over: Weak<Link> = Weak::new();
    while let Some(strong) = shared.upgrade() {
        lock(&strong.elsewhere).forget_silent();
        if let Some(link) = strong.link_now(slot_of(&strong.census_channel()))
            && let Some(census) = strong.census()
        {
            let is_new = !std::ptr::eq(over.as_ptr(), Arc::as_ptr(&link));
            let anew = strong.is_asked.swap(false, Ordering::SeqCst) || is_new;
            let always = said.elapsed() >= HEARTBEAT;
            let messages = teller.tell(strong.process, &strong.about, &census, anew, always);
            if !messages.is_empty() {
                said = Instant::now();
            }
            over = match say_all(&strong, &link, &messages, is_new).await {
                Ok(()) => Arc::downgrade(&link),
                // Who has heard what nobody knows.
                Err(_) => Weak::new(),
            };
        }
        let asked = async {
            strong.asked.notified().await;
            sleep(ASKED_PAUSE).await;
        };
        let _ = timeout(ROUND, asked).await;
    }
}

async fn say_all(shared: &Shared, link: &Link, messages: &[Message], asks: bool) -> RedisResult<()> {
    if asks {
        say(shared, link, &Message::Asks { of: 0, by: shared.process }).await?;
    }
    for message in messages {
        say(shared, link, message).await?;
    }
    Ok(())
}

async fn say(shared: &Shared, link: &Link, message: &Message) -> RedisResult<()> {
    link.call(link.publish(&shared.census_channel()).arg(message.encode())).await.map(drop)
}

/// Something was said.
pub(super) fn hear(shared: &Arc<Shared>, message: &[u8]) {
    match Message::parse(message) {
        Some(Message::Tells(tells)) if tells.process != shared.process => {
            let of = tells.process;
            let is_missing = lock(&shared.elsewhere).hear(tells);
            if is_missing && let Some(link) = shared.link_now(slot_of(&shared.census_channel())) {
                let shared = Arc::clone(shared);
                shared.handle.clone().spawn(async move {
                    // Where that is lost, the next message asks again.
                    let _ = say(&shared, &link, &Message::Asks { of, by: shared.process }).await;
                });
            }
        }
        Some(Message::Asks { of, by }) if by != shared.process && (of == 0 || of == shared.process) => {
            shared.is_asked.store(true, Ordering::SeqCst);
            shared.asked.notify_one();
        }
        Some(Message::Leaves { process }) => lock(&shared.elsewhere).leave(process),
        Some(Message::Tells(_) | Message::Asks { .. }) => {}
        None => log::debug!("who is in another process cannot be read: another version?"),
    }
}

/// The process ends: it is not waited for until it is silent.
pub(super) async fn leave(shared: &Shared) {
    if let Some(link) = shared.link_now(slot_of(&shared.census_channel())) {
        let _ = timeout(GOODBYE, say(shared, &link, &Message::Leaves { process: shared.process })).await;
    }
}
