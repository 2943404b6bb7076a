//! Sends what is published to one document, a batch at a time: what comes while one is under way is the next.

use std::sync::Arc;

use redis::{Cmd, RedisError, Value};
use tokio::time::{Duration, Instant, sleep};

use super::{
    document::Document,
    entry, leases,
    link::{Link, is_elsewhere},
    publishing::Batch,
    reading,
    shared::{Shared, milliseconds, random},
    wire::{Mark, Outcome, Reply, nonce_text, text},
};
use crate::{
    ids::{ClientSessionId, Epoch},
    recovery::history::LEAP,
    room::publication::{Content, Publication},
    sync::lock,
};

/// How long one who tries again waits.
const PAUSE: Duration = Duration::from_millis(100);

/// How long what was pushed may be behind an answer before it is read.
const PUSHES_BEHIND: Duration = Duration::from_millis(50);

/// How long a connection has to last until every other process has said over it that it is there.
const KNOWN_AFTER: Duration = Duration::from_secs(5);

/// What the script has answered.
enum Answer {
    /// With how many processes have heard it; `None` where that was an earlier call.
    Done(Reply, Option<usize>),
    /// The log is not the one that this process has seen.
    Forked,
    /// Batches behind it are done.
    Late,
    /// It was published so long ago that what was said of its authors since may be forgotten.
    Old,
}

/// Why what waits is refused.
const AWAY: &str = "Redis is away";
const LATE: &str = "they were on their way for too long";

/// Sends until nothing waits. Only one does so for a document.
pub(super) async fn send(shared: &Arc<Shared>, document: &Arc<Document>) {
    while let Some(batch) = document.next_batch() {
        if let Err(reason) = deliver(shared, document, batch).await {
            return document.give_up(reason);
        }
    }
}

/// Sends one batch until it was answered, here or by a push.
///
/// # Errors
///
/// Why that is not in time.
async fn deliver(shared: &Arc<Shared>, document: &Arc<Document>, batch: Batch) -> Result<(), &'static str> {
    // What has waited behind others is tried once, however long that was.
    let deadline = (Instant::from_std(batch.since) + shared.config.wait).max(Instant::now() + PAUSE);
    let mut is_forked = false;
    while let Some(link) = shared.link(document.keys.slot, deadline).await {
        if !leases::mark(shared, document).await {
            sleep(PAUSE).await;
            if Instant::now() >= deadline {
                return Err(AWAY);
            }
            continue;
        }
        let Some((call, asks)) = append(shared, &link, document, batch) else { return Ok(()) };
        let answer = link.tell(&call).await;
        if link.loss.is_lost() {
            // It may come from a server that is none any more: what it has done is found out over the next link.
            continue;
        }
        match answer.map(|answer| parse(&answer)) {
            Ok(Some(Answer::Done(reply, heard))) => {
                if reply.outcomes.contains(&Outcome::Full) {
                    log::debug!(
                        "document {:?} takes nothing beside its steps until there is a newer snapshot",
                        document.id
                    );
                }
                if asks && let Some(heard) = heard {
                    expect(shared, &link, document, &reply, heard);
                }
                if document.answered(batch, reply) {
                    reading::catch_up_later(shared, document, PUSHES_BEHIND);
                }
                return Ok(());
            }
            Ok(Some(Answer::Forked)) => {
                // What was sent is void, and goes behind what the log has become.
                if !reading::catch_up(shared, &link, document).await || is_forked {
                    sleep(PAUSE).await;
                }
                is_forked = true;
            }
            Ok(Some(Answer::Late)) => return Err(LATE),
            Ok(Some(Answer::Old)) => {
                if batch.published.age() < shared.kept {
                    link.loss.declare("its clock was set, or this machine has stood still");
                }
                return Err(LATE);
            }
            Ok(None) => link.loss.declare("its answer to a script was none"),
            Err(error) => {
                if error.code() == Some("NOSCRIPT") {
                    let _ = link.load_scripts().await;
                } else {
                    complain(document, &error);
                    // Where a slot moves, this waits until it has: what belongs together may be in two places until then.
                    sleep(PAUSE).await;
                }
            }
        }
        if Instant::now() >= deadline {
            return Err(AWAY);
        }
    }
    Err(AWAY)
}

fn complain(document: &Document, error: &RedisError) {
    let level = if is_elsewhere(error) { log::Level::Debug } else { log::Level::Warn };
    log::log!(level, "document {:?}: what was published waits: {error}", document.id);
}

/// The call that appends what is in flight, and whether a route handler's is among it; `None` where it was answered
/// meanwhile. Each attempt has a nonce of its own, so that what it writes is taken for nobody else's.
pub(super) fn append(shared: &Shared, link: &Link, document: &Document, batch: Batch) -> Option<(Cmd, bool)> {
    document.with_batch(batch, |publications, epoch, seen| {
        let asks = publications.iter().any(|publication| matches!(publication.content, Content::Message(_)));
        (call(shared, link, document, batch, publications, epoch, seen), asks)
    })
}

/// Whoever wants to know how many connections got something of a batch waits for so many processes. Redis counts whoever
/// listens, also who is none of them.
fn expect(shared: &Shared, link: &Link, document: &Document, reply: &Reply, heard: usize) {
    let all_are_known = link.since.elapsed() > KNOWN_AFTER;
    let heard = if all_are_known { heard.min(shared.known_processes()) } else { heard };
    for offset in reply.first..reply.first + reply.appended() {
        let told = lock(&shared.tallies).expect(&(document.keys.channel.clone(), offset), heard);
        told.tell();
    }
}

fn call(
    shared: &Shared,
    link: &Link,
    document: &Document,
    batch: Batch,
    publications: &[Publication],
    epoch: Epoch,
    seen: Mark,
) -> Cmd {
    let mut client_sessions: Vec<ClientSessionId> = Vec::new();
    let mut place = |publication: &Publication| {
        let Some(author) = publication.author else { return 0 };
        let found = client_sessions.iter().position(|each| *each == author.client_session);
        found.unwrap_or_else(|| {
            client_sessions.push(author.client_session);
            client_sessions.len() - 1
        }) + 1
    };
    let places: Vec<_> = publications.iter().map(&mut place).collect();
    let keys = &document.keys;
    let mut call = link.append(4 + client_sessions.len());
    call.arg(&keys.meta).arg(&keys.stream).arg(&keys.attempt).arg(&keys.kept);
    for client_session in client_sessions {
        call.arg(keys.client_session(client_session));
    }
    let leap = LEAP + random() % u64::from(u32::MAX);
    call.arg(&keys.channel)
        .arg(nonce_text(shared.process))
        .arg(batch.number)
        .arg(&link.server.run)
        .arg(epoch.to_string())
        .arg(seen.offset)
        .arg(nonce_text(seen.nonce))
        .arg(nonce_text(random()))
        .arg(leap)
        .arg(shared.history.messages)
        .arg(shared.history.bytes)
        .arg(milliseconds(shared.kept))
        .arg(milliseconds(shared.meta_kept))
        .arg(link.clock.time_of(batch.published))
        .arg(publications.len());
    let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut behind = None;
    for (publication, place) in publications.iter().zip(places) {
        call.arg(place).arg(text(publication.number)).arg(place_of(publication, &mut behind));
        // What has no place in such a log was not let into it.
        call.arg(entry::encode(publication).unwrap_or_default());
    }
    call
}

/// Where a publication must stand, as the script is told. `behind` is the version behind the steps before it.
fn place_of(publication: &Publication, behind: &mut Option<u64>) -> String {
    match &publication.content {
        Content::Steps(steps) => {
            let follows = if behind.replace(steps.after()) == Some(steps.version) { "c" } else { "" };
            format!("v{}+{}{follows}", steps.version, steps.count)
        }
        Content::Update { .. } => "v+1".to_owned(),
        _ => publication.after.map(|after| format!("o{after}")).unwrap_or_default(),
    }
}

fn parse(answer: &Value) -> Option<Answer> {
    let Value::Array(parts) = answer else { return None };
    match (text(parts.first()?)?, parts.get(1)) {
        ("done", Some(reply)) => Some(Answer::Done(text(reply)?.parse().ok()?, heard(parts.get(2)))),
        ("forked", _) => Some(Answer::Forked),
        ("late", _) => Some(Answer::Late),
        ("old", _) => Some(Answer::Old),
        _ => None,
    }
}

fn heard(value: Option<&Value>) -> Option<usize> {
    match value {
        Some(Value::Int(count)) => usize::try_from(*count).ok(),
        _ => None,
    }
}
