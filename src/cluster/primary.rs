//! Where the server is that orders, and whether it still is that one.

use std::sync::Arc;

use tokio::time::sleep;

use super::{
    config::ClusterConfig,
    error::StartError,
    link::Link,
    place::{Found, Place},
    sentinel::Sentinels,
};

/// Where the server is now.
///
/// # Errors
///
/// [`StartError::Unreachable`] where no sentinel says so.
pub(super) async fn find(config: &ClusterConfig) -> Result<Place, StartError> {
    match (&config.server.found, sentinels(config)) {
        (Found::At(place), _) => Ok(place.clone()),
        (_, Some(sentinels)) => match sentinels.primary().await {
            Ok(endpoint) => Ok(Place::Tcp(endpoint)),
            Err(reason) => Err(StartError::Unreachable { server: config.server.name(), reason }),
        },
        (_, None) => unreachable!("the nodes of a cluster say so themselves"),
    }
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
pub(super) async fn watch(config: ClusterConfig, link: Arc<Link>) {
    let Some(sentinels) = sentinels(&config) else { return };
    loop {
        sleep(config.look_interval).await;
        match sentinels.primary().await {
            Ok(endpoint) if Place::Tcp(endpoint.clone()) != link.place => {
                return link.loss.declare(format!("the sentinels name another primary, {endpoint}"));
            }
            Ok(_) => {}
            Err(reason) => log::warn!("nobody says whether {} is still the primary: {reason}", link.place),
        }
    }
}
