//! What a hub has counted, all threads together.

use super::hub::Hub;
use crate::{
    admission::security::{self, Kind},
    handlers::EventQueue,
    metrics::{
        Counter, Distribution, Family, ThreadCounters,
        labels::{CODES, DocumentKind, EndpointKind},
        thread::{RECOVERIES, Waiting},
    },
};

/// What is counted where the sockets come from: before the hub has them, and around what handlers do.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Refused upgrades by their HTTP status.
    pub refused: Vec<(u16, u64)>,
    /// Upgrades about which is being decided, or which wait for the start.
    pub waiting: u64,
    /// How long it took to decide about an upgrade; empty where nobody is asked.
    pub admission: Option<Distribution>,
    /// How long calls of handlers held up their thread, by the name of the callback.
    pub calls: Vec<(&'static str, Distribution)>,
    /// Calls of handlers that have thrown or rejected.
    pub failed_calls: u64,
    /// Streams of agents that are running.
    pub streams: u64,
    /// Streams of agents that have ended, by how: `done` or `error`.
    pub ended_streams: [u64; 2],
    /// Whether the hub is ready for more.
    pub is_ready: bool,
}

impl Hub {
    /// What it has counted, with what was counted elsewhere. `queue` is that of its handlers. From any thread; it takes no lock
    /// for longer than a look.
    pub fn metrics(&self, queue: &EventQueue, outside: &Outside) -> Vec<Family> {
        let all: Vec<&ThreadCounters> = self.shared.shards.iter().map(|shard| shard.counters()).collect();
        let threads = Threads(&all);
        let mut families = self.at_a_glance(outside);
        families.extend(self.traffic(&threads, queue));
        families.extend(admission(&threads, outside));
        families.extend(self.documents_metrics(&threads));
        families.extend(handlers_metrics(&threads, queue, outside));
        families.extend(self.store_metrics());
        #[cfg(feature = "redis")]
        families.extend(self.redis_metrics());
        families
    }

    fn at_a_glance(&self, outside: &Outside) -> Vec<Family> {
        vec![
            Family::gauge("hub_build_info", "1, with the version of the package.")
                .with(&[("version", env!("CARGO_PKG_VERSION"))], 1),
            Family::gauge("hub_ready", "1 where the hub is ready for more clients, 0 where it is not.")
                .of(u64::from(outside.is_ready)),
            Family::gauge("hub_threads", "Threads that serve connections.")
                .of(self.shared.shards.len() as u64),
        ]
    }

    fn traffic(&self, threads: &Threads<'_>, queue: &EventQueue) -> Vec<Family> {
        let by_endpoint = |family: Family, count: &dyn Fn(&EndpointKind) -> u64| {
            family.by("endpoint", EndpointKind::ALL, |kind| (kind.name(), count(kind)))
        };
        // What handlers send to single connections is counted by their own thread.
        let from_handlers = |kind: &EndpointKind, count: u64| match kind {
            EndpointKind::Fabric => 0,
            EndpointKind::Handler => count,
        };
        let sent = &queue.counts().sent;
        let Waiting { bytes, connections } = threads.waiting();
        vec![
            by_endpoint(Family::gauge("hub_connections", "Open connections."), &|kind| {
                self.shared.endpoints.count_of(*kind) as u64
            }),
            by_endpoint(
                Family::counter("hub_connections_opened_total", "Connections that were opened."),
                &|kind| threads.sum(|thread| thread.opened(*kind).get()),
            ),
            by_endpoint(
                Family::counter(
                    "hub_received_messages_total",
                    "Messages from clients, pings and pongs included.",
                ),
                &|kind| threads.sum(|thread| thread.received(*kind).messages.get()),
            ),
            by_endpoint(
                Family::counter("hub_received_bytes_total", "Bytes from clients, as they were read."),
                &|kind| threads.sum(|thread| thread.received(*kind).bytes.get()),
            ),
            by_endpoint(
                Family::counter(
                    "hub_sent_messages_total",
                    "Messages to clients: deliveries, what was missed, and what handlers send.",
                ),
                &|kind| {
                    threads.sum(|thread| thread.sent(*kind).messages.get())
                        + from_handlers(kind, sent.messages.get())
                },
            ),
            by_endpoint(
                Family::counter(
                    "hub_sent_bytes_total",
                    "Bytes to clients, with those of answers; what still waits for a socket counts.",
                ),
                &|kind| {
                    threads.sum(|thread| thread.sent(*kind).bytes.get())
                        + from_handlers(kind, sent.bytes.get())
                },
            ),
            by_endpoint(
                Family::counter(
                    "hub_deliveries_total",
                    "Messages to clients that were published to several.",
                ),
                &|kind| threads.sum(|thread| thread.deliveries(*kind)),
            ),
            Family::histogram(
                "hub_batch_messages",
                "Publications that were sent together, with one write a member.",
            )
            .spread(
                &[],
                threads.spread(Distribution::of_counts(), |all, thread| all.and_counts(thread.batches())),
            ),
            Family::gauge("hub_waiting_bytes", "Bytes that wait for the sockets of clients, once a second.")
                .of(bytes),
            Family::gauge("hub_waiting_connections", "Connections for which bytes wait, once a second.")
                .of(connections),
        ]
    }

    fn documents_metrics(&self, threads: &Threads<'_>) -> Vec<Family> {
        let (bytes, most) = self.shared.rooms.history_bytes().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "it is a share")]
        let share = if most == 0 { 0.0 } else { bytes as f64 / most as f64 };
        vec![
            Family::gauge("hub_documents", "Documents that somebody has open.").by(
                "kind",
                DocumentKind::ALL,
                |kind| (kind.name(), threads.sum(|thread| thread.documents(*kind).get())),
            ),
            Family::gauge("hub_members", "Connections that have a document open.").by(
                "kind",
                DocumentKind::ALL,
                |kind| (kind.name(), threads.sum(|thread| thread.members(*kind).get())),
            ),
            Family::gauge(
                "hub_documents_remembered",
                "Documents that are open, or remembered for who comes back.",
            )
            .of(self.shared.rooms.count()),
            Family::counter("hub_recoveries_total", "Clients that came back, by what became of them.").by(
                "outcome",
                RECOVERIES,
                |outcome| (outcome, threads.sum(|thread| thread.recovery(outcome).map_or(0, Counter::get))),
            ),
            Family::gauge("hub_history_bytes", "Bytes of what is remembered for who comes back.")
                .of(bytes as u64),
            Family::gauge("hub_history_limit_bytes", "Bytes that may be remembered.").of(most as u64),
            Family::gauge("hub_history_used_ratio", "What is remembered as a share of what may be.")
                .with_number(&[], share),
        ]
    }

    #[cfg(feature = "redis")]
    fn redis_metrics(&self) -> Vec<Family> {
        let Some(cluster) = &self.cluster else { return Vec::new() };
        let glance = cluster.glance();
        let mut families = vec![
            Family::gauge("hub_redis_up", "1 where Redis is there and every document has caught up.")
                .of(u64::from(glance.is_ready)),
            Family::gauge("hub_redis_processes", "Processes that were heard lately, this one included.")
                .of(glance.processes as u64),
            Family::gauge("hub_redis_documents", "Documents whose order is followed.")
                .of(glance.documents as u64),
            Family::gauge(
                "hub_redis_waiting_publications",
                "What waits to be sent to Redis, or for its answer.",
            )
            .of(glance.waiting as u64),
            Family::counter("hub_redis_losses_total", "Connections to Redis that were lost.")
                .of(glance.losses),
            Family::histogram("hub_redis_round_trip_seconds", "How long a command takes, one a second.")
                .spread(&[], Distribution::of_times().and_times(glance.round_trip)),
        ];
        if let Some(age) = glance.probed {
            let family = Family::gauge(
                "hub_redis_probe_age_seconds",
                "Time since something this process published came back to it.",
            );
            families.push(family.with_number(&[], age.as_secs_f64()));
        }
        families
    }

    fn store_metrics(&self) -> Vec<Family> {
        let Some(documents) = &self.shared.documents else { return Vec::new() };
        let (store, saves) = (documents.store(), documents.counts());
        let counts = store.counts();
        vec![
            Family::counter(
                "hub_store_commits_total",
                "Commits of the store of documents, by how they went.",
            )
            .with(&[("outcome", "done")], counts.commits.get())
            .with(&[("outcome", "error")], counts.failed.get()),
            Family::histogram(
                "hub_store_commit_seconds",
                "How long commits took, with what the disk takes of it.",
            )
            .spread(&[], Distribution::of_times().and_times(&counts.seconds)),
            Family::counter("hub_store_written_bytes_total", "Bytes of what was stored.")
                .of(counts.bytes.get()),
            Family::gauge("hub_store_waiting_bytes", "Bytes that wait for the disk.")
                .of(store.waiting_bytes()),
            Family::gauge("hub_store_file_bytes", "Bytes that the file of the store takes.")
                .of(store.file_bytes()),
            Family::gauge("hub_documents_unsaved", "Documents of which something is not saved by the app.")
                .of(documents.unsaved_count()),
            Family::counter("hub_saves_total", "Documents that the app was asked to save, by how that went.")
                .with(&[("outcome", "done")], saves.saved.get())
                .with(&[("outcome", "error")], saves.failed.get()),
            Family::histogram("hub_save_seconds", "How long the app took to save a document.")
                .spread(&[], Distribution::of_times().and_times(&saves.seconds)),
        ]
    }
}

fn admission(threads: &Threads<'_>, outside: &Outside) -> Vec<Family> {
    let mut closed =
        Family::counter("hub_connections_closed_total", "Connections that have ended, by close code.");
    for (by, by_hub) in [("client", false), ("hub", true)] {
        let counts = threads.by_code(|thread| thread.endings(by_hub).all());
        closed = CODES
            .iter()
            .zip(counts)
            .filter(|(code, _)| code.len() != 3)
            .fold(closed, |family, (code, count)| family.with(&[("code", code), ("by", by)], count));
    }
    let mut refused = threads.by_code(|thread| thread.refused.all());
    for (status, count) in &outside.refused {
        let index = CODES.iter().position(|code| *code == status.to_string()).unwrap_or(CODES.len() - 1);
        refused[index] += count;
    }
    let (done, attacks): (Vec<_>, Vec<_>) =
        security::totals().partition(|(code, _)| *code == Kind::AdminAction.code());
    let actions = done.iter().map(|(_, count)| *count).sum();
    let mut families = vec![
        closed,
        Family::counter(
            "hub_slow_closes_total",
            "Connections that were closed because too much waited for them.",
        )
        .of(threads.sum(|thread| thread.slow.get())),
        Family::counter("hub_refused_total", "Upgrades that were refused, by HTTP status or close code.").by(
            "code",
            CODES.iter().zip(refused),
            |(code, count)| (code, *count),
        ),
        Family::counter("hub_security_events_total", "What looked like an attack, since the process began.")
            .by("code", attacks, |(code, count)| (code, *count)),
        Family::counter(
            "hub_admin_actions_total",
            "What was done on the admin page, since the process began.",
        )
        .of(actions),
        Family::gauge("hub_upgrades_waiting", "Upgrades about which is being decided.").of(outside.waiting),
    ];
    if let Some(times) = &outside.admission {
        let name = Family::histogram("hub_admission_seconds", "How long it took to decide about an upgrade.");
        families.push(name.spread(&[], times.clone()));
    }
    families
}

fn handlers_metrics(threads: &Threads<'_>, queue: &EventQueue, outside: &Outside) -> Vec<Family> {
    let calls = outside.calls.iter().fold(
        Family::histogram("hub_handler_call_seconds", "How long calls of handlers held up Node's thread."),
        |family, (callback, times)| family.spread(&[("callback", callback)], times.clone()),
    );
    let [done, failed] = outside.ended_streams;
    vec![
        calls,
        Family::counter("hub_handler_failures_total", "Calls of handlers that have thrown or rejected.")
            .of(outside.failed_calls),
        Family::histogram(
            "hub_event_loop_delay_seconds",
            "How long Node's thread takes to come when the hub rings, four times a second.",
        )
        .spread(&[], Distribution::of_times().and_times(&queue.counts().delay)),
        Family::histogram("hub_thread_delay_seconds", "How late the clocks of the hub's threads are.")
            .spread(
                &[],
                threads.spread(Distribution::of_times(), |all, thread| all.and_times(&thread.delay)),
            ),
        Family::gauge("hub_agent_streams", "Answers of agents that are running.").of(outside.streams),
        Family::counter("hub_agent_streams_ended_total", "Answers of agents that have ended, by how.")
            .with(&[("outcome", "done")], done)
            .with(&[("outcome", "error")], failed),
    ]
}

/// What all threads have counted.
struct Threads<'a>(&'a [&'a ThreadCounters]);

impl Threads<'_> {
    /// Gauges of one thread may be below 0 only between two of its stores; sums wrap back.
    fn sum(&self, count: impl Fn(&ThreadCounters) -> u64) -> u64 {
        self.0.iter().fold(0, |sum, thread| sum.wrapping_add(count(thread)))
    }

    fn by_code(&self, counts: impl Fn(&ThreadCounters) -> [u64; CODES.len()]) -> [u64; CODES.len()] {
        self.0.iter().fold([0; CODES.len()], |mut sums, thread| {
            for (sum, count) in sums.iter_mut().zip(counts(thread)) {
                *sum += count;
            }
            sums
        })
    }

    fn spread(
        &self,
        empty: Distribution,
        add: impl Fn(Distribution, &ThreadCounters) -> Distribution,
    ) -> Distribution {
        self.0.iter().fold(empty, |all, thread| add(all, thread))
    }

    fn waiting(&self) -> Waiting {
        let each = self.0.iter().map(|thread| thread.waiting());
        each.fold(Waiting::default(), |sum, one| Waiting {
            bytes: sum.bytes + one.bytes,
            connections: sum.connections + one.connections,
        })
    }
}
