use std::sync::Arc;

use bytes::Bytes;

use super::{Budget, History, Publication};
use crate::{
    config::HistoryLimits,
    connection::batch::{Batch, BatchBuilder, FrameMeta, QueuePolicy},
    ids::{ClientSessionId, ConnectionId, Epoch, Id, Topic},
};

const A: ClientSessionId = ClientSessionId::new(1);
const B: ClientSessionId = ClientSessionId::new(2);
const LIMITS: HistoryLimits = HistoryLimits { messages: 100, bytes: 1 << 20, total_bytes: 1 << 20 };

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn history(limits: HistoryLimits) -> (History, Arc<Budget>) {
    let budget = Arc::new(Budget::new(limits.total_bytes));
    (History::new(limits, Arc::clone(&budget)), budget)
}

fn from(client_session: ClientSessionId) -> FrameMeta {
    let connection = ConnectionId::new(client_session.number());
    FrameMeta { from: Some(connection), client_session: Some(client_session), ..FrameMeta::default() }
}

/// A batch of frames; those with an offset are publications.
fn batch(frames: &[(&str, Option<u64>, FrameMeta)]) -> Batch {
    let mut gathering = BatchBuilder::default();
    for (text, offset, meta) in frames {
        gathering.push(FrameMeta { offset: *offset, ..meta.clone() }, |out| {
            out.extend_from_slice(text.as_bytes());
        });
    }
    gathering.take()
}

fn publish(history: &mut History, text: &str, now: u32) {
    let offset = history.last() + 1;
    history.append(&batch(&[(text, Some(offset), from(A))]), now);
}

fn since(history: &History, offset: u64, client_session: ClientSessionId) -> Option<String> {
    let frames = history.since(offset, client_session, &id("me"))?;
    Some(frames.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect::<Vec<_>>().join(" "))
}

#[test]
fn what_was_missed_is_what_came_after_the_offset() {
    let (mut history, _) = history(LIMITS);
    assert_eq!(since(&history, 0, B).unwrap(), "", "nothing was published, nothing was missed");
    for text in ["one", "two", "three"] {
        publish(&mut history, text, 0);
    }
    assert_eq!(since(&history, 0, B).unwrap(), "one two three");
    assert_eq!(since(&history, 2, B).unwrap(), "three");
    assert_eq!(since(&history, 3, B).unwrap(), "");
    assert_eq!(since(&history, 4, B), None, "that has not been");
}

#[test]
fn ones_own_and_what_is_for_another_client_was_not_missed() {
    let (mut history, _) = history(LIMITS);
    let to = |client| FrameMeta { to: Some(id(client)), ..FrameMeta::default() };
    history.append(
        &batch(&[
            ("a", Some(1), from(A)),
            ("b", Some(2), from(B)),
            ("for all", Some(3), FrameMeta::default()),
            ("for me", Some(4), to("me")),
            ("for you", Some(5), to("you")),
        ]),
        0,
    );
    assert_eq!(since(&history, 0, A).unwrap(), "b for all for me");
    assert_eq!(since(&history, 0, B).unwrap(), "a for all for me");
}

#[test]
fn what_has_no_offset_is_no_history() {
    let (mut history, _) = history(LIMITS);
    let shown = FrameMeta { policy: QueuePolicy::Latest(Topic::Awareness), ..from(A) };
    history.append(
        &batch(&[("cursor", None, shown.clone()), ("1", Some(1), from(A)), ("2", Some(2), from(A))]),
        0,
    );
    history.append(&batch(&[("cursor", None, shown)]), 0);
    assert_eq!(since(&history, 0, B).unwrap(), "1 2");
}

#[test]
fn a_publication_does_not_keep_a_batch_of_cursors_in_memory() {
    let (mut history, _) = history(LIMITS);
    let cursors = "x".repeat(1000);
    let batch = batch(&[(&cursors, None, from(A)), ("1", Some(1), from(A))]);
    let bytes = batch.bytes.clone();
    history.append(&batch, 0);
    drop(batch);
    assert!(bytes.is_unique(), "it holds no slice of it");
}

#[test]
fn a_publication_shares_the_bytes_that_the_members_get() {
    let (mut history, _) = history(LIMITS);
    let batch = batch(&[("1", Some(1), from(A)), ("2", Some(2), from(A))]);
    history.append(&batch, 0);
    let shared: Vec<Bytes> = history.since(0, B, &id("me")).unwrap();
    assert_eq!(shared[1].as_ptr(), batch.bytes[1..].as_ptr());
}

#[test]
fn it_is_bounded_in_number_bytes_and_time() {
    let (mut by_number, _) = history(HistoryLimits { messages: 2, ..LIMITS });
    for text in ["1", "2", "3"] {
        publish(&mut by_number, text, 0);
    }
    assert_eq!(since(&by_number, 0, B), None);
    assert_eq!(since(&by_number, 1, B).unwrap(), "2 3");

    let two = 2 * (10 + size_of::<Publication>());
    let (mut by_bytes, budget) = history(HistoryLimits { bytes: two, ..LIMITS });
    for _ in 0..3 {
        publish(&mut by_bytes, "0123456789", 0);
    }
    assert_eq!(since(&by_bytes, 0, B), None);
    assert!(since(&by_bytes, 1, B).is_some());
    assert_eq!(budget.used(), two);

    let (mut by_time, budget) = history(LIMITS);
    publish(&mut by_time, "1", u32::MAX - 50);
    publish(&mut by_time, "2", 10);
    by_time.forget(49, 100);
    assert_eq!(since(&by_time, 0, B).unwrap(), "1 2", "also where the clock wraps");
    by_time.forget(50, 100);
    assert_eq!((since(&by_time, 0, B), since(&by_time, 1, B).unwrap().as_str()), (None, "2"));
    by_time.forget(111, 100);
    assert_eq!((since(&by_time, 1, B), since(&by_time, 2, B).unwrap().as_str()), (None, ""));
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_publication_that_does_not_fit_takes_all_before_it_along() {
    let (mut history, budget) = history(HistoryLimits { bytes: 500, ..LIMITS });
    publish(&mut history, "small", 0);
    publish(&mut history, &"x".repeat(500), 0);
    assert_eq!(since(&history, 0, B), None);
    assert_eq!(since(&history, 1, B), None);
    assert_eq!(since(&history, 2, B).unwrap(), "");
    publish(&mut history, "next", 0);
    assert_eq!(since(&history, 2, B).unwrap(), "next");
    assert_eq!(budget.used(), 4 + size_of::<Publication>());
}

#[test]
fn whoever_appends_is_never_refused_and_above_the_limit_somebody_is_to_make_room() {
    let one = 10 + size_of::<Publication>();
    let budget = Arc::new(Budget::new(3 * one));
    let (mut quiet, mut busy) =
        (History::new(LIMITS, Arc::clone(&budget)), History::new(LIMITS, Arc::clone(&budget)));
    for _ in 0..3 {
        publish(&mut busy, "0123456789", 0);
    }
    assert!(busy.relief().is_none());
    publish(&mut quiet, "0123456789", 0);
    let relief = quiet.relief().unwrap();
    assert!(busy.relief().is_none(), "one is enough");
    let level = relief.level(vec![busy.bytes(), quiet.bytes()]);
    quiet.trim(level);
    busy.trim(level);
    assert!(since(&quiet, 0, B).is_some(), "the smaller one keeps all");
    assert!(since(&busy, 2, B).is_some());
    assert_eq!(since(&busy, 1, B), None);
    drop(relief);
    drop(busy);
    assert_eq!(budget.used(), one);
}

#[test]
fn the_largest_give_way_down_to_the_same_size() {
    let relief = |limit| {
        let budget = Arc::new(Budget::new(limit));
        budget.charge(limit + 1);
        budget.relief().unwrap()
    };
    // Of 800 an eighth is to be free.
    let cases: [(&[usize], usize); 5] = [
        (&[100, 200, 1000, 1000], 200),
        (&[1000, 100, 1000, 200], 200),
        (&[10, 10, 10_000], 680),
        (&[300, 400], usize::MAX),
        (&[], usize::MAX),
    ];
    for (sizes, level) in cases {
        assert_eq!(relief(800).level(sizes.to_vec()), level, "{sizes:?}");
    }
}

#[test]
fn an_age_is_shortened_by_as_much_as_is_used_above_the_limit() {
    let budget = Budget::new(100);
    for (used, age) in [(0, 1000), (100, 1000), (200, 500), (400, 250)] {
        budget.charge(used);
        assert_eq!(budget.shortened(1000), age, "{used}");
        budget.give_back(used);
    }
    budget.charge(usize::MAX / 2);
    assert_eq!((budget.shortened(u32::MAX), Budget::new(0).shortened(7)), (0, 7));
}

#[test]
fn behind_a_gap_history_begins_anew() {
    let (mut history, _) = history(LIMITS);
    publish(&mut history, "1", 0);
    history.append(&batch(&[("3", Some(3), from(A))]), 0);
    assert_eq!((since(&history, 0, B), since(&history, 1, B)), (None, None));
    assert_eq!(since(&history, 2, B).unwrap(), "3");
}

#[test]
fn what_may_be_lost_is_missed_by_everybody_who_has_not_seen_it() {
    let (mut history, budget) = history(LIMITS);
    publish(&mut history, "1", 0);
    history.lost(1);
    assert_eq!(since(&history, 0, B).unwrap(), "1", "it was there");
    history.lost(3);
    assert_eq!((since(&history, 0, B), since(&history, 1, B), since(&history, 2, B)), (None, None, None));
    assert_eq!(since(&history, 3, B).unwrap(), "");
    publish(&mut history, "4", 0);
    assert_eq!(since(&history, 3, B).unwrap(), "4");
    drop(history);
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_epoch_is_written_and_read_the_same() {
    for epoch in [Epoch::new(0), Epoch::new(u64::MAX), Epoch::random()] {
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
        assert_eq!(epoch.to_string().len(), 16);
    }
    assert_ne!(Epoch::random(), Epoch::random());
}

#[test]
fn offsets_may_leap_and_what_lies_between_was_never_given() {
    let (mut history, _) = history(LIMITS);
    history.restart(5);
    let far = 7 + super::LEAP;
    for (text, offset) in [("six", 6), ("far", far), ("farther", far + 1)] {
        history.append(&batch(&[(text, Some(offset), from(A))]), 0);
    }
    assert_eq!(since(&history, 5, B).unwrap(), "six far farther");
    assert_eq!(since(&history, 6, B).unwrap(), "far farther");
    assert_eq!(since(&history, far, B).unwrap(), "farther");
    assert_eq!(since(&history, far + 1, B).unwrap(), "");
    for never in [4, 7, far - 1, far + 2] {
        assert_eq!(since(&history, never, B), None, "{never}");
    }
    // A leap is no loss; what is less is one.
    history.append(&batch(&[("after a panic", Some(far + 4), from(A))]), 0);
    assert_eq!(since(&history, far + 1, B), None);
    assert_eq!(since(&history, far + 3, B).unwrap(), "after a panic");
}

#[test]
fn what_a_log_has_leapt_over_is_known_to_be_lost_after_all_around_it_is_forgotten() {
    let (mut history, _) = history(LIMITS);
    let behind = 2 + super::LEAP + 1;
    for offset in [1, 2, behind] {
        history.append(&batch(&[("x", Some(offset), from(A))]), 0);
    }
    history.trim(0);
    let lost: Vec<_> = [2, 3, behind - 1, behind].map(|offset| history.has_leapt_over(offset)).into();
    assert_eq!(lost, [false, true, true, false]);
    history.restart(0);
    assert!(!history.has_leapt_over(3), "in another epoch it is to come");
}
