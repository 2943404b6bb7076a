//! Which write fits what is kept of its document.

use super::{Write, record::Head};

/// A document that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// What is kept of it beside its texts.
    pub(super) head: Head,
    /// The position behind its last entry.
    pub(super) end: u64,
    /// What that was at the last commit: what comes behind it is not stored yet.
    pub(super) stored: u64,
}

/// Changes `kept` as `write` would. `None` where the write does not fit, and then nothing is changed.
///
/// That an entry ends at a snapshot's position is not seen here.
pub(super) fn follow(kept: &mut Option<Kept>, write: &Write) -> Option<()> {
    match (write, &mut *kept) {
        (Write::Create { kind, epoch, base, saved, offset, .. }, None) if saved <= base => {
            let head = Head {
                kind: *kind,
                epoch: *epoch,
                base: *base,
                saved: *saved,
                saving: None,
                offset: *offset,
                passing: None,
            };
            *kept = Some(Kept { head, end: *base, stored: *base });
        }
        (Write::Append { entry, .. }, Some(Kept { end, .. })) if entry.before == *end && entry.count > 0 => {
            *end = end.checked_add(u64::from(entry.count))?;
        }
        (Write::Snapshot { position, .. }, Some(Kept { head, stored, .. }))
            if (head.base..=*stored).contains(position) =>
        {
            head.base = *position;
        }
        (Write::Saving { position, .. }, Some(Kept { head, end, .. })) if position <= end => {
            head.saving = Some(*position);
        }
        (Write::Saved { position, .. }, Some(Kept { head, end, .. })) if position <= end => {
            head.saved = head.saved.max(*position);
            head.saving = head.saving.filter(|saving| saving > position);
        }
        (Write::Passing { passing, .. }, Some(Kept { head, .. })) => head.passing = Some(*passing),
        (Write::Forget { .. }, _) => *kept = None,
        (Write::SetAside { .. } | Write::Meta { .. }, _) => {}
        _ => return None,
    }
    Some(())
}
