//! Sending what a room gathered to one of its members.

use super::{
    Connection,
    batch::{Batch, BatchFrame},
    writer::{Phase, Writer},
};
use crate::sync::lock;

impl Connection {
    /// Sends the frames of a batch that are for this member; what is not is noted. Returns how many bytes wait for it then.
    pub(crate) fn send_batch(&self, batch: &Batch, is_for: impl Fn(&BatchFrame) -> bool) -> usize {
        let mut writer = lock(&self.writer);
        if writer.phase == Phase::Open && batch.is_whole_for(self.id) {
            let written = writer.write(&batch.bytes);
            if written == batch.bytes.len() {
                return 0;
            }
            return self.queue(&mut writer, batch, written, is_for);
        }
        self.send_part(&mut writer, batch, is_for)
    }

    /// Sends some frames of a batch, or none where it is closing. Apart, so that what is done for most members is short.
    #[inline(never)]
    fn send_part(&self, writer: &mut Writer, batch: &Batch, is_for: impl Fn(&BatchFrame) -> bool) -> usize {
        if writer.phase != Phase::Open {
            batch.sent_part(0, 0);
            return 0;
        }
        let mut frames = 0;
        let gathered: Vec<u8> = batch
            .ranges()
            .filter(|(_, frame)| is_for(frame))
            .inspect(|_| frames += 1)
            .flat_map(|(range, _)| &batch.bytes[range])
            .copied()
            .collect();
        batch.sent_part(frames, gathered.len());
        if gathered.is_empty() {
            return 0;
        }
        let written = writer.write(&gathered);
        if written == gathered.len() {
            return 0;
        }
        self.queue(writer, batch, written, is_for)
    }

    /// Has what the socket has not taken of a batch wait; returns how many bytes wait then.
    #[inline(never)]
    fn queue(
        &self,
        writer: &mut Writer,
        batch: &Batch,
        mut written: usize,
        is_for: impl Fn(&BatchFrame) -> bool,
    ) -> usize {
        for (range, frame) in batch.ranges().filter(|(_, frame)| is_for(frame)) {
            let length = range.len();
            let done = written.min(length);
            written -= done;
            if done == 0 {
                writer.outbox_mut().push(batch.bytes.slice(range), frame.meta.from, frame.meta.policy);
            } else if done < length {
                writer.outbox_mut().push_rest(batch.bytes.slice(range.start + done..range.end));
            }
        }
        self.waits(writer);
        writer.outbox_mut().bytes()
    }
}
