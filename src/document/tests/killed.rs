//! Documents on a disk whose power is cut, and clients that come back with what they have seen.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::BytesMut;
use tokio::runtime::{Builder, Runtime};

use crate::{
    config::HistoryLimits,
    connection::batch::{BatchBuilder, FrameMeta},
    document::{
        Options,
        documents::Documents,
        hooks::{Answer, AppCopy, Conflict, HookError, Hooks, Loaded, Resolution, Save, SaveOutcome},
        live::Document,
        store::{
            Kind,
            redb::RedbStore,
            tests::disk::{Disk, Random},
            thread::StoreHandle,
        },
    },
    ids::{ClientSessionId, ConnectionId, Epoch, Id},
    recovery::{budget::Budget, history::History},
    room::{
        document_log::{Deliver, News, Start},
        opening::OpenedBy,
        publication::{Author, Content, Publication},
    },
    sync::lock,
};

const WRITER: Author = Author { connection: ConnectionId::new(1), client_session: ClientSessionId::new(11) };

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

/// An app that keeps nothing itself.
#[derive(Debug)]
struct Keeps;

impl Hooks for Keeps {
    fn kind(&self, document: &Id) -> Answer<Loaded> {
        self.load(document, OpenedBy::default())
    }

    fn load(&self, _: &Id, _: OpenedBy) -> Answer<Loaded> {
        Box::pin(async { Ok(Loaded::Kept(Kind::Updates, AppCopy::Nowhere)) })
    }

    fn save(&self, _: Save) -> Answer<SaveOutcome> {
        Box::pin(async { Err(HookError("it is not asked to".to_owned())) })
    }

    fn resolve(&self, _: Conflict) -> Answer<Resolution> {
        Box::pin(async { Ok(Resolution::Log) })
    }
}

/// A room that passes on what it hears.
struct Room(Mutex<mpsc::Sender<News>>);

impl Deliver for Room {
    fn hear(self: Arc<Self>, news: Vec<News>) {
        for news in news {
            // Where the power is cut nobody waits for the rest.
            drop(lock(&self.0).send(news));
        }
    }
}

/// A process whose documents are on a disk.
struct Process {
    runtime: Runtime,
    documents: Documents,
    document: Arc<Document>,
}

impl Process {
    fn start(disk: &Disk) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let disk = disk.clone();
        let store = move || RedbStore::on(Box::new(disk), Duration::ZERO);
        let store = StoreHandle::start(1 << 20, store, |_| ()).unwrap();
        let options = Options { saves: false, has_copy: false, ..Options::default() };
        let documents = Documents::new(Arc::new(Keeps), store, options, runtime.handle().clone(), true, true);
        runtime.block_on(documents.content(id("d"))).unwrap().unwrap();
        let document = documents.get(&id("d")).unwrap();
        Self { runtime, documents, document }
    }

    /// What a room remembers that opens here.
    fn remembers(&self) -> (Epoch, History) {
        let Start { epoch, before, history: stood } = self.document.start();
        let limits = HistoryLimits { messages: 10_000, bytes: 1 << 20, total_bytes: 1 << 20 };
        let mut history = History::new(limits, Arc::new(Budget::new(1 << 20)));
        history.restart(before);
        for stood in stood {
            let draft = stood.publication.draft();
            let client_session = draft.left_out().map(|author| author.client_session);
            let offset = Some(stood.offset);
            let mut gathered = BatchBuilder::default();
            let meta = FrameMeta { client_session, offset, ..FrameMeta::default() };
            gathered.push(meta, |out| draft.put(out, &id("d"), offset));
            history.append(&gathered.take(), 0);
        }
        (epoch, history)
    }

    fn end(self) {
        self.documents.finish(std::time::Instant::now() + Duration::from_secs(5));
        drop((self.documents, self.document));
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// What was shown to clients, at which offset; `None` for what is not kept.
type Shown = Vec<(u64, Option<String>)>;

/// Publishes, and shows what the log has given a place, until the power is cut; returns whether it was. `shown` gains what was
/// shown, in its order.
fn publish(process: &Process, random: &mut Random, passes: bool, shown: &mut Shown) -> bool {
    let (tell, told) = mpsc::channel();
    let room = Arc::new(Room(Mutex::new(tell)));
    for round in 0..200 {
        let together = 1 + random.below(4);
        for _ in 0..together {
            let room: Arc<dyn Deliver> = Arc::clone(&room) as _;
            if passes && random.below(4) == 0 {
                process.document.pass(Publication::of_route_handler(None, "{}"), room);
                continue;
            }
            let update = format!("\"{}\"", random.below(1 << 30));
            let content = Content::Update { client: id("a"), user: None, update };
            let number = Some(round * 10 + 1);
            let update =
                Publication { author: Some(WRITER), to: None, content, number, after: None, answer: None };
            process.document.submit(update, room);
        }
        for _ in 0..together {
            let News::Answer(answer) = told.recv_timeout(Duration::from_secs(10)).unwrap() else { panic!() };
            let Ok(offset) = answer.outcome else { return true };
            assert!(shown.last().is_none_or(|(last, _)| *last < offset), "no offset is given twice");
            process.document.delivered(&answer.publication, offset);
            let update = match answer.publication.content {
                Content::Update { update, .. } => Some(update),
                _ => None,
            };
            shown.push((offset, update));
        }
    }
    false
}

/// Every client that has seen everything up to some offset comes back. How many are to reload.
fn come_back(process: &Process, shown: &Shown, lost_one: bool) -> usize {
    let (_, history) = process.remembers();
    let mut reloaded = 0;
    let offsets = std::iter::once(0).chain(shown.iter().map(|(offset, _)| *offset));
    for (seen, from) in offsets.enumerate() {
        let missed = &shown[seen..];
        if let Some(frames) = history.since(from, ClientSessionId::new(99), &id("b")) {
            // What was stored and not shown before the power was cut is among them.
            let mut frames = frames.iter().map(|frame| String::from_utf8_lossy(frame));
            for (offset, update) in missed {
                let update = update.as_ref().expect("what is not kept was missed, and is not told");
                let offset = format!("\"offset\":{offset}");
                assert!(frames.any(|frame| frame.contains(update) && frame.contains(&offset)));
            }
        } else {
            let is_lost = missed.iter().any(|(_, update)| update.is_none());
            assert!(is_lost || lost_one, "{from} is to reload, and misses nothing that is lost");
            reloaded += 1;
        }
        let own = history.since(from, WRITER.client_session, &id("a"));
        assert!(own.is_none_or(|frames| frames.is_empty()), "nobody is sent its own updates");
    }
    reloaded
}

fn run(seed: u64, passes: bool) -> (usize, usize) {
    let mut random = Random(seed);
    let mut disk = Disk::default();
    let (mut shown, mut epoch, mut reloaded, mut cuts) = (Shown::new(), None, 0, 0);
    for _ in 0..4 {
        let process = Process::start(&disk);
        let now = process.remembers().0;
        assert_eq!(*epoch.get_or_insert(now), now, "the history is the same one");
        disk.cut_power_after(random.below(120));
        let is_cut = publish(&process, &mut random, passes, &mut shown);
        cuts += usize::from(is_cut);
        let bytes = disk.after_power_cut(&mut random);
        process.end();
        disk = Disk::holding(bytes);
        let next = Process::start(&disk);
        reloaded += come_back(&next, &shown, passes);
        next.end();
    }
    (reloaded, cuts)
}

#[test]
fn after_a_power_cut_every_client_is_given_what_it_missed() {
    let (mut reloaded, mut cuts) = (0, 0);
    for seed in 1..=20 {
        let (of_run, cuts_of_run) = run(seed, false);
        reloaded += of_run;
        cuts += cuts_of_run;
    }
    assert_eq!(reloaded, 0);
    assert!(cuts > 20, "{cuts}");
}

#[test]
fn after_a_power_cut_no_client_is_told_that_it_missed_nothing_where_that_is_not_known() {
    for seed in 1..=20 {
        run(seed, true);
    }
}

#[test]
fn without_a_power_cut_what_went_by_is_missed_by_those_before_it_alone() {
    let disk = Disk::default();
    let process = Process::start(&disk);
    let mut random = Random(5);
    let mut shown = Shown::new();
    publish(&process, &mut random, true, &mut shown);
    process.end();
    let next = Process::start(&disk);
    let (_, history) = next.remembers();
    let last = shown.iter().rposition(|(_, update)| update.is_none()).unwrap();
    let is_recovered = |offset| history.since(offset, ClientSessionId::new(99), &id("b")).is_some();
    for (at, (offset, _)) in shown.iter().enumerate() {
        // Where it went by last nobody knows how far it went.
        assert_eq!(is_recovered(*offset), at >= last && last + 1 < shown.len(), "{at} of {}", shown.len());
    }
    let mut frame = BytesMut::new();
    next.document.put_state(&mut frame, Some(shown[0].0));
    assert!(!String::from_utf8_lossy(&frame).contains("\"state\""), "the updates behind an offset are known");
    next.end();
}
