use std::time::Duration;

use super::{
    super::{Store, redb::RedbStore},
    disk::{Disk, Random},
    model::Model,
};

fn on(disk: &Disk) -> RedbStore {
    RedbStore::on(Box::new(disk.clone()), Duration::ZERO).unwrap()
}

/// Commits lists of writes until the power is cut. What was stored by then, and what would have been with the last commit.
fn until_the_power_is_cut(disk: &Disk, mut model: Model, random: &mut Random) -> (Model, Model) {
    let mut store = on(disk);
    disk.cut_power_after(random.below(400));
    loop {
        let (lists, after) = model.lists(random);
        match store.commit(&lists) {
            Ok(outcomes) => outcomes.into_iter().collect::<Result<(), _>>().unwrap(),
            Err(_) => return (model, after),
        }
        model = after;
    }
}

#[test]
fn what_was_stored_outlives_a_power_cut_at_any_moment() {
    let (mut cuts, mut with_the_last) = (0, 0);
    for seed in 1..=60 {
        let mut random = Random(seed);
        let mut bytes = {
            let disk = Disk::default();
            drop(on(&disk));
            disk.after_power_cut(&mut random)
        };
        let mut stored = Model::default();
        for _ in 0..5 {
            let disk = Disk::holding(bytes);
            let (before, after) = until_the_power_is_cut(&disk, stored, &mut random);
            bytes = disk.after_power_cut(&mut random);
            let found = Model::of_store(&mut on(&Disk::holding(bytes.clone())));
            assert!(
                found == before || found == after,
                "seed {seed}: {found:#?}\nis neither {before:#?}\nnor {after:#?}"
            );
            cuts += 1;
            with_the_last += usize::from(found == after);
            stored = found;
        }
    }
    // Both happen, so both were tried.
    assert!(with_the_last > 0 && with_the_last < cuts, "{with_the_last} of {cuts}");
}

#[test]
fn the_power_may_be_cut_while_the_file_is_repaired_or_compacted() {
    for seed in 1..=60 {
        let mut random = Random(seed);
        let disk = Disk::default();
        let (before, after) = until_the_power_is_cut(&disk, Model::default(), &mut random);
        let mut bytes = disk.after_power_cut(&mut random);
        let mut expected = vec![before, after];
        for _ in 0..5 {
            let disk = Disk::holding(bytes);
            disk.cut_power_after(random.below(40));
            if let Ok(mut store) = RedbStore::on(Box::new(disk.clone()), Duration::ZERO) {
                drop(store.compact());
            }
            bytes = disk.after_power_cut(&mut random);
            let found = Model::of_store(&mut on(&Disk::holding(bytes.clone())));
            assert!(expected.contains(&found), "seed {seed}");
            // What was there once does not change any more.
            expected = vec![found];
        }
    }
}
