use crate::document::authority::{Attempt, Authority, Turns, Verdict};

const TOLD_NOTHING: Verdict = Verdict::Stale { retry_in_ms: None };

/// An authority at version 10, and what its writers are told.
struct Scene(Authority);

impl Scene {
    fn new(turns: Turns) -> Self {
        Self(Authority::with_turns(10, turns))
    }

    fn old(&mut self, writer: u64, now: u64) -> Verdict {
        self.0.submit(Attempt { writer, version: self.0.head() - 1, count: 1 }, now)
    }

    fn current(&mut self, writer: u64, now: u64) -> Verdict {
        self.0.submit(Attempt { writer, version: self.0.head(), count: 1 }, now)
    }

    fn is_accepted(&mut self, writer: u64, now: u64) -> bool {
        matches!(self.current(writer, now), Verdict::Accepted { .. })
    }

    fn wait(&mut self, writer: u64, now: u64) -> u32 {
        match self.current(writer, now) {
            Verdict::Stale { retry_in_ms } => retry_in_ms.unwrap_or_default(),
            verdict => panic!("{verdict:?}"),
        }
    }
}

#[test]
fn while_nobody_was_refused_everybody_is_accepted() {
    let mut scene = Scene::new(Turns::Fair);
    for writer in 0..100 {
        assert!(scene.is_accepted(writer, 0));
    }
}

#[test]
fn who_was_refused_has_the_next_turn_and_the_others_are_told_when_theirs_is() {
    let mut scene = Scene::new(Turns::Fair);
    assert_eq!(scene.old(1, 0), TOLD_NOTHING);
    let wait = scene.wait(2, 10);
    assert!((90..=110).contains(&wait), "a first round trip is taken for 100 ms: {wait}");
    assert!(scene.wait(3, 10) > 0);
    assert!(scene.is_accepted(1, 100));
    assert!(!scene.is_accepted(1, 101), "not twice where others wait");
    assert!(!scene.is_accepted(3, 110));
    assert!(scene.is_accepted(2, 120));
    assert!(scene.is_accepted(3, 240));
    assert!(scene.is_accepted(1, 360));
    assert!(scene.is_accepted(2, 361), "nobody waits any more");
}

#[test]
fn a_turn_that_is_not_used_goes_to_the_next() {
    let mut scene = Scene::new(Turns::Fair);
    scene.old(1, 0);
    scene.wait(2, 0);
    assert!(!scene.is_accepted(2, 250));
    assert!(scene.is_accepted(2, 300), "a first turn is 2.6 times some 100 ms");
}

#[test]
fn who_comes_late_and_has_kept_nobody_waiting_is_accepted() {
    let mut scene = Scene::new(Turns::Fair);
    scene.old(1, 0);
    assert!(scene.is_accepted(1, 1_000_000));
}

#[test]
fn a_turn_is_as_long_as_its_writer_needs_but_no_longer_than_two_seconds() {
    let mut scene = Scene::new(Turns::Fair);
    scene.old(1, 0);
    // Its line takes 500 ms.
    assert_eq!(scene.current(1, 500), Verdict::Accepted { before: 10, after: 11 });
    scene.old(1, 1000);
    scene.wait(2, 1000);
    assert!(!scene.is_accepted(2, 2300));
    assert!(scene.is_accepted(2, 2301));

    for now in [3000, 5000, 7000] {
        // It takes two seconds each time.
        scene.old(1, now);
        assert!(scene.is_accepted(1, now + 1990));
    }
    scene.old(1, 10_000);
    scene.wait(2, 10_000);
    assert!(!scene.is_accepted(2, 12_000));
    assert!(scene.is_accepted(2, 12_001));
}

#[test]
fn those_who_have_gone_silent_do_not_each_have_a_whole_turn() {
    let mut scene = Scene::new(Turns::Fair);
    for writer in 0..50 {
        scene.old(writer, 0);
    }
    scene.wait(99, 0);
    // Most were told to come again within the first ten seconds, and none has.
    let mut now = 0;
    while !scene.is_accepted(99, now) {
        now += 10;
    }
    assert!(now < 6000, "{now} ms instead of 50 turns of 260 ms");
}

#[test]
fn sending_an_old_version_again_and_again_keeps_no_turn() {
    let mut scene = Scene::new(Turns::Fair);
    scene.old(1, 0);
    scene.wait(2, 0);
    for now in 1..300 {
        assert_eq!(scene.old(1, now), TOLD_NOTHING);
    }
    assert!(scene.is_accepted(2, 300));
}

#[test]
fn a_batch_that_was_under_way_before_the_refusal_does_not_make_a_line_look_quick() {
    let mut scene = Scene::new(Turns::Fair);
    scene.is_accepted(9, 0);
    // Three batches for version 10, sent one behind the other.
    for now in [10, 11, 12] {
        assert_eq!(scene.old(1, now), TOLD_NOTHING);
    }
    assert!(scene.is_accepted(1, 310));
    scene.old(1, 1000);
    scene.wait(2, 1000);
    assert!(!scene.is_accepted(2, 1700), "its turn is 2.6 times 300 ms");
}

#[test]
fn who_waits_behind_others_and_was_slow_once_is_never_told_to_come_at_once() {
    let mut scene = Scene::new(Turns::Fair);
    // It takes 2 s to come again, and stands behind two that take no time.
    scene.old(3, 0);
    assert!(scene.is_accepted(3, 2000));
    scene.old(1, 2001);
    scene.wait(2, 2002);
    for now in 2003..2020 {
        assert!(scene.wait(3, now) >= 15, "at {now}");
    }
}

#[test]
fn who_leaves_gives_up_its_turn_and_its_place() {
    let mut scene = Scene::new(Turns::Fair);
    for writer in [1, 2, 3] {
        scene.old(writer, 0);
    }
    scene.0.leave(2);
    scene.0.leave(1);
    assert!(!scene.is_accepted(4, 1));
    assert!(scene.is_accepted(3, 2));
    assert!(scene.is_accepted(4, 3));
}

#[test]
fn a_store_that_failed_costs_nobody_its_place() {
    let mut scene = Scene::new(Turns::Fair);
    assert!(scene.is_accepted(9, 0));
    scene.old(1, 1);
    scene.wait(2, 1);
    scene.0.rollback();
    assert_eq!(scene.0.head(), 10);
    assert!(!scene.is_accepted(2, 50));
    assert!(scene.is_accepted(1, 100));
    assert!(scene.is_accepted(2, 200));
}

#[test]
fn after_a_jump_nobody_waits() {
    let mut scene = Scene::new(Turns::Fair);
    scene.old(1, 0);
    assert!(!scene.is_accepted(2, 0));
    assert!(!scene.0.jump(10), "a version is never given twice");
    assert!(scene.0.jump(11));
    assert_eq!((scene.0.head(), scene.0.version()), (11, 11));
    assert!(scene.is_accepted(2, 0));
}

#[test]
fn plain_refusal_knows_no_turns() {
    let mut scene = Scene::new(Turns::Plain);
    assert_eq!(scene.old(1, 0), TOLD_NOTHING);
    assert!(scene.is_accepted(2, 0));
    assert_eq!(scene.old(1, 1), TOLD_NOTHING);
}

#[test]
fn whose_batch_another_process_was_before_keeps_its_turn() {
    let mut scene = Scene::new(Turns::Fair);
    assert_eq!(scene.old(1, 0), TOLD_NOTHING);
    assert!(scene.wait(2, 10) > 0);
    assert!(scene.is_accepted(1, 100));
    // It has found something else in its place, at version 13.
    scene.0.overtaken(13);
    scene.0.give_back(1, 110);
    assert_eq!((scene.0.head(), scene.0.version()), (13, 13));
    assert!(!scene.is_accepted(2, 120));
    assert!(scene.is_accepted(1, 150));
    assert!(scene.is_accepted(2, 200));
}

#[test]
fn who_waits_in_another_process_has_its_turn_here_and_no_longer_than_its_line_needs() {
    let mut scene = Scene::new(Turns::Fair);
    scene.0.waits_elsewhere(7, 200, 0);
    assert!(!scene.is_accepted(1, 10), "it is not its turn");
    scene.0.overtaken(20);
    scene.0.served_elsewhere(7, 100);
    assert!(scene.is_accepted(1, 110));
    scene.0.waits_elsewhere(7, 200, 200);
    assert!(!scene.is_accepted(2, 700));
    assert!(scene.is_accepted(2, 800), "it has not come");
}
