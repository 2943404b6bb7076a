//! The fuzz targets over their seeds, and over some thousand changes of each, the same in every run. `fuzz/README.md`
//! says how to go on from there.

#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

const MUTATIONS: u64 = 4000;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }
}

fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        match random.below(6) {
            0 if at < data.len() => data[at] ^= 1 << random.below(8),
            1 if at < data.len() => {
                data[at] = [0, 0x7f, 0x80, 0xff, b'"', b'\\', b'{', b'[', b'&', b'='][random.below(10)];
            }
            2 => data.truncate(at),
            3 if at < data.len() => drop(data.remove(at)),
            4 => data.insert(at, random.below(256).to_le_bytes()[0]),
            // The end of another seed behind the beginning of this one.
            _ => {
                let other = &seeds[random.below(seeds.len())];
                data.truncate(at);
                data.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
        }
    }
}

fn run(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 5, "{name} has seeds");
    let mut random = Random(1);
    let hold = |data: &[u8]| {
        let held = catch_unwind(AssertUnwindSafe(|| target(data)));
        assert!(held.is_ok(), "{name} does not hold for {}", data.escape_ascii());
    };
    for seed in &seeds {
        hold(seed);
    }
    for number in 0..MUTATIONS {
        let mut data = seeds[random.below(seeds.len())].clone();
        for _ in 0..=number % 3 {
            mutate(&mut data, &seeds, &mut random);
        }
        hold(&data);
    }
}

#[test]
fn frames_cut_anywhere_are_the_same_messages() {
    run("frames", targets::frames);
}

#[test]
fn a_message_that_is_obeyed_goes_on_as_json_with_its_payload() {
    run("messages", targets::messages);
}

#[test]
fn only_a_token_that_was_signed_is_good() {
    run("token", targets::token);
}

#[test]
fn a_position_is_read_as_it_was_written_or_not_at_all() {
    run("recovery", targets::recovery);
}

#[test]
fn a_batch_that_is_let_in_is_an_array_of_steps_and_is_read_from_each_of_them_on() {
    run("steps", targets::steps);
}

#[test]
fn what_a_process_left_is_read_as_it_was_written_or_not_at_all() {
    run("state", targets::state);
}

#[test]
fn a_record_is_read_as_it_was_written_or_not_at_all() {
    run("records", targets::records);
}
