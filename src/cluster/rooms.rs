//! The rooms of handlers, over all processes: what is published goes to the members here at once, and over a channel of the room
//! to the processes that have members. Nobody remembers it, so who is cut off meanwhile misses it.

use std::sync::Arc;

use bytes::Bytes;
use redis::RedisResult;
use tokio::task::JoinSet;

use super::{
    link::Link,
    moving,
    room_channels::{AT_ONCE, Room, Told},
    routes::Node,
    shared::Shared,
    slots::slot_of,
};
use crate::sync::lock;

/// Bytes that may wait for Redis: what is more is told to nobody elsewhere.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// The channel of a room, in a slot of its own in a cluster.
fn channel_of(shared: &Shared, path: &str, room: &str) -> String {
    let room = room.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
    // A path has no spaces, and no braces.
    format!("{}{{{path} {room}}}:room", shared.config.prefix)
}

/// A room has its first member here.
pub(super) fn enter(shared: &Arc<Shared>, path: &str, room: &str) {
    let channel = channel_of(shared, path, room);
    lock(&shared.rooms.by_channel).insert(channel.clone(), Arc::new((path.to_owned(), room.to_owned())));
    change(shared, channel);
}

/// A room has no members here any more.
pub(super) fn leave(shared: &Arc<Shared>, path: &str, room: &str) {
    let channel = channel_of(shared, path, room);
    lock(&shared.rooms.by_channel).remove(&channel);
    change(shared, channel);
}

/// Has Redis know that a room has become open or closed; of many at a time, as where all clients come at once.
fn change(shared: &Arc<Shared>, channel: String) {
    if !lock(&shared.rooms.changed).push(channel) {
        return;
    }
    let shared = Arc::clone(shared);
    shared.handle.clone().spawn(async move {
        loop {
            let Some(channels) = lock(&shared.rooms.changed).take() else { return };
            // Those of a server that is away are subscribed to when it is back.
            for (link, channels) in shared.by_link(channels) {
                settle(&shared, &link, channels).await;
            }
        }
    });
}

/// Subscribes to the channels of open rooms, and to the others no more.
async fn settle(shared: &Arc<Shared>, link: &Link, channels: Vec<String>) {
    let is_open = |channel: &str| shared.rooms.is_open(channel);
    let (open, closed): (Vec<_>, Vec<_>) = channels.into_iter().partition(|channel| is_open(channel));
    if link.subscribe(&open, is_open).await.is_err() {
        for channel in &open {
            moving::follow_room(shared, channel);
        }
    }
    for channel in &closed {
        link.unsubscribe(channel, is_open).await;
    }
}

/// Subscribes to all that a server has over a new connection, which must be known already: who enters a room meanwhile uses it.
pub(super) async fn subscribe_all(shared: &Arc<Shared>, link: &Link, node: &Node) {
    let mut channels = shared.rooms.channels();
    channels.retain(|channel| shared.is_on(node, slot_of(channel)));
    for some in channels.chunks(AT_ONCE) {
        if link.loss.is_lost() {
            return;
        }
        settle(shared, link, some.to_vec()).await;
    }
}

/// Tells the other processes what is published here, in that order.
pub(super) fn publish(shared: &Arc<Shared>, path: &str, room: &str, frame: &[u8]) {
    let mut message = Vec::with_capacity(8 + frame.len());
    message.extend_from_slice(&shared.process.to_be_bytes());
    message.extend_from_slice(frame);
    let told = Told { channel: channel_of(shared, path, room), message };
    {
        let mut outgoing = lock(&shared.rooms.outgoing);
        if outgoing.bytes + told.message.len() > MAX_WAITING_BYTES {
            log::warn!(
                "a room of {path} is told too much for Redis: its members in other processes miss some"
            );
            return;
        }
        outgoing.bytes += told.message.len();
        if !outgoing.push(told) {
            return;
        }
    }
    let shared = Arc::clone(shared);
    shared.handle.clone().spawn(async move {
        loop {
            let taken = lock(&shared.rooms.outgoing).take();
            let Some(some) = taken else { return };
            let bytes: usize = some.iter().map(|told| told.message.len()).sum();
            send(&shared, some).await;
            lock(&shared.rooms.outgoing).bytes -= bytes;
        }
    });
}

/// Sends to each server what is for its channels. While it is away nobody elsewhere is told.
async fn send(shared: &Shared, some: Vec<Told>) {
    let mut by_link: Vec<(Arc<Link>, redis::Pipeline)> = Vec::new();
    for Told { channel, message } in some {
        let Some(link) = shared.link_now(slot_of(&channel)) else { continue };
        let mut call = link.publish(&channel);
        call.arg(message);
        match by_link.iter_mut().find(|(each, _)| Arc::ptr_eq(each, &link)) {
            Some((_, calls)) => drop(calls.add_command(call).ignore()),
            None => by_link.push((link, redis::pipe().add_command(call).ignore().to_owned())),
        }
    }
    let mut sending = JoinSet::new();
    for (link, calls) in by_link {
        sending.spawn(async move {
            let sent: RedisResult<()> = calls.query_async(&mut link.commands.clone()).await;
            if let Err(error) = sent {
                link.judge(&error);
                log::debug!("members of rooms in other processes miss something: {error}");
            }
        });
    }
    while sending.join_next().await.is_some() {}
}

/// Something was published to a room that has members here.
pub(super) fn hear(shared: &Shared, room: &Room, message: Vec<u8>) {
    let message = Bytes::from(message);
    let Some((process, _)) = message.split_first_chunk() else { return };
    if u64::from_be_bytes(*process) == shared.process {
        return;
    }
    if let Some(hear) = shared.rooms.hear.get() {
        hear(&room.0, &room.1, message.slice(8..));
    }
}
