//! Text among bytes, behind its length.

use bytes::{Buf, BufMut};

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    // No message is longer than 64 MiB.
    out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.put_slice(text.as_bytes());
}

/// `None` where there is not all of it, or it is none.
pub(super) fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(from.try_get_u32().ok()?).ok()?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok()
}
