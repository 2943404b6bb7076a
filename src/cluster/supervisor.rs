//! Connects to Redis, finds out that a connection is none, and connects again.

use std::{
    sync::{Arc, OnceLock, Weak, atomic::Ordering, mpsc::SyncSender},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    calls,
    error::StartError,
    hearing,
    link::{Link, Sharing},
    once::Once,
    place::Place,
    primary, reading, rooms,
    routes::Node,
    server_info::ServerInfo,
    shared::{Shared, random},
    slots::slot_of,
    start_check, telling,
};

/// Shortest and longest pause between two attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest where another server takes over from one that is gone: nobody else says when it has.
const LONGEST_PAUSE_OF_MANY: Duration = Duration::from_secs(1);

/// Probes after which the server is asked whether it is still the same.
const PROBES_PER_LOOK: u64 = 5;

/// How often it is looked whether a probe has come back.
const PROBE_ROUND: Duration = Duration::from_millis(20);

/// Keeps connections to the one server. `told` hears what became of the first attempt; where that failed there is no other.
pub(super) async fn supervise(shared: Weak<Shared>, told: SyncSender<Result<(), StartError>>) {
    let (tell, first) = oneshot::channel();
    tokio::spawn(async move {
        if let Ok(first) = first.await {
            let _ = told.send(first);
        }
    });
    hold(shared, Node::Only, Some(tell)).await;
}

/// What became of the first attempt to connect.
pub(super) type First = oneshot::Sender<Result<(), StartError>>;

/// Keeps connections to a server. `first` hears what became of the first attempt; where that failed there is no other.
pub(super) async fn hold(shared: Weak<Shared>, node: Node, mut first: Option<First>) {
    let mut pause = SHORTEST_PAUSE;
    let longest_pause = match shared.upgrade() {
        Some(shared) if shared.config.server.is_one_of_many() => LONGEST_PAUSE_OF_MANY,
        _ => LONGEST_PAUSE,
    };
    let mut was_there = false;
    // What was said last about why it is away: each attempt would say the same.
    let mut said = Once::default();
    while let Some(shared) = shared.upgrade() {
        match connect(&shared, &node, first.is_some()).await {
            Ok(link) => {
                let since = Instant::now();
                match first.take() {
                    Some(first) => drop(first.send(Ok(()))),
                    None if was_there => log::warn!("{node} is back"),
                    None => log::info!("{node} is there"),
                }
                was_there = true;
                said.is_over();
                let probing = shared.handle.spawn(probe(Arc::clone(&shared), Arc::clone(&link)));
                let watching = shared.handle.spawn(primary::watch(Arc::clone(&shared), Arc::clone(&link)));
                // Whoever ends this ends those.
                let _both = (OnDrop(probing.abort_handle()), OnDrop(watching.abort_handle()));
                let reason = link.loss.wait().await;
                shared.away(&node, &reason);
                shared.strayed.notify_one();
                shared.counts.losses.add(1);
                log::error!("{node} is away: {reason}");
                // One that lasts for no time is no better than none.
                if since.elapsed() > LONGEST_PAUSE {
                    pause = SHORTEST_PAUSE;
                }
            }
            Err(error) => {
                if let Some(first) = first.take() {
                    let _ = first.send(Err(error));
                    return;
                }
                let reason = error.to_string();
                if said.is_new(&reason) {
                    log::warn!("{node} is still away: {reason}");
                }
                shared.away(&node, &reason);
                shared.strayed.notify_one();
            }
        }
        drop(shared);
        // Not all processes at once.
        let jitter = random() % 1000;
        sleep(pause.mul_f64(0.5 + f64::from(u32::try_from(jitter).unwrap_or(0)) / 2000.0)).await;
        pause = (pause * 2).min(longest_pause);
    }
}

/// Ends a task when it is dropped.
struct OnDrop(AbortHandle);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects, subscribes to everything of a server, and catches up with it; then it is ready.
async fn connect(shared: &Arc<Shared>, node: &Node, is_first: bool) -> Result<Arc<Link>, StartError> {
    let failed = |error: redis::RedisError| start_check::explain(shared, &error);
    let of_probes = Arc::new(OnceLock::new());
    let (place, sharing) = match node {
        Node::Only => (primary::find(shared).await?, None),
        Node::Of(endpoint) => {
            (Place::Tcp(endpoint.clone()), Some(Sharing { strayed: Arc::clone(&shared.strayed) }))
        }
    };
    let number = shared.number_on(node, |number| shared.probe_channel(number));
    let probe_channel = shared.probe_channel(number.unwrap_or(0));
    let heard = hearing::heard(shared, &of_probes);
    let link = Link::open(&shared.config, place, sharing, probe_channel, heard).await.map_err(failed)?;
    let link = Arc::new(link);
    let _ = of_probes.set(Arc::downgrade(&link));
    primary::check(&shared.config, &link)?;
    let mut channels = shared.of_all_processes();
    channels.retain(|channel| shared.is_on(node, slot_of(channel)));
    channels.push(link.probe_channel.clone());
    link.subscribe(&channels, |_| true).await.map_err(failed)?;
    if is_first {
        start_check::rights(shared, &link, node).await?;
    }
    if shared.is_on(node, shared.calls_slot) {
        calls::catch_up(shared, &link).await.map_err(failed)?;
    }
    reading::catch_up_all(shared, &link, node).await.map_err(failed)?;
    if link.loss.is_lost() {
        let reason = link.loss.wait().await;
        return Err(StartError::Unreachable { server: shared.config.server.name(), reason });
    }
    shared.ready(node, Arc::clone(&link));
    rooms::subscribe_all(shared, &link, node).await;
    telling::ask_all(shared, node);
    Ok(link)
}

/// Publishes to itself: a connection over which nothing comes is found by nothing else.
async fn probe(shared: Arc<Shared>, link: Arc<Link>) {
    let interval = shared.config.probe_interval;
    for number in 1.. {
        sleep(interval).await;
        let begun = Instant::now();
        if link.call(link.publish(&link.probe_channel).arg(number)).await.is_err() {
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
