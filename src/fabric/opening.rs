//! A connection whose document is still being opened, or whose log is asked about it: it is told nothing, and nothing is
//! read from it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::member::{FabricHandler, Joining};
use crate::{
    connection::{
        Connection,
        endpoint::{Farewell, Handler, Tally},
    },
    recovery::Remembered,
    room::{
        Rooms,
        opening::{Phase, Recalling},
    },
    websocket::close::Close,
};

/// Becomes a [`FabricHandler`] once the document is open.
pub(super) struct OpeningHandler {
    rooms: Arc<Rooms>,
    deadline: Pin<Box<Sleep>>,
    /// What the document's log is asked.
    asked: Option<Asked>,
    stage: Stage,
}

/// What the log of a document is asked about a client that comes back: what was applied of it, and, where it has to reload, that
/// this is all there will ever be.
struct Asked {
    recalling: Recalling,
    is_fence: bool,
}

enum Stage {
    /// With the messages that came together with the request, which had been read by then.
    Waiting(Box<Joining>, Vec<(Vec<u8>, bool)>),
    Member(Box<FabricHandler>),
    /// It was turned away.
    Left,
}

impl OpeningHandler {
    pub(super) fn new(joining: Joining, rooms: Arc<Rooms>, timeout: Duration) -> Self {
        // Whatever there is to tell it comes behind what it begins with.
        joining.connection.hold();
        joining.room.wait();
        Self {
            rooms,
            deadline: Box::pin(sleep(timeout)),
            asked: None,
            stage: Stage::Waiting(Box::new(joining), Vec::new()),
        }
    }

    /// How far the room is, with what its log knows of the client that comes back.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let Stage::Waiting(joining, _) = &mut self.stage else { return Poll::Ready(Phase::Failed) };
        let phase = ready!(joining.room.poll_phase(joining.connection.id(), cx));
        let (Phase::Live, Some(ask)) = (phase, &joining.request) else { return Poll::Ready(phase) };
        if self.asked.is_none() {
            let recalling = self.rooms.recall(joining.room.document(), ask);
            self.asked = recalling.map(|recalling| Asked { recalling, is_fence: false });
        }
        while let Some(Asked { recalling, is_fence }) = &mut self.asked {
            let Ok(recalled) = ready!(Pin::new(recalling).poll(cx)) else {
                return Poll::Ready(Phase::Failed);
            };
            if *is_fence {
                joining.remembered = Remembered::Fenced(recalled);
                break;
            }
            joining.remembered = Remembered::InLog(recalled.applied);
            if recalled.applied.is_none() || !joining.has_gone() {
                break;
            }
            let Some(recalling) = self.rooms.fence(joining.room.document(), ask) else { break };
            self.asked = Some(Asked { recalling, is_fence: true });
        }
        Poll::Ready(phase)
    }

    /// Why the connection is closed, where it does not become a member.
    fn settle(&mut self, phase: Phase) -> Option<Close> {
        let Stage::Waiting(joining, early) = std::mem::replace(&mut self.stage, Stage::Left) else {
            return None;
        };
        let connection = Arc::clone(&joining.connection);
        let room = Arc::clone(&joining.room);
        let closes = match phase {
            Phase::Live => match joining.join(&self.rooms) {
                Ok(mut member) => {
                    for (payload, text) in early {
                        member.message(&connection, &payload, text);
                    }
                    member.read_end(&connection);
                    self.stage = Stage::Member(Box::new(member));
                    None
                }
                Err(close) => Some(close),
            },
            Phase::Failed => Some(Close::limit("The document could not be opened")),
            Phase::Crowded => Some(Close::limit("Too many wait for this document")),
        };
        // Not before it has joined: a room that nobody waits for and nobody has joined is forgotten.
        room.stop_waiting(connection.id());
        closes
    }
}

impl Handler for OpeningHandler {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], text: bool) {
        match &mut self.stage {
            Stage::Member(member) => member.message(connection, payload, text),
            Stage::Waiting(_, early) => early.push((payload.to_vec(), text)),
            Stage::Left => {}
        }
    }

    fn read_end(&mut self, connection: &Arc<Connection>) {
        if let Stage::Member(member) = &mut self.stage {
            member.read_end(connection);
        }
    }

    fn tally(&mut self) -> Tally<'_> {
        match &mut self.stage {
            Stage::Member(member) => member.tally(),
            Stage::Waiting(..) | Stage::Left => Tally::default(),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Stage::Waiting(joining, _) = &self.stage {
            let connection = Arc::clone(&joining.connection);
            let late = self.deadline.as_mut().poll(cx).is_ready();
            let closes = match self.poll_phase(cx) {
                Poll::Ready(phase) => self.settle(phase),
                Poll::Pending if late => {
                    self.settle(Phase::Crowded);
                    Some(Close::limit("The document was not opened in time"))
                }
                Poll::Pending => return Poll::Pending,
            };
            if let Some(close) = closes {
                log::warn!(connection = connection.id().number(); "connection {} is turned away: {}", connection.id(), close.reason);
                connection.close(&close);
            }
        }
        match &mut self.stage {
            Stage::Member(member) => member.poll_ready(cx),
            Stage::Waiting(..) | Stage::Left => Poll::Ready(()),
        }
    }

    fn leave(mut self: Box<Self>) -> Option<Box<dyn Farewell>> {
        match std::mem::replace(&mut self.stage, Stage::Left) {
            Stage::Member(member) => member.leave(),
            Stage::Waiting(joining, _) => {
                joining.room.stop_waiting(joining.connection.id());
                None
            }
            Stage::Left => None,
        }
    }
}
