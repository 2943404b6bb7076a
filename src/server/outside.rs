//! Has the rooms of handlers be those of all processes.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    broadcast,
    hub::{EVERYBODY, Hub},
};
use crate::{
    cluster::{Cluster, RoomChannels},
    handlers::{EventQueue, Outside},
};

#[derive(Debug)]
struct OverRedis(RoomChannels);

impl Outside for OverRedis {
    fn enter(&self, path: &str, room: &str) {
        self.0.enter(path, room);
    }

    fn leave(&self, path: &str, room: &str) {
        self.0.leave(path, room);
    }

    fn publish(&self, path: &str, room: &str, frame: Bytes) {
        self.0.publish(path, room, &frame);
    }
}

impl Hub {
    /// What handlers of several processes speak with each other over; `None` where there are no others.
    pub fn room_channels(&self) -> Option<RoomChannels> {
        self.cluster.as_ref().map(Cluster::rooms)
    }

    /// Has the rooms of handlers, and broadcasts to an endpoint, be those of all processes that share a Redis; nothing without
    /// one. Before a handler is served.
    pub fn share_rooms(&self, queue: &Arc<EventQueue>) {
        let Some(cluster) = &self.cluster else { return };
        let (queued, shared) = (Arc::downgrade(queue), Arc::downgrade(&self.shared));
        cluster.hear_rooms(Box::new(move |path, room, process, frame| {
            if room != EVERYBODY {
                if let Some(queue) = queued.upgrade() {
                    queue.hear(path, room, process, frame);
                }
            } else if let Some(shared) = shared.upgrade()
                && process.is_some()
                && let Err(error) = broadcast::send(&shared, path, || frame)
            {
                log::warn!("{path} misses what another process has broadcast: {error}");
            }
        }));
        queue.share(Arc::new(OverRedis(cluster.rooms())));
    }
}
