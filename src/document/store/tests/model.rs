//! What a store must keep, as plainly as it can be said, and writes at random.

use std::collections::BTreeMap;

use super::{
    super::{LastNumber, Passing, Store, Stored, Write},
    Epoch, append, create,
    disk::Random,
    entry, forget, id, saved, saving, snapshot,
};

/// The documents of the tests.
const DOCUMENTS: [&str; 5] = ["a", "a ", "b", "long \"name\" é", "z"];

/// Documents by their ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Model(BTreeMap<String, Stored>);

impl Model {
    /// Does writes that fit.
    pub(super) fn put(&mut self, list: &[Write]) {
        for write in list {
            let Some(name) = write.document().map(|id| id.text().to_owned()) else { continue };
            match write.clone() {
                Write::Create { kind, epoch, base, snapshot, saved, offset, .. } => {
                    let (entries, numbers, saving, passing) = (vec![], vec![], None, None);
                    self.0.insert(
                        name,
                        Stored {
                            kind,
                            epoch,
                            base,
                            snapshot,
                            entries,
                            numbers,
                            saved,
                            saving,
                            offset,
                            passing,
                        },
                    );
                }
                Write::Forget { .. } => drop(self.0.remove(&name)),
                Write::Append { entry, .. } => self.of(&name).entries.push(entry),
                Write::Snapshot { position, body, .. } => {
                    let document = self.of(&name);
                    (document.base, document.snapshot) = (position, Some(body));
                    let (before, behind): (Vec<_>, Vec<_>) =
                        document.entries.drain(..).partition(|entry| entry.before < position);
                    document.entries = behind;
                    for entry in before {
                        document.offset = entry.offset;
                        let Some(number) = entry.number else { continue };
                        document.numbers.retain(|last| last.client != entry.client);
                        let after = entry.after();
                        document.numbers.push(LastNumber { client: entry.client, number, after });
                    }
                }
                Write::Saving { position, .. } => self.of(&name).saving = Some(position),
                Write::Saved { position, .. } => {
                    let document = self.of(&name);
                    document.saved = document.saved.max(position);
                    document.saving = document.saving.filter(|saving| *saving > position);
                }
                Write::Passing { passing, .. } => self.of(&name).passing = Some(passing),
                Write::SetAside { .. } | Write::Meta { .. } => {}
            }
        }
    }

    fn of(&mut self, name: &str) -> &mut Stored {
        self.0.get_mut(name).unwrap()
    }

    /// Lists of writes for one commit, which fit, and what is kept when they are done.
    pub(super) fn lists(&self, random: &mut Random) -> (Vec<Vec<Write>>, Self) {
        let (mut after, mut lists) = (self.clone(), Vec::new());
        for _ in 0..=random.below(4) {
            let mut list = Vec::new();
            for _ in 0..=random.below(3) {
                let write = after.write(self, random);
                after.put(std::slice::from_ref(&write));
                list.push(write);
            }
            lists.push(list);
        }
        (lists, after)
    }

    fn write(&self, stored: &Self, random: &mut Random) -> Write {
        let name = DOCUMENTS[random.below(DOCUMENTS.len())];
        let Some(document) = self.0.get(name) else {
            let mut create = create(name, 3, Some("first"));
            if let Write::Create { epoch, .. } = &mut create {
                *epoch = Epoch::new(random.0);
            }
            return create;
        };
        let position = document.position();
        // What a snapshot may be of.
        let stored = stored.0.get(name).filter(|stored| stored.epoch == document.epoch);
        match random.below(20) {
            0 => forget(name),
            1 => saving(name, position),
            2 => saved(name, position),
            12 => {
                let behind = document.last_offset();
                let passing = Passing { behind, up_to: behind + 5 };
                Write::Passing { document: id(name), passing }
            }
            3 if stored.is_some() => Write::Snapshot {
                document: id(name),
                position: stored.unwrap().position(),
                kept_from: stored.unwrap().position(),
                // Sometimes more than a page.
                body: "snapshot ".repeat(random.below(2000)),
            },
            4 if stored.is_some_and(|stored| !stored.entries.is_empty() && stored.base == document.base) => {
                let entries = &stored.unwrap().entries;
                snapshot(name, entries[random.below(entries.len())].before)
            }
            5..12 => {
                let client = ["x", "y", "z"][random.below(3)];
                let mut entry =
                    entry(position, 1 + u32::try_from(random.below(4)).unwrap(), client, position);
                entry.body = "step ".repeat(random.below(300));
                Write::Append { document: id(name), entry }
            }
            _ => append(name, position, 1),
        }
    }

    /// Whether this may be found where a commit failed that would have made `after` out of `before`.
    pub(super) fn may_follow(&self, before: &Self, after: &Self) -> bool {
        DOCUMENTS.into_iter().all(|name| match (before.0.get(name), self.0.get(name), after.0.get(name)) {
            (None, found, _) => found.is_none(),
            // Forgotten, and perhaps created again.
            (Some(before), found, after) if after.is_none_or(|after| after.epoch != before.epoch) => {
                found == Some(before) || found == after
            }
            (Some(before), Some(found), Some(after)) => {
                let same = |of: fn(&Stored) -> (u64, u64, Option<u64>)| {
                    of(found) == of(before) || of(found) == of(after)
                };
                found.position() == before.position()
                    && before.entries.ends_with(&found.entries)
                    && same(|stored| (stored.base, stored.saved, stored.saving))
            }
            (Some(_), None, Some(_)) | (Some(_), _, None) => false,
        })
    }

    /// What `store` keeps.
    pub(super) fn of_store(store: &mut dyn Store) -> Self {
        let load = |name: &str| store.load(&id(name)).unwrap().map(|stored| (name.to_owned(), stored));
        Self(DOCUMENTS.into_iter().filter_map(load).collect())
    }
}
