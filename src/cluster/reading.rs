//! Reads the log of a document: where it begins, what has not come, and after Redis was away.

use std::sync::Arc;

use redis::{Cmd, RedisError, Value};
use tokio::time::{Duration, Instant, sleep};

use super::{
    document::Document,
    follower::{Asks, Next},
    link::{Link, is_elsewhere},
    routes::Node,
    shared::{Shared, milliseconds, random},
    wire::{Reading, nonce_text},
};
use crate::ids::Epoch;

/// Documents that are read at once after Redis was away.
const AT_ONCE: usize = 256;

/// How long one who tries again waits.
const PAUSE: Duration = Duration::from_millis(50);

/// The call that reads a log; all of it, or from where a process stands.
pub(super) fn call(shared: &Shared, link: &Link, document: &Document, asks: Option<Asks>) -> Cmd {
    let from = asks.and_then(|asks| asks.from());
    let mut call = link.read(4);
    call.arg(&document.keys.meta)
        .arg(&document.keys.stream)
        .arg(&document.keys.kept)
        .arg(&document.keys.lease)
        .arg(Epoch::random().to_string())
        .arg(nonce_text(random()))
        .arg(&link.server.run)
        .arg(from.map_or("-".to_owned(), |from| from.to_string()))
        .arg(milliseconds(shared.meta_kept))
        .arg(u8::from(document.kept.is_some() && from.is_none()));
    call
}

/// Reads a log; `None` where that failed.
pub(super) async fn read(
    shared: &Shared,
    link: &Link,
    document: &Document,
    asks: Option<Asks>,
) -> Option<Reading> {
    match link.call(&call(shared, link, document, asks)).await {
        Ok(answer) => parse(document, answer),
        Err(error) => {
            complain(document, &error);
            if error.code() == Some("NOSCRIPT") {
                let _ = link.load_scripts().await;
            }
            None
        }
    }
}

fn parse(document: &Document, answer: Value) -> Option<Reading> {
    let reading = Reading::parse(answer);
    if reading.is_none() {
        log::error!("document {:?}: what stands in Redis is no log of this version", document.id);
    }
    reading
}

fn complain(document: &Document, error: &RedisError) {
    let level = if is_elsewhere(error) { log::Level::Debug } else { log::Level::Warn };
    log::log!(level, "document {:?} could not be read: {error}", document.id);
}

/// Brings a document up to where its log stands; returns whether that was done.
pub(super) async fn catch_up(shared: &Shared, link: &Link, document: &Document) -> bool {
    let mut is_whole = false;
    while let Some(asks) = document.asks() {
        let asks = if is_whole { asks.all() } else { asks };
        let Some(reading) = read(shared, link, document, Some(asks)).await else { return false };
        match document.caught_up(asks, reading) {
            Next::Nothing => return true,
            Next::ReadAgain => {}
            Next::ReadAll => is_whole = true,
        }
    }
    true
}

/// Does so after a while, unless what was missing has come by then; and again, until nothing is missing.
pub(super) fn catch_up_later(shared: &Arc<Shared>, document: &Arc<Document>, delay: Duration) {
    if !document.begin_reading() {
        return;
    }
    let (shared, document) = (Arc::clone(shared), Arc::clone(document));
    let handle = shared.handle.clone();
    handle.spawn(async move {
        let mut delay = delay;
        loop {
            sleep(delay).await;
            if !document.goes_on_reading() {
                return;
            }
            let deadline = Instant::now() + shared.config.wait;
            if let Some(link) = shared.link(document.keys.slot, deadline).await {
                catch_up(&shared, &link, &document).await;
            }
            delay = PAUSE;
        }
    });
}

/// Subscribes to all documents of a server over new connections, and brings them up to where their logs stand.
///
/// # Errors
///
/// Where the connections do not do.
pub(super) async fn catch_up_all(shared: &Shared, link: &Link, node: &Node) -> Result<(), RedisError> {
    let documents = shared.all_on(node);
    for some in documents.chunks(AT_ONCE) {
        let channels: Vec<_> = some.iter().map(|document| document.keys.channel.clone()).collect();
        link.subscribe(&channels, |channel| shared.of_channel(channel).is_some()).await?;
        let asked: Vec<_> = some.iter().filter_map(|each| Some((each, each.asks()?))).collect();
        if asked.is_empty() {
            continue;
        }
        let mut calls = redis::pipe();
        for (document, asks) in &asked {
            calls.add_command(call(shared, link, document, Some(*asks)));
        }
        let answers: Vec<Value> = calls.query_async(&mut link.commands.clone()).await?;
        for ((document, asks), answer) in asked.into_iter().zip(answers) {
            let is_done = parse(document, answer)
                .is_none_or(|reading| document.caught_up(asks, reading) == Next::Nothing);
            if !is_done && !catch_up(shared, link, document).await {
                return Err(std::io::Error::other("a document could not be read again").into());
            }
        }
    }
    Ok(())
}
