//! Nobody starves: how long many editors wait that all type at once, with fair turns and beside them plain refusal.
//!
//! `cargo test --no-default-features starvation -- --nocapture` prints the tables.

use super::editors::{Manner, Outcome, Run};
use crate::document::authority::Turns;

fn run(editors: usize, is_unequal: bool, turns: Turns) -> Run {
    Run { editors, is_unequal, first: Manner::Patient, turns, store: (1, 6), seconds: 60, seed: 9 }
}

fn print(run: &Run, outcome: &Outcome) {
    let Run { editors, is_unequal, turns, seconds, .. } = run;
    let trips = if *is_unequal { "50 ms, every fourth 200" } else { "50 ms" };
    let [p50, p99, longest] = outcome.of_all();
    let (accepted, refused) = (outcome.accepted / seconds, outcome.refused / seconds);
    println!(
        "{editors:>3} editors, {trips:<23} {turns:?}: {accepted:>2}/s accepted {refused:>4}/s refused, \
         p50 {p50:>5} p99 {p99:>5} longest {longest:>5} ms"
    );
}

/// Milliseconds that a model of fair turns needed until a character was confirmed: the median, 99 of 100, the longest.
const MODEL: [(usize, bool, [u64; 3]); 6] = [
    (5, false, [237, 444, 504]),
    (5, true, [495, 1141, 1298]),
    (20, false, [790, 1570, 1681]),
    (20, true, [1345, 2788, 3026]),
    (50, false, [1880, 3834, 4046]),
    (50, true, [3251, 6853, 7366]),
];

#[test]
fn with_fair_turns_everybody_is_confirmed_as_soon_as_in_the_model() {
    for (editors, is_unequal, model) in MODEL {
        let [plain, fair] = [Turns::Plain, Turns::Fair].map(|turns| {
            let run = run(editors, is_unequal, turns);
            let outcome = run.play();
            print(&run, &outcome);
            outcome.of_all()
        });
        for (took, model) in fair.into_iter().zip(model) {
            assert!(took * 4 <= model * 5, "{editors} editors waited {took} ms, {model} in the model");
        }
        assert!(fair[2] < plain[2], "the longest wait is shorter than with plain refusal");
    }
}

#[test]
fn plain_refusal_never_confirms_who_is_slower_than_the_others() {
    let outcome = run(20, true, Turns::Plain).play();
    let is_slow = |editor| editor % 4 == 0;
    let ([slow, ..], [quick, ..]) = (outcome.waits(is_slow), outcome.waits(|editor| !is_slow(editor)));
    assert!(slow > 20_000 && quick < 2000, "slow {slow} ms, quick {quick} ms");
}

#[test]
fn among_200_nobody_waits_longer_than_a_minute() {
    for is_unequal in [false, true] {
        let plain = run(200, is_unequal, Turns::Plain);
        print(&plain, &plain.play());
        // Long enough for a wait of more than a minute to be seen.
        let fair = Run { seconds: 150, ..run(200, is_unequal, Turns::Fair) };
        let outcome = fair.play();
        print(&fair, &outcome);
        assert!(outcome.of_all()[2] < 60_000);
    }
}

#[test]
fn a_slow_disk_costs_each_turn_its_time_and_no_more() {
    let run = Run { store: (30, 80), ..run(20, false, Turns::Fair) };
    let outcome = run.play();
    print(&run, &outcome);
    // A round trip and a half and the slowest write, for each of them.
    assert!(outcome.of_all()[1] < 20 * (75 + 80));
}

#[test]
fn who_hammers_gains_nothing_and_costs_the_others_nothing() {
    for is_unequal in [false, true] {
        let patient = run(20, is_unequal, Turns::Fair);
        let [.., patient_p99, _] = patient.play().of_all();
        let hammering = Run { first: Manner::Hammering, ..patient }.play();
        let [own_p50, ..] = hammering.waits(|editor| editor == 0);
        let [p50, p99, _] = hammering.waits(|editor| editor != 0);
        println!(
            "hammering: p50 {own_p50} ms, the others p50 {p50} p99 {p99} ms; all patient: p99 {patient_p99} ms"
        );
        assert!(own_p50 * 5 >= p50 * 4, "it was confirmed after {own_p50} ms, the others after {p50} ms");
        assert!(p99 * 4 <= patient_p99 * 5, "the others waited {p99} ms instead of {patient_p99} ms");
    }
}

#[test]
fn who_does_not_use_its_turn_holds_the_others_up_for_no_more_than_that() {
    for is_unequal in [false, true] {
        let patient = run(20, is_unequal, Turns::Fair);
        let [.., patient_p99, _] = patient.play().of_all();
        let [.., p99, _] = Run { first: Manner::Vanishing, ..patient }.play().waits(|editor| editor != 0);
        println!("vanishing: the others p99 {p99} ms; all patient: p99 {patient_p99} ms");
        assert!(p99 * 4 <= patient_p99 * 5, "the others waited {p99} ms instead of {patient_p99} ms");
    }
}
