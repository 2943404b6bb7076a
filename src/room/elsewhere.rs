//! What members in other processes show, for those who join here.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::document_log::Shown;
use crate::ids::{ClientSessionId, Topic};

/// What members in other processes show.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    members: HashMap<ClientSessionId, OfMember>,
}

#[derive(Debug)]
struct OfMember {
    process: u64,
    frames: HashMap<Topic, Bytes>,
}

impl Elsewhere {
    /// Keeps the newest frame of a topic of a member in another process.
    pub(super) fn keep(&mut self, shown: &Shown) {
        let Shown { process, client_session, topic, frame } = shown;
        let member = self
            .members
            .entry(*client_session)
            .or_insert_with(|| OfMember { process: *process, frames: HashMap::new() });
        member.process = *process;
        member.frames.insert(*topic, frame.clone());
    }

    /// Forgets what a member shows that has left a process, or all of that process. One that has come to another process
    /// meanwhile shows what it shows there.
    pub(super) fn hide(&mut self, process: u64, client_session: Option<ClientSessionId>) {
        match client_session {
            None => self.members.retain(|_, member| member.process != process),
            Some(client_session) => {
                if self.members.get(&client_session).is_some_and(|member| member.process == process) {
                    self.members.remove(&client_session);
                }
            }
        }
    }

    /// A member has come to another process, which says from now on what it shows.
    pub(super) fn went(&mut self, process: u64, client_session: ClientSessionId) {
        if let Some(member) = self.members.get_mut(&client_session) {
            member.process = process;
        }
    }

    /// A member has come here.
    pub(super) fn came(&mut self, client_session: ClientSessionId) {
        self.members.remove(&client_session);
    }

    /// What is shown here, and behind it what is shown elsewhere, up to `max_bytes`.
    pub(super) fn shown(&self, here: Bytes, max_bytes: usize) -> Bytes {
        if self.members.is_empty() {
            return here;
        }
        let mut out = BytesMut::from(&here[..]);
        for frame in self.members.values().flat_map(|member| member.frames.values()) {
            if out.len() + frame.len() <= max_bytes {
                out.put_slice(frame);
            }
        }
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Elsewhere, Shown};
    use crate::ids::{ClientSessionId, Topic};

    fn shown(process: u64, client_session: u64, frame: &'static [u8]) -> Shown {
        let client_session = ClientSessionId::new(client_session);
        Shown { process, client_session, topic: Topic::Awareness, frame: Bytes::from_static(frame) }
    }

    #[test]
    fn the_newest_of_each_member_is_shown_until_it_leaves_where_it_is() {
        let mut elsewhere = Elsewhere::default();
        let all = |elsewhere: &Elsewhere| elsewhere.shown(Bytes::from_static(b"here "), 100);
        elsewhere.keep(&shown(1, 7, b"old"));
        elsewhere.keep(&shown(1, 7, b"new"));
        assert_eq!(&all(&elsewhere)[..], b"here new");
        // It has gone on to another process before the first has noticed.
        elsewhere.keep(&shown(2, 7, b"there"));
        elsewhere.hide(1, Some(ClientSessionId::new(7)));
        assert_eq!(&all(&elsewhere)[..], b"here there");
        assert_eq!(&elsewhere.shown(Bytes::from_static(b"here "), 6)[..], b"here ", "no more than may be");
        elsewhere.went(3, ClientSessionId::new(7));
        elsewhere.hide(2, None);
        assert_eq!(&all(&elsewhere)[..], b"here there", "a third process has it now");
        elsewhere.hide(3, None);
        assert_eq!(&all(&elsewhere)[..], b"here ");
        elsewhere.keep(&shown(1, 7, b"back"));
        elsewhere.came(ClientSessionId::new(7));
        assert_eq!(&all(&elsewhere)[..], b"here ");
    }
}
