//! The authority with its batches against a naive model, under random schedules that shrink to the shortest that fails.
//!
//! The same schedules in every run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` give others, and more.

use std::collections::VecDeque;

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, TestCaseError, any},
    prop_assert, prop_assert_eq, prop_oneof,
    test_runner::{Config, RngSeed, TestRunner},
};

use crate::{
    document::{
        authority::{Attempt, Authority, Turns, Verdict},
        batches::{Batch, Batches},
        steps::{StepLimits, check},
    },
    ids::Id,
};

/// No turn is shorter.
const SHORTEST_TURN_MS: u64 = 60;
/// No turn is longer.
const LONGEST_TURN_MS: u64 = 2000;

#[derive(Debug, Clone)]
enum Move {
    /// A writer sends so many steps, made for a version.
    Submit {
        writer: u64,
        made_for: MadeFor,
        count: u32,
    },
    /// A writer sends the batch again that it sent last.
    SendAgain(u64),
    /// The store has written the first batch that waits for it.
    Deliver,
    /// The store has failed.
    Rollback,
    Leave(u64),
    Wait(u64),
    /// There is a snapshot, so many versions before the last.
    Trim(u64),
    /// The document was changed elsewhere.
    Jump(u64),
    /// Somebody reads from so many versions before the last on.
    Read(u64),
}

#[derive(Debug, Clone, Copy)]
enum MadeFor {
    Head,
    Delivered,
    Behind(u64),
    Ahead(u64),
    Any(u64),
}

fn schedules() -> impl Strategy<Value = Vec<Move>> {
    let made_for = prop_oneof![
        8 => Just(MadeFor::Head),
        4 => Just(MadeFor::Delivered),
        4 => (1..6_u64).prop_map(MadeFor::Behind),
        1 => (1..4_u64).prop_map(MadeFor::Ahead),
        1 => any::<u64>().prop_map(MadeFor::Any),
    ];
    let submit = (0..5_u64, made_for, 1..4_u32);
    let one = prop_oneof![
        20 => submit.prop_map(|(writer, made_for, count)| Move::Submit { writer, made_for, count }),
        2 => (0..5_u64).prop_map(Move::SendAgain),
        12 => Just(Move::Deliver),
        1 => Just(Move::Rollback),
        1 => (0..5_u64).prop_map(Move::Leave),
        8 => (0..40_u64).prop_map(Move::Wait),
        2 => (0..5000_u64).prop_map(Move::Wait),
        1 => (0..20_u64).prop_map(Move::Trim),
        1 => (1..5_u64).prop_map(Move::Jump),
        4 => (0..30_u64).prop_map(Move::Read),
    ];
    vec(one, 1..200)
}

/// A batch as the model keeps it: each step for itself.
#[derive(Debug, Clone)]
struct Plain {
    writer: u64,
    number: u64,
    before: u64,
    steps: Vec<String>,
}

impl Plain {
    fn after(&self) -> u64 {
        self.before + self.steps.len() as u64
    }
}

/// A document as a room keeps it, and beside it what must be true of it.
struct Scene {
    turns: Turns,
    now: u64,
    authority: Authority,
    batches: Batches,
    /// Accepted, and not on disk.
    pending: VecDeque<Plain>,
    /// Delivered since the last jump, and never trimmed.
    log: Vec<Plain>,
    /// Where the log begins, and from where on it can be read.
    base: u64,
    readable_from: u64,
    /// What each writer sent last.
    sent: [Option<Plain>; 5],
    next_number: u64,
    /// Who was refused and not accepted since, in this order, and when that was. Some of them have lost their turn.
    waiting: Vec<(u64, u64)>,
    /// When somebody came last; `None` where somebody has left since, whose turn goes to the next only when somebody comes.
    last_attempt: Option<u64>,
}

impl Scene {
    fn new(turns: Turns) -> Self {
        Self {
            turns,
            now: 0,
            authority: Authority::with_turns(7, turns),
            batches: Batches::new(7),
            pending: VecDeque::new(),
            log: Vec::new(),
            base: 7,
            readable_from: 7,
            sent: Default::default(),
            next_number: 1,
            waiting: Vec::new(),
            last_attempt: Some(0),
        }
    }

    fn version(&self) -> u64 {
        self.log.last().map_or(self.base, Plain::after)
    }

    fn head(&self) -> u64 {
        self.pending.back().map_or(self.version(), Plain::after)
    }

    fn play(&mut self, one: &Move) -> Result<(), TestCaseError> {
        match *one {
            Move::Submit { writer, made_for, count } => {
                let version = match made_for {
                    MadeFor::Head => self.head(),
                    MadeFor::Delivered => self.version(),
                    MadeFor::Behind(by) => self.head().saturating_sub(by),
                    MadeFor::Ahead(by) => self.head() + by,
                    MadeFor::Any(version) => version,
                };
                let number = self.next_number;
                self.next_number += 1;
                let steps = (0..count).map(|step| format!(r#"{{"stepType":"{number}, {step}"}}"#)).collect();
                self.submit(Plain { writer, number, before: version, steps })?;
            }
            Move::SendAgain(writer) => self.send_again(writer)?,
            Move::Deliver => self.deliver(),
            Move::Rollback => {
                self.pending.clear();
                self.authority.rollback();
            }
            Move::Leave(writer) => {
                self.waiting.retain(|(waiting, _)| *waiting != writer);
                self.authority.leave(writer);
                self.last_attempt = None;
            }
            Move::Wait(ms) => self.now += ms,
            Move::Trim(back) => self.trim(self.version().saturating_sub(back)),
            Move::Jump(by) => self.jump(by)?,
            Move::Read(back) => self.read(self.version().saturating_sub(back))?,
        }
        prop_assert_eq!(self.authority.head(), self.head());
        prop_assert_eq!(self.authority.version(), self.version());
        prop_assert_eq!(self.batches.version(), self.version());
        Ok(())
    }

    fn submit(&mut self, batch: Plain) -> Result<(), TestCaseError> {
        let (writer, version) = (batch.writer, batch.before);
        let count = u32::try_from(batch.steps.len()).unwrap();
        let verdict = self.authority.submit(Attempt { writer, version, count }, self.now);
        let earlier_attempt = self.last_attempt.replace(self.now);
        self.sent[usize::try_from(writer).unwrap()] = Some(batch.clone());
        match verdict {
            Verdict::Ahead => prop_assert!(version > self.head()),
            Verdict::Accepted { before, after } => {
                prop_assert_eq!((version, before, after), (self.head(), batch.before, batch.after()));
                let turn = self.waiting.iter().position(|(waiting, _)| *waiting == writer);
                for (place, (other, since)) in self.waiting.iter().enumerate() {
                    let may_be_lost = self.now > since + SHORTEST_TURN_MS;
                    let is_behind = turn.is_some_and(|turn| place >= turn);
                    prop_assert!(
                        self.turns == Turns::Plain || is_behind || may_be_lost,
                        "{} was before {}",
                        other,
                        writer
                    );
                }
                self.waiting.retain(|(waiting, _)| *waiting != writer);
                self.pending.push_back(batch);
            }
            Verdict::Stale { retry_in_ms } => {
                prop_assert!(retry_in_ms.is_none_or(|ms| u64::from(ms) <= 5 * LONGEST_TURN_MS));
                prop_assert!(version <= self.head());
                if version == self.head() {
                    prop_assert!(self.turns == Turns::Fair, "whatever is current is accepted");
                    prop_assert!(self.waiting.iter().any(|(waiting, _)| *waiting != writer), "for somebody");
                    let longest = self.waiting.len() as u64 * LONGEST_TURN_MS;
                    let is_over = earlier_attempt.is_some_and(|earlier| self.now > earlier + longest);
                    prop_assert!(!is_over, "all turns are over");
                }
                if self.waiting.iter().all(|(waiting, _)| *waiting != writer) {
                    self.waiting.push((writer, self.now));
                }
            }
        }
        Ok(())
    }

    /// A batch that stands is a duplicate; one that does not is submitted as any other.
    fn send_again(&mut self, writer: u64) -> Result<(), TestCaseError> {
        let Some(batch) = self.sent[usize::try_from(writer).unwrap()].clone() else { return Ok(()) };
        let stands = |other: &Plain| {
            (other.before, other.writer, other.number) == (batch.before, writer, batch.number)
        };
        let is_kept = self.log.iter().any(|other| stands(other) && other.after() > self.readable_from);
        let client = client(writer);
        prop_assert_eq!(self.batches.is_duplicate(batch.before, &client, batch.number), is_kept);
        if self.log.iter().chain(&self.pending).any(stands) { Ok(()) } else { self.submit(batch) }
    }

    fn deliver(&mut self) {
        let Some(batch) = self.pending.pop_front() else { return };
        self.authority.delivered(batch.after());
        let steps = format!("[{}]", batch.steps.join(", "));
        let limits = StepLimits { steps: 10, bytes: 1000 };
        self.batches.push(Batch {
            offset: 0,
            before: batch.before,
            count: check(&steps, limits).unwrap(),
            client: client(batch.writer),
            number: Some(batch.number),
            change_id: None,
            steps: steps.into(),
            client_session: None,
        });
        self.log.push(batch);
    }

    fn trim(&mut self, up_to: u64) {
        self.batches.trim(up_to);
        let kept = self.log.iter().find(|batch| batch.after() > up_to.max(self.readable_from));
        self.readable_from = kept.map_or(self.version(), |batch| batch.before);
    }

    fn jump(&mut self, by: u64) -> Result<(), TestCaseError> {
        prop_assert!(!self.authority.jump(self.head()), "not to a version that was given");
        let version = self.head() + by;
        prop_assert!(self.authority.jump(version));
        self.batches = Batches::new(version);
        (self.base, self.readable_from) = (version, version);
        self.pending.clear();
        self.log.clear();
        self.waiting.clear();
        Ok(())
    }

    fn read(&self, version: u64) -> Result<(), TestCaseError> {
        let read = self.batches.steps_since(version);
        prop_assert_eq!(read.is_some(), version >= self.readable_from);
        let Some(read) = read else { return Ok(()) };
        let behind = |batch: &Plain| {
            let steps = (batch.before..).zip(batch.steps.clone());
            let behind = steps.filter(|(at, _)| *at >= version).map(|(_, step)| step);
            behind.map(|step| (step, client(batch.writer))).collect::<Vec<_>>()
        };
        let (steps, clients): (Vec<_>, Vec<_>) = self.log.iter().flat_map(behind).unzip();
        let clients: Vec<_> = clients.iter().map(Id::text).collect();
        let json = |pieces: &[&str]| serde_json::from_str::<serde_json::Value>(&pieces.concat()).unwrap();
        let expected: Vec<serde_json::Value> =
            steps.iter().map(|step| serde_json::from_str(step).unwrap()).collect();
        prop_assert_eq!(json(&read.steps), serde_json::Value::from(expected));
        prop_assert_eq!(json(&read.client_ids), serde_json::json!(clients));
        Ok(())
    }

    /// What was delivered has no gap, and nothing in it twice.
    fn end(&self) -> Result<(), TestCaseError> {
        let mut version = self.base;
        let mut numbers = Vec::new();
        for batch in &self.log {
            prop_assert_eq!(batch.before, version);
            version = batch.after();
            numbers.push(batch.number);
        }
        numbers.sort_unstable();
        prop_assert!(numbers.is_sorted_by(|one, next| one < next), "a batch stands twice");
        let [mut kept, mut bytes] = [0, 0];
        for batch in self.batches.since(self.batches.start()).into_iter().flatten() {
            (kept, bytes) = (kept + 1, bytes + batch.bytes());
        }
        prop_assert_eq!((kept, bytes), (self.batches.len(), self.batches.bytes()));
        self.read(self.readable_from)
    }
}

fn client(writer: u64) -> Id {
    Id::new(&format!("client \"{writer}\"")).unwrap()
}

fn hold(turns: Turns) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(11);
    }
    let held = TestRunner::new(config).run(&schedules(), |schedule| {
        let mut scene = Scene::new(turns);
        for one in &schedule {
            scene.play(one)?;
        }
        scene.end()
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}

#[test]
fn every_accepted_batch_is_delivered_once_in_one_order_and_turns_come_in_turn() {
    hold(Turns::Fair);
}

#[test]
fn plain_refusal_accepts_whatever_is_current_and_nothing_else() {
    hold(Turns::Plain);
}
