use bytes::Bytes;

use super::{Entry, Follower, Mark, News, Next, Outcome, Publication, Push, Reading, Reply, entry};
use crate::{cluster::wire::KeptState, ids::Epoch, recovery::history::LEAP, room::publication::Refusal};

const EPOCH: Epoch = Epoch::new(1);

fn mark(offset: u64, nonce: u64) -> Mark {
    Mark { offset, nonce }
}

fn message(name: &str) -> Publication {
    Publication::of_route_handler(None, format!("{{\"a\":\"{name}\"}}"))
}

fn said(name: &str) -> Bytes {
    entry::encode(&message(name)).unwrap().into()
}

fn reading(top: Mark, entries: Vec<Entry>) -> Reading {
    Reading { epoch: EPOCH, top, now: 1000, entries, holder: String::new(), kept: None }
}

fn written(mark: Mark, previous: Mark) -> Entry {
    Entry { mark, previous, at: 900, said: said(&mark.offset.to_string()) }
}

/// A batch of appended publications behind `previous`.
fn reply(previous: Mark, first: u64, nonce: u64, count: usize) -> Reply {
    Reply { epoch: EPOCH, nonce, previous, first, at: 950, outcomes: vec![Outcome::Appended; count] }
}

fn push(previous: Mark, first: u64, nonce: u64) -> Push {
    let reply = reply(previous, first, nonce, 1);
    Push { process: 9, number: 1, reply, said: vec![said(&first.to_string())] }
}

fn following() -> Follower {
    Follower::begin(&reading(mark(5, 50), Vec::new())).0
}

fn catch_up(follower: &mut Follower, reading: &Reading, news: &mut Vec<News>) -> bool {
    let caught_up = follower.caught_up(follower.asks(), reading);
    news.extend(caught_up.news);
    assert!(caught_up.void.is_empty());
    !caught_up.is_restarted
}

/// What the room is told, in short.
fn told(news: Vec<News>) -> Vec<String> {
    let outcome = |outcome: Result<u64, Refusal>| match outcome {
        Ok(offset) => offset.to_string(),
        Err(refusal) => format!("{refusal:?}"),
    };
    news.into_iter()
        .map(|news| match news {
            News::Answer(appended) => format!("own {}", outcome(appended.outcome)),
            News::Late(appended) => format!("late {}", outcome(appended.outcome)),
            News::Elsewhere(stood) => format!("other {}", stood.offset),
            News::Shown(_) | News::Hidden(..) | News::Asked | News::Taken(..) => {
                unreachable!("no part of the log")
            }
            News::Restart(start) => format!("restart {}+{}", start.before, start.history.len()),
        })
        .collect()
}

#[test]
fn a_room_begins_with_what_stands_before_the_top_without_a_gap() {
    let entries = vec![
        written(mark(2, 20), mark(1, 10)),
        written(mark(4, 40), mark(3, 30)),
        written(mark(5, 50), mark(4, 40)),
    ];
    let (_, start) = Follower::begin(&reading(mark(5, 50), entries));
    assert_eq!(start.before, 3);
    assert_eq!(
        start.history.iter().map(|stood| (stood.offset, stood.age)).collect::<Vec<_>>(),
        [(4, 100), (5, 100)]
    );
    // What was too large to be kept leaves nothing behind it that leads anywhere.
    let (_, start) = Follower::begin(&reading(mark(6, 60), vec![written(mark(5, 50), mark(4, 40))]));
    assert_eq!((start.before, start.history.len()), (6, 0));
}

#[test]
fn what_comes_in_order_goes_out_and_what_comes_twice_goes_out_once() {
    let (mut follower, mut news) = (following(), Vec::new());
    follower.push(push(mark(5, 50), 6, 60), &mut news);
    follower.push(push(mark(5, 50), 6, 60), &mut news);
    follower.own(reply(mark(6, 60), 7, 70, 2), vec![message("x"), message("y")], &mut news);
    follower.push(push(mark(8, 70), 9, 90), &mut news);
    assert_eq!(told(news), ["other 6", "own 7", "own 8", "other 9"]);
    assert_eq!(follower.at(), mark(9, 90));
}

#[test]
fn an_answer_that_is_ahead_of_the_pushes_waits_for_them() {
    let (mut follower, mut news) = (following(), Vec::new());
    follower.own(reply(mark(7, 70), 8, 80, 1), vec![message("mine")], &mut news);
    assert!(news.is_empty() && follower.has_gap());
    follower.push(push(mark(6, 60), 7, 70), &mut news);
    assert!(news.is_empty());
    follower.push(push(mark(5, 50), 6, 60), &mut news);
    assert_eq!(told(news), ["other 6", "other 7", "own 8"]);
    assert!(!follower.has_gap());
}

#[test]
fn what_does_not_come_is_read_and_then_not_given_a_second_time() {
    let (mut follower, mut news) = (following(), Vec::new());
    follower.own(reply(mark(7, 70), 8, 80, 1), vec![message("mine")], &mut news);
    let entries = vec![
        written(mark(5, 50), mark(4, 40)),
        written(mark(6, 60), mark(5, 50)),
        written(mark(7, 70), mark(6, 60)),
        written(mark(8, 80), mark(7, 70)),
        written(mark(9, 90), mark(8, 80)),
    ];
    assert!(catch_up(&mut follower, &reading(mark(9, 90), entries), &mut news));
    assert_eq!(told(news), ["other 6", "other 7", "other 8", "other 9", "late 8"]);
    let mut news = Vec::new();
    follower.push(push(mark(8, 80), 9, 90), &mut news);
    assert!(news.is_empty());
}

#[test]
fn what_comes_while_the_log_is_read_is_not_taken_for_lost() {
    let entries = |last: u64| {
        (5..=last).map(|at| written(mark(at, at * 10), mark(at - 1, at * 10 - 10))).collect::<Vec<_>>()
    };
    let (mut follower, mut news) = (following(), Vec::new());
    let asked = follower.asks();
    follower.push(push(mark(5, 50), 6, 60), &mut news);
    follower.push(push(mark(6, 60), 7, 70), &mut news);
    // It was read before the second was written, or after a third was.
    for last in [5, 6, 7, 8] {
        let caught_up = follower.caught_up(asked, &reading(mark(last, last * 10), entries(last)));
        assert!(!caught_up.is_restarted, "{last}");
        news.extend(caught_up.news);
    }
    assert_eq!(told(news), ["other 6", "other 7", "other 8"]);
    // What had come before it was read must be there.
    let asked = follower.asks();
    assert!(follower.caught_up(asked, &reading(mark(7, 70), entries(7))).is_restarted);
}

#[test]
fn nothing_that_was_sent_before_takes_a_place() {
    let (mut follower, mut news) = (following(), Vec::new());
    let outcomes = vec![Outcome::Duplicate, Outcome::Stale(5)];
    let reply = Reply { outcomes, ..reply(mark(5, 50), 6, 60, 0) };
    follower.own(reply, vec![message("x"), message("y")], &mut news);
    assert_eq!(told(news), ["late Duplicate", "late Stale { current: 5, retry_in_ms: None }"]);
    assert_eq!(follower.at(), mark(5, 50));
}

#[test]
fn who_is_refused_is_told_so_behind_what_took_its_place() {
    let (mut follower, mut news) = (following(), Vec::new());
    let stale = Reply { outcomes: vec![Outcome::Stale(3)], ..reply(mark(7, 70), 8, 80, 0) };
    follower.own(stale, vec![message("mine")], &mut news);
    assert!(news.is_empty() && follower.has_gap());
    follower.push(push(mark(5, 50), 6, 60), &mut news);
    follower.push(push(mark(6, 60), 7, 70), &mut news);
    assert_eq!(told(news), ["other 6", "other 7", "late Stale { current: 3, retry_in_ms: None }"]);
    assert!(!follower.has_gap());
}

#[test]
fn of_another_log_of_a_document_with_an_authority_all_is_read_before_anybody_is_told() {
    let kept = KeptState {
        version: 2,
        kind: "steps".to_owned(),
        base: 0,
        doc: "null".to_owned(),
        saved: 0,
        saving: None,
        by: String::new(),
    };
    let whole = |top, entries| Reading { kept: Some(kept.clone()), ..reading(top, entries) };
    let mut follower = Follower::begin(&whole(mark(5, 50), Vec::new())).0;
    let asks = follower.asks();
    let entries = || vec![written(mark(3, 30), mark(2, 20)), written(mark(4, 40), mark(3, 30))];
    let partial = follower.caught_up(asks, &reading(mark(4, 40), Vec::new()));
    assert!(partial.next == Next::ReadAll && partial.news.is_empty());
    let caught_up = follower.caught_up(asks.all(), &whole(mark(4, 40), entries()));
    assert!(caught_up.is_restarted);
    assert_eq!(told(caught_up.news), ["restart 2+2"]);
    // Where it goes on from what was seen, reading all of it changes nothing.
    let more = vec![written(mark(4, 40), mark(3, 30)), written(mark(5, 55), mark(4, 40))];
    let asks = follower.asks().all();
    let caught_up = follower.caught_up(asks, &whole(mark(5, 55), more));
    assert!(!caught_up.is_restarted);
    assert_eq!(told(caught_up.news), ["other 5"]);
}

#[test]
fn a_log_that_has_lost_its_tail_is_another_one() {
    // It stands before what was seen; at the same offset with something else; beyond it, by another way.
    let beyond = 3 + LEAP + 1;
    let other_ways = [
        (mark(3, 30), vec![]),
        (mark(5, 51), vec![written(mark(5, 51), mark(4, 40))]),
        (mark(beyond, 99), vec![written(mark(beyond, 99), mark(3, 30))]),
    ];
    for (top, entries) in other_ways {
        let (mut follower, mut news) = (following(), Vec::new());
        let history = entries.len();
        assert!(!catch_up(&mut follower, &reading(top, entries), &mut news));
        let told = told(news);
        assert!(told[0].starts_with("restart ") && told[0].ends_with(&history.to_string()), "{told:?}");
        assert_eq!(follower.at(), top);
    }
    let (mut follower, mut news) = (following(), Vec::new());
    let lost = Reading { epoch: Epoch::new(2), ..reading(mark(5, 50), vec![]) };
    assert!(!catch_up(&mut follower, &lost, &mut news), "all of it");
}

#[test]
fn what_comes_while_the_log_is_read_makes_no_other_log_of_it() {
    let entries = || {
        let places = [(5, 50, 4, 40), (6, 60, 5, 50), (7, 70, 6, 60)];
        places.map(|(offset, nonce, before, of)| written(mark(offset, nonce), mark(before, of))).to_vec()
    };
    // It was read before that came, with it, and with more than that.
    for (read, expected) in [(1, vec!["other 6"]), (2, vec!["other 6"]), (3, vec!["other 6", "other 7"])] {
        let (mut follower, mut news) = (following(), Vec::new());
        let asked = follower.asks();
        follower.push(push(mark(5, 50), 6, 60), &mut news);
        let entries: Vec<_> = entries().into_iter().take(read).collect();
        let caught_up = follower.caught_up(asked, &reading(entries[read - 1].mark, entries));
        assert!(!caught_up.is_restarted && caught_up.next == Next::Nothing);
        news.extend(caught_up.news);
        assert_eq!(told(news), expected);
    }
    // What was read does not lead there, so it is read again, and only then is it another log.
    let (mut follower, mut news) = (following(), Vec::new());
    let asked = follower.asks();
    follower.push(push(mark(5, 50), 6, 60), &mut news);
    let other =
        || reading(mark(6, 61), vec![written(mark(5, 50), mark(4, 40)), written(mark(6, 61), mark(5, 50))]);
    let caught_up = follower.caught_up(asked, &other());
    assert!(caught_up.next == Next::ReadAgain && caught_up.news.is_empty());
    assert!(follower.caught_up(follower.asks(), &other()).is_restarted);
}

#[test]
fn who_had_not_seen_what_was_lost_goes_on_over_the_leap() {
    let (mut follower, mut news) = (following(), Vec::new());
    let next = 5 + LEAP + 1;
    let entries = vec![written(mark(5, 50), mark(4, 40)), written(mark(next, 99), mark(5, 50))];
    assert!(catch_up(&mut follower, &reading(mark(next, 99), entries), &mut news));
    assert_eq!(told(news), [format!("other {next}")]);
    // And by a push.
    let (mut follower, mut news) = (following(), Vec::new());
    follower.push(push(mark(5, 50), next, 99), &mut news);
    assert_eq!(told(news), [format!("other {next}")]);
}

#[test]
fn a_log_whose_stream_was_trimmed_or_is_gone_needs_no_reload_of_who_has_seen_it_all() {
    let (mut follower, mut news) = (following(), Vec::new());
    assert!(catch_up(&mut follower, &reading(mark(5, 50), vec![]), &mut news), "the stream has expired");
    let entries = vec![written(mark(6, 60), mark(5, 50))];
    assert!(catch_up(&mut follower, &reading(mark(6, 60), entries), &mut news), "what was seen was trimmed");
    assert_eq!(told(news), ["other 6"]);
    let mut news = Vec::new();
    let entries = vec![written(mark(8, 80), mark(7, 70))];
    assert!(
        !catch_up(&mut follower, &reading(mark(8, 80), entries), &mut news),
        "what was not seen was trimmed"
    );
}

#[test]
fn an_own_batch_that_waits_is_appended_again_where_the_log_has_lost_it() {
    let (mut follower, mut news) = (following(), Vec::new());
    follower.own(reply(mark(7, 70), 8, 80, 1), vec![message("lost")], &mut news);
    follower.own(reply(mark(8, 80), 9, 90, 1), vec![message("stands")], &mut news);
    let entries = vec![written(mark(9, 90), mark(8, 81))];
    let caught_up = follower.caught_up(follower.asks(), &reading(mark(9, 90), entries));
    assert_eq!(told(caught_up.news), ["restart 8+1", "late 9"]);
    assert_eq!(caught_up.void.len(), 1);
}

#[test]
fn an_own_batch_that_waits_for_what_was_lost_with_it_is_appended_again() {
    let (mut follower, mut news) = (following(), Vec::new());
    follower.own(reply(mark(7, 70), 8, 80, 1), vec![message("lost")], &mut news);
    let asked = follower.asks();
    // It came after the log was read, so that has nothing of it.
    follower.push(push(mark(8, 80), 9, 90), &mut news);
    let caught_up = follower.caught_up(asked, &reading(mark(5, 50), vec![]));
    assert!(caught_up.news.is_empty() && !caught_up.is_restarted);
    assert_eq!(caught_up.void.len(), 1);
    assert!(follower.has_gap(), "what came later may be behind it");
}
