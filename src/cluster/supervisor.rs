//! Connects to Redis, finds out that a connection is none, and connects again.

use std::{
    sync::{Arc, OnceLock, Weak, atomic::Ordering, mpsc::SyncSender},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{
    calls, counting, delivered,
    error::StartError,
    link::{Heard, Link},
    primary, reading,
    server_info::ServerInfo,
    shared::{Shared, random},
    soft::{self, Told},
    start_check, telling,
    wire::Push,
};
use crate::sync::lock;

/// Shortest and longest pause between two attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest where another server takes over from one that is gone: nobody else says when it has.
const LONGEST_PAUSE_OF_MANY: Duration = Duration::from_secs(1);

/// Probes after which the server is asked whether it is still the same.
const PROBES_PER_LOOK: u64 = 5;

/// How often it is looked whether a probe has come back.
const PROBE_ROUND: Duration = Duration::from_millis(20);

/// Keeps connections to Redis. `told` hears what became of the first attempt; where that failed there is no other.
pub(super) async fn supervise(shared: Weak<Shared>, told: SyncSender<Result<(), StartError>>) {
    let mut pause = SHORTEST_PAUSE;
    let mut is_first = true;
    let longest_pause = match shared.upgrade() {
        Some(shared) if shared.config.server.is_one_of_many() => LONGEST_PAUSE_OF_MANY,
        _ => LONGEST_PAUSE,
    };
    while let Some(shared) = shared.upgrade() {
        match connect(&shared, is_first).await {
            Ok(link) => {
                let since = Instant::now();
                if std::mem::replace(&mut is_first, false) {
                    let _ = told.send(Ok(()));
                } else {
                    log::warn!("Redis is back");
                }
                let probing = shared.handle.spawn(probe(Arc::clone(&shared), Arc::clone(&link)));
                let watching = shared.handle.spawn(primary::watch(shared.config.clone(), Arc::clone(&link)));
                let reason = link.loss.wait().await;
                probing.abort();
                watching.abort();
                shared.away(&reason);
                shared.counts.losses.add(1);
                log::error!("Redis is away: {reason}");
                // One that lasts for no time is no better than none.
                if since.elapsed() > LONGEST_PAUSE {
                    pause = SHORTEST_PAUSE;
                }
            }
            Err(error) if is_first => {
                let _ = told.send(Err(error));
                return;
            }
            Err(error) => {
                log::warn!("Redis is still away: {error}");
                shared.away(&error.to_string());
            }
        }
        // Not all processes at once.
        let jitter = random() % 1000;
        sleep(pause.mul_f64(0.5 + f64::from(u32::try_from(jitter).unwrap_or(0)) / 2000.0)).await;
        pause = (pause * 2).min(longest_pause);
    }
}

/// Connects, subscribes to everything, and catches up with everything; then it is ready.
async fn connect(shared: &Arc<Shared>, is_first: bool) -> Result<Arc<Link>, StartError> {
    let failed = |error: redis::RedisError| start_check::explain(shared, &error);
    let of_probes = Arc::new(OnceLock::new());
    let place = primary::find(&shared.config).await?;
    let link = Link::open(&shared.config, place, heard(shared, &of_probes)).await.map_err(failed)?;
    let link = Arc::new(link);
    let _ = of_probes.set(Arc::downgrade(&link));
    primary::check(&shared.config, &link)?;
    let channels = [
        shared.probe_channel(),
        shared.alive_channel(),
        shared.census_channel(),
        shared.tally_channel(shared.process),
        shared.calls_key(),
    ];
    link.subscribe(&channels, |_| true).await.map_err(failed)?;
    if is_first {
        start_check::rights(shared, &link).await?;
    }
    calls::catch_up(shared, &link).await.map_err(failed)?;
    reading::catch_up_all(shared, &link).await.map_err(failed)?;
    if link.loss.is_lost() {
        let reason = link.loss.wait().await;
        return Err(StartError::Unreachable { server: shared.config.server.name(), reason });
    }
    shared.ready(Arc::clone(&link));
    telling::ask_all(shared);
    Ok(link)
}

/// What is pushed goes to its document at once, so that it stays in order.
fn heard(shared: &Arc<Shared>, link: &Arc<OnceLock<Weak<Link>>>) -> Heard {
    let (shared, link) = (Arc::downgrade(shared), Arc::clone(link));
    Arc::new(move |channel, message| {
        let (Some(shared), Ok(channel)) = (shared.upgrade(), std::str::from_utf8(channel)) else { return };
        let is_lost = |link: &Weak<Link>| link.upgrade().is_none_or(|link| link.loss.is_lost());
        if link.get().is_some_and(is_lost) {
            // It may come from a server that is none any more, while the documents follow the next one.
            return;
        }
        if let Some(document) = shared.of_channel(channel) {
            if message.first() == Some(&soft::MARK) {
                let Some(told) = Told::parse(message) else {
                    log::debug!("document {:?}: what is shown elsewhere cannot be read", document.id);
                    return;
                };
                let is_own = told.process == shared.process;
                if !is_own {
                    lock(&shared.others).heard(told.process);
                }
                return document.told(told, is_own);
            }
            let Some(push) = Push::parse(message) else {
                log::error!("document {:?}: what was pushed cannot be read: another version?", document.id);
                return;
            };
            let is_own = push.process == shared.process;
            if document.heard(push, is_own) {
                reading::catch_up_later(&shared, &document, Duration::ZERO);
            }
        } else if channel == shared.calls_key() {
            if let Some(link) = link.get().and_then(Weak::upgrade) {
                let handle = shared.handle.clone();
                handle.spawn(async move {
                    // Where that fails the link is lost, and it is looked again over the next one.
                    let _ = calls::catch_up(&shared, &link).await;
                });
            }
        } else if channel == shared.alive_channel() {
            let process =
                std::str::from_utf8(&message).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
            if let Some(process) = process.filter(|process| *process != shared.process) {
                lock(&shared.others).heard(process);
            }
        } else if channel == shared.census_channel() {
            counting::hear(&shared, &message);
        } else if channel == shared.tally_channel(shared.process) {
            delivered::hear(&shared, &message);
        } else if channel == shared.probe_channel()
            && let Some(link) = link.get().and_then(Weak::upgrade)
        {
            link.heard_probe(&message);
        } else if let Some(push) = Push::parse(message) {
            // The room of a document is closed meanwhile.
            delivered::nobody(&shared, channel, &push);
        }
    })
}

/// Publishes to itself: a connection over which nothing comes is found by nothing else.
async fn probe(shared: Arc<Shared>, link: Arc<Link>) {
    let (interval, channel) = (shared.config.probe_interval, shared.probe_channel());
    for number in 1.. {
        sleep(interval).await;
        let begun = Instant::now();
        if link.call(redis::cmd("PUBLISH").arg(&channel).arg(number)).await.is_err() {
            // A server that has no memory left, say, is there all the same.
            continue;
        }
        shared.counts.round_trip.observe_time(begun.elapsed());
        let comes_back = async {
            while link.probed.load(Ordering::SeqCst) < number {
                sleep(PROBE_ROUND).await;
            }
        };
        if timeout(interval * 2, comes_back).await.is_err() {
            return link.loss.declare("what is published does not come back");
        }
        if number % PROBES_PER_LOOK == 0 && !is_same(&link).await {
            return link.loss.declare("it is another server than before");
        }
    }
}

/// Whether the server is the one to which was connected: it may have been made a replica, and a primary again, in between.
async fn is_same(link: &Link) -> bool {
    let mut commands = link.commands.clone();
    match ServerInfo::ask(&mut commands).await {
        Ok(server) => server.run == link.server.run,
        Err(error) => {
            link.judge(&error);
            true
        }
    }
}
