//! What one thread of a hub counts.

use std::time::{Duration, Instant};

use super::{
    counter::Counter,
    histogram::{COUNTS, Counts, Times},
    labels::{ByCode, DocumentKind, Ended, EndpointKind},
};

/// Messages and their bytes.
#[derive(Debug, Default)]
pub struct Traffic {
    /// How many.
    pub messages: Counter,
    /// How many bytes they have.
    pub bytes: Counter,
}

/// What became of clients that came back, by the code that says why one has to reload; the first is for those who need not.
pub const RECOVERIES: [&str; 7] =
    ["RECOVERED", "RECOVERY_OFF", "OTHER_EPOCH", "BAD_TOKEN", "TOKEN_EXPIRED", "BAD_OFFSET", "HISTORY_GONE"];

/// What waits for connections, as of the clock's last round.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Bytes for all of them.
    pub bytes: u64,
    /// Connections for which something waits.
    pub connections: u64,
}

/// What one thread of a hub counts. Only that thread writes, and on lines of memory that nobody else writes to.
#[derive(Debug)]
#[repr(align(128))]
pub struct ThreadCounters {
    received: [Traffic; 2],
    sent: [Traffic; 2],
    deliveries: [Counter; 2],
    /// Publications that were sent together.
    batches: Counts,
    opened: [Counter; 2],
    ended: [ByCode; 2],
    /// Connections that were closed because their clients read too slowly.
    pub slow: Counter,
    /// Sockets that were not let in.
    pub refused: ByCode,
    recoveries: [Counter; RECOVERIES.len()],
    documents: [Counter; 3],
    members: [Counter; 3],
    waiting: [Counter; 2],
    /// By how much its clock is late.
    pub delay: Times,
    begin: Instant,
    /// Milliseconds from `begin` to when its clock was looked at last.
    ticked: Counter,
}

impl Default for ThreadCounters {
    fn default() -> Self {
        Self {
            received: Default::default(),
            sent: Default::default(),
            deliveries: Default::default(),
            batches: Counts::new(&COUNTS),
            opened: Default::default(),
            ended: Default::default(),
            slow: Counter::new(),
            refused: ByCode::default(),
            recoveries: Default::default(),
            documents: Default::default(),
            members: Default::default(),
            waiting: Default::default(),
            delay: Times::of_times(),
            begin: Instant::now(),
            ticked: Counter::new(),
        }
    }
}

impl ThreadCounters {
    /// Messages that came, pings and pongs included, and all bytes.
    #[inline]
    pub fn received(&self, kind: EndpointKind) -> &Traffic {
        &self.received[kind as usize]
    }

    /// Messages that were sent, or wait for their sockets.
    #[inline]
    pub fn sent(&self, kind: EndpointKind) -> &Traffic {
        &self.sent[kind as usize]
    }

    /// Messages that were sent to one of many.
    pub fn deliveries(&self, kind: EndpointKind) -> u64 {
        self.deliveries[kind as usize].get()
    }

    /// So many publications were sent together, which made `messages` of `bytes`.
    #[inline]
    pub fn delivered(&self, kind: EndpointKind, publications: usize, messages: u64, bytes: u64) {
        self.batches.observe(publications as u64);
        self.deliveries[kind as usize].add(messages);
        let sent = self.sent(kind);
        sent.messages.add(messages);
        sent.bytes.add(bytes);
    }

    /// How many publications were sent together.
    pub fn batches(&self) -> &Counts {
        &self.batches
    }

    /// Connections that were opened.
    pub fn opened(&self, kind: EndpointKind) -> &Counter {
        &self.opened[kind as usize]
    }

    /// A connection that was opened has ended.
    pub fn ended(&self, ended: Ended) {
        self.ended[usize::from(ended.by_hub)].count(ended.code);
        if ended.is_slow {
            self.slow.add(1);
        }
    }

    /// How connections ended, by the hub or by their clients.
    pub fn endings(&self, by_hub: bool) -> &ByCode {
        &self.ended[usize::from(by_hub)]
    }

    /// What became of clients that came back: one of the [`RECOVERIES`].
    pub fn recovery(&self, outcome: &str) -> Option<&Counter> {
        Some(&self.recoveries[RECOVERIES.iter().position(|known| *known == outcome)?])
    }

    /// Documents with members.
    pub fn documents(&self, kind: DocumentKind) -> &Counter {
        &self.documents[kind as usize]
    }

    /// Members of documents.
    pub fn members(&self, kind: DocumentKind) -> &Counter {
        &self.members[kind as usize]
    }

    /// What waits for its connections, as of the clock's last round.
    pub fn waiting(&self) -> Waiting {
        let [bytes, connections] = &self.waiting;
        Waiting { bytes: bytes.get(), connections: connections.get() }
    }

    /// The clock has gone round.
    pub fn set_waiting(&self, waiting: Waiting) {
        let [bytes, connections] = &self.waiting;
        bytes.set(waiting.bytes);
        connections.set(waiting.connections);
    }

    /// The clock was looked at.
    pub fn tick(&self) {
        self.ticked.set(milliseconds(self.begin.elapsed()));
    }

    /// How long ago the clock was looked at.
    pub fn silent(&self) -> Duration {
        self.begin.elapsed().saturating_sub(Duration::from_millis(self.ticked.get()))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
