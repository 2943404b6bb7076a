//! The rooms of handlers, over all processes: what is published goes to the members here at once, and over a channel of the room
//! to the processes that have members. Nobody remembers it, so who is cut off meanwhile misses it.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use redis::RedisResult;
use tokio::task::JoinSet;

use super::{
    link::Link,
    moving,
    room_channels::{AT_ONCE, Reached, Room, Told, Waits},
    routes::Node,
    shared::Shared,
    slots::slot_of,
};
use crate::sync::lock;

/// Bytes that may wait for Redis: what is more is told to nobody elsewhere.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// The channel of a room, in a slot of its own in a cluster.
pub(super) fn channel_of(shared: &Shared, path: &str, room: &str) -> String {
    let room = room.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
    // A path has no spaces.
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
    link.hears_rooms.store(true, Ordering::SeqCst);
    for channel in &channels {
        shared.rooms.missed(channel);
    }
}

/// Tells the other processes what is published here, in that order, and `reached` to how many of them it went.
pub(super) fn publish(
    shared: &Arc<Shared>,
    path: &str,
    room: &str,
    message: &[u8],
    reached: Option<Reached>,
) {
    let mut told = Vec::with_capacity(8 + message.len());
    told.extend_from_slice(&shared.process.to_be_bytes());
    told.extend_from_slice(message);
    let bytes = told.len();
    let told = Told { channel: channel_of(shared, path, room), message: told, waits: Waits::new(reached) };
    {
        let mut outgoing = lock(&shared.rooms.outgoing);
        if outgoing.is_closed || outgoing.bytes + bytes > MAX_WAITING_BYTES {
            // Once, and not for each of them.
            if !outgoing.is_closed && !std::mem::replace(&mut outgoing.is_over, true) {
                log::warn!(
                    "rooms are told more than Redis takes: members in other processes miss some, first of {path}"
                );
            }
            drop(outgoing);
            // Whoever waits for it may publish at once.
            return drop(told);
        }
        outgoing.bytes += bytes;
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

/// What goes to one server, and who is told how many processes got it.
struct Sending {
    link: Arc<Link>,
    calls: redis::Pipeline,
    waiting: Vec<Waits>,
}

/// Sends to each server what is for its channels. While it is away nobody elsewhere is told.
async fn send(shared: &Shared, some: Vec<Told>) {
    let mut sendings: Vec<Sending> = Vec::new();
    for Told { channel, message, waits } in some {
        let Some(link) = shared.link_now(slot_of(&channel)) else { continue };
        let mut call = link.publish(&channel);
        call.arg(message);
        let index =
            sendings.iter().position(|sending| Arc::ptr_eq(&sending.link, &link)).unwrap_or_else(|| {
                sendings.push(Sending { link, calls: redis::pipe(), waiting: Vec::new() });
                sendings.len() - 1
            });
        sendings[index].calls.add_command(call);
        sendings[index].waiting.push(waits);
    }
    let mut sending = JoinSet::new();
    for Sending { link, calls, waiting } in sendings {
        sending.spawn(async move {
            // Before, nobody knows whether this process is among those that are counted.
            let is_heard_here = link.hears_rooms.load(Ordering::SeqCst);
            let sent: RedisResult<Vec<u32>> = calls.query_async(&mut link.commands.clone()).await;
            let counts = sent.unwrap_or_else(|error| {
                link.judge(&error);
                log::debug!("members of rooms in other processes miss something: {error}");
                Vec::new()
            });
            for (waits, count) in waiting.into_iter().zip(counts).filter(|_| is_heard_here) {
                waits.tell(count);
            }
        });
    }
    while sending.join_next().await.is_some() {}
}

/// A room hears from now on what is published to it elsewhere; `done` is told once it does, or that Redis is away.
pub(super) fn listen(shared: &Arc<Shared>, path: &str, room: &str, done: impl FnOnce(bool) + Send + 'static) {
    let channel = channel_of(shared, path, room);
    lock(&shared.rooms.by_channel).insert(channel.clone(), Arc::new((path.to_owned(), room.to_owned())));
    let shared = Arc::clone(shared);
    shared.handle.clone().spawn(async move {
        // Where it is away, it is subscribed to when it is back.
        let Some(link) = shared.link_now(slot_of(&channel)) else { return done(false) };
        let is_open = |channel: &str| shared.rooms.is_open(channel);
        let is_heard = link.subscribe(std::slice::from_ref(&channel), is_open).await.is_ok();
        if !is_heard {
            moving::follow_room(&shared, &channel);
        }
        done(is_heard);
    });
}

/// Something was published to a room that has members here.
pub(super) fn hear(shared: &Shared, room: &Room, message: Vec<u8>) {
    let message = Bytes::from(message);
    let Some((process, _)) = message.split_first_chunk() else { return };
    let process = u64::from_be_bytes(*process);
    if let Some(hear) = shared.rooms.hear.get().filter(|_| process != shared.process) {
        hear(&room.0, &room.1, Some(process), message.slice(8..));
    }
}
