//! No store: what was said is gone with the process.

use super::{Outcomes, SetAside, Store, StoreError, Stored, Write};
use crate::ids::Id;

/// Keeps nothing, for documents whose app wants no file. Nothing that it answers may be called stored.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl Store for Nowhere {
    fn load(&mut self, _: &Id) -> Result<Option<Stored>, StoreError> {
        Ok(None)
    }

    fn commit(&mut self, lists: &[Vec<Write>]) -> Result<Outcomes, StoreError> {
        Ok(lists.iter().map(|_| Ok(())).collect())
    }

    fn unsaved(&mut self) -> Result<Vec<Id>, StoreError> {
        Ok(Vec::new())
    }

    fn set_aside(&mut self, _: Option<&Id>) -> Result<Vec<SetAside>, StoreError> {
        Ok(Vec::new())
    }

    fn meta(&mut self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn compact(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}
