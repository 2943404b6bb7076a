//! The servers of a cluster: who they are, and what each has.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, mpsc::SyncSender},
};

use redis::{AsyncConnectionConfig, ProtocolVersion, RedisResult, Value};
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Duration, sleep, timeout},
};

use super::{
    config::ClusterConfig,
    dial::{Manner, dial},
    error::StartError,
    moving,
    once::Once,
    place::{Endpoint, Found, Place},
    routes::Node,
    shared::Shared,
    slots::{Layout, slot_of},
    start_check,
    state::State,
    supervisor::hold,
};

/// Shortest time between two looks at who has what.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is looked while something is away that another node may take over.
const WHILE_AWAY: Duration = Duration::from_millis(500);

/// Tasks that keep connections to servers.
type Held = HashMap<Endpoint, AbortHandle>;

/// Keeps connections to all servers that have documents, and follows these where they go. `told` hears what became of the
/// first attempt; where that failed there is no other.
pub(super) async fn supervise(shared: Weak<Shared>, told: SyncSender<Result<(), StartError>>) {
    let mut held = Held::new();
    if let Some(shared) = shared.upgrade() {
        let begun = begin(&shared, &mut held).await;
        let is_begun = begun.is_ok();
        let _ = told.send(begun);
        if !is_begun {
            return;
        }
    }
    let mut doubt = Once::default();
    while let Some(strong) = shared.upgrade() {
        let is_ready = strong.state() == State::Ready;
        let look = strong.config.look_interval;
        let look = if is_ready { look } else { look.min(WHILE_AWAY) };
        let strayed = Arc::clone(&strong.strayed);
        drop(strong);
        let _ = timeout(look, strayed.notified()).await;
        let Some(strong) = shared.upgrade() else { return };
        match look_at(&strong).await {
            Ok(layout) => {
                divide(&strong, &mut held, layout);
                doubt.is_over();
            }
            Err(error) => {
                let reason = error.to_string();
                if doubt.is_new(&reason) {
                    log::warn!("nobody says which node has what: {reason}");
                }
            }
        }
        drop(strong);
        sleep(PAUSE).await;
    }
}

/// Connects to everybody for the first time.
async fn begin(shared: &Arc<Shared>, held: &mut Held) -> Result<(), StartError> {
    let layout = look_at(shared).await?;
    if let Some(slot) = layout.missing() {
        let reason = format!("no node has slot {slot}");
        return Err(StartError::Unreachable { server: shared.config.server.name(), reason });
    }
    let layout = Arc::new(layout);
    shared.divide(Arc::clone(&layout));
    let mut firsts = Vec::new();
    for owner in layout.owners() {
        let (tell, first) = oneshot::channel();
        let holding = shared.handle.spawn(hold(Arc::downgrade(shared), Node::Of(owner.clone()), Some(tell)));
        held.insert(owner.clone(), holding.abort_handle());
        firsts.push((owner, first));
    }
    for (owner, first) in firsts {
        if let Ok(Err(error)) = first.await {
            // The words of a server do not say which of them it is.
            log::error!("Redis node {owner}: {error}");
            return Err(error);
        }
    }
    Ok(())
}

/// Goes where things are now.
fn divide(shared: &Arc<Shared>, held: &mut Held, mut layout: Layout) {
    let before = shared.layout();
    if let Some(before) = &before {
        layout.expects_as(before);
    }
    if before.as_deref() == Some(&layout) {
        return;
    }
    let layout = Arc::new(layout);
    shared.divide(Arc::clone(&layout));
    held.retain(|endpoint, holding| {
        let remains = layout.owners().contains(&endpoint);
        if !remains {
            log::info!("Redis node {endpoint} has nothing any more");
            holding.abort();
        }
        remains
    });
    let mut new = Vec::new();
    for owner in layout.owners() {
        if !held.contains_key(owner) {
            let holding = shared.handle.spawn(hold(Arc::downgrade(shared), Node::Of(owner.clone()), None));
            held.insert(owner.clone(), holding.abort_handle());
            new.push(owner);
        }
    }
    // Who is new begins with all that it has.
    let has_moved = |slot: u16| {
        let owner = layout.owner(slot);
        before.as_ref().is_some_and(|before| before.owner(slot) != owner)
            && owner.is_some_and(|owner| !new.contains(&owner))
    };
    for document in shared.all().iter().filter(|document| has_moved(document.keys.slot)) {
        moving::follow(shared, document);
    }
    for channel in shared.of_all_processes().iter().filter(|channel| has_moved(slot_of(channel))) {
        moving::follow_all(shared, channel);
    }
    for channel in shared.rooms.channels().iter().filter(|channel| has_moved(slot_of(channel))) {
        moving::follow_room(shared, channel);
    }
}

/// Who has what, as somebody says who can be reached: of those that had something, or that the configuration names.
async fn look_at(shared: &Shared) -> Result<Layout, StartError> {
    let mut asked = Vec::new();
    let known = shared.layout();
    let mut candidates: Vec<Endpoint> = known.iter().flat_map(|layout| layout.owners()).cloned().collect();
    // Those that are there first.
    let is_there = |endpoint: &Endpoint| {
        shared.links_now().iter().any(|link| link.place == Place::Tcp(endpoint.clone()))
    };
    candidates.sort_by_key(|endpoint| !is_there(endpoint));
    if let Found::InCluster(seeds) = &shared.config.server.found {
        candidates
            .extend(seeds.iter().filter(|seed| !candidates.contains(seed)).cloned().collect::<Vec<_>>());
    }
    let mut of_a_part = None;
    for endpoint in candidates {
        match ask(&shared.config, &endpoint).await {
            Ok((true, Some(layout))) => return Ok(layout),
            // One that is cut off from most others may not know where things have gone.
            Ok((false, Some(layout))) => of_a_part = of_a_part.or(Some(layout)),
            Ok((_, None)) => asked.push(format!("{endpoint}: it does not say who has what")),
            Err(error) => match start_check::explain(shared, &error) {
                StartError::Unreachable { reason, .. } => asked.push(format!("{endpoint}: {reason}")),
                other => return Err(other),
            },
        }
    }
    let reason = asked.join("; ");
    of_a_part.ok_or(StartError::Unreachable { server: shared.config.server.name(), reason })
}

/// Whether the cluster does as one of its servers sees it, and who has what. Asks over a connection of its own: that must not
/// wait behind what waits for a server that is away.
async fn ask(config: &ClusterConfig, endpoint: &Endpoint) -> RedisResult<(bool, Option<Layout>)> {
    let manner = Manner {
        login: &config.server.login,
        tls: config.server.tls.as_ref(),
        protocol: ProtocolVersion::RESP3,
        within: config.connect_timeout,
    };
    let connection = AsyncConnectionConfig::new().set_response_timeout(Some(config.command_timeout));
    let dialled = dial(&Place::Tcp(endpoint.clone()), manner, connection).await?;
    let connection = &mut dialled.connection.clone();
    let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(connection).await?;
    let slots: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
    Ok((info.contains("cluster_state:ok"), Layout::parse(&slots, endpoint)))
}
