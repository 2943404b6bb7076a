//! Where the server is that orders, and whether it still is that one.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::sleep;

use super::{
    config::ClusterConfig,
    error::StartError,
    link::Link,
    once::Once,
    place::{Found, Place},
    sentinel::{Believed, Sentinels},
    shared::Shared,
};

/// Where the server is now.
///
/// # Errors
///
/// [`StartError::Unreachable`] where no sentinel says so.
pub(super) async fn find(shared: &Shared) -> Result<Place, StartError> {
    let config = &shared.config;
    match (&config.server.found, sentinels(config)) {
        (Found::At(place), _) => Ok(place.clone()),
        (_, Some(sentinels)) => {
            let believed = ask(shared, &sentinels).await;
            let place = believed.map(|mut believed| Place::Tcp(believed.primaries.swap_remove(0)));
            place.map_err(|reason| StartError::Unreachable { server: config.server.name(), reason })
        }
        (_, None) => unreachable!("the nodes of a cluster say so themselves"),
    }
}

/// Asks sentinels, and notes which fail-over they know of.
async fn ask(shared: &Shared, sentinels: &Sentinels) -> Result<Believed, String> {
    let believed = sentinels.primary(shared.fail_over.load(Ordering::Relaxed)).await?;
    shared.fail_over.store(believed.epoch, Ordering::Relaxed);
    Ok(believed)
}

fn sentinels(config: &ClusterConfig) -> Option<Sentinels> {
    let Found::BySentinel { sentinels, name, login } = &config.server.found else { return None };
    Some(Sentinels {
        endpoints: sentinels.clone(),
        name: name.clone(),
        login: login.clone(),
        tls: config.server.tls.clone(),
        connect_timeout: config.connect_timeout,
        command_timeout: config.command_timeout,
    })
}

/// Whether a hub can work over a server: for a short while sentinels may name one that is no primary any more, or not yet.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check(config: &ClusterConfig, link: &Link) -> Result<(), StartError> {
    let is_named = matches!(config.server.found, Found::BySentinel { .. });
    link.server.check(config.server.is_in_cluster()).map_err(|error| match error {
        StartError::Replica if is_named => StartError::Unreachable {
            server: config.server.name(),
            reason: format!("the sentinels name {}, which is a replica", link.place),
        },
        other => other,
    })
}

/// Declares a link lost as soon as sentinels name another server: the one of the link may be there all the same, and take
/// what will be thrown away. It is not announced to be relied on, so they are asked.
pub(super) async fn watch(shared: Arc<Shared>, link: Arc<Link>) {
    let Some(sentinels) = sentinels(&shared.config) else { return };
    let mut doubt = Once::default();
    loop {
        sleep(shared.config.look_interval).await;
        match ask(&shared, &sentinels).await {
            Ok(Believed { primaries, .. }) => {
                let is_this = |endpoint| Place::Tcp(endpoint) == link.place;
                if let Some(other) = primaries.first().cloned()
                    && !primaries.into_iter().any(is_this)
                {
                    return link.loss.declare(format!("the sentinels name another primary, {other}"));
                }
                doubt.is_over();
            }
            Err(reason) if doubt.is_new(&reason) => {
                log::warn!("nobody says whether {} is still the primary: {reason}", link.place);
            }
            Err(_) => {}
        }
    }
}
