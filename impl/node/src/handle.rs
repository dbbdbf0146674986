//! How a program talks to the node that runs in it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc, oneshot};

use super::{
    node::Input,
    packet::Packet,
    peers::{Admission, Handshake},
    proposals::ProposeError,
    reads::ReadError,
    status::Status,
};
use crate::{
    machine::StateMachine,
    session::{ClientSession, Request},
};
use paxos::types::NodeId;

/// Lets clients ask a node. Cheap to clone; the node runs on until [`Handle::stop`].
pub struct Handle<M: StateMachine> {
    pub(super) inputs: mpsc::Sender<Input<M>>,
    pub(super) room: Arc<Room>,
    pub(super) command_bytes_max: usize,
}

/// What limits how much waits in a node; what is more waits to be let in.
pub(super) struct Room {
    requests: Semaphore,
    bytes: Semaphore,
    bytes_max: usize,
}

impl Room {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(1, u32::MAX as usize);
        let [requests, bytes] = [requests_max, bytes_max].map(Semaphore::new);
        Self { requests, bytes, bytes_max }
    }

    /// Waits for room for one request. One that needs more than there is takes all. Whoever waits for bytes keeps
    /// no place from those who need none.
    async fn enter(&self, bytes: usize) -> Result<[SemaphorePermit<'_>; 2], AcquireError> {
        let bytes = bytes.min(self.bytes_max) as u32;
        let bytes = self.bytes.acquire_many(bytes).await?;
        Ok([bytes, self.requests.acquire().await?])
    }
}

impl<M: StateMachine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        let Self { inputs, room, command_bytes_max } = self;
        Self { inputs: inputs.clone(), room: room.clone(), command_bytes_max: *command_bytes_max }
    }
}

impl<M: StateMachine> Handle<M> {
    /// Has a command chosen and applied, and gives what the machine answered. It is applied once,
    /// however often it has to be asked for, unless the error says otherwise
    /// ([`ProposeError::may_be_applied`]). Waits while too many others are waiting. Whoever drops the future leaves
    /// open whether it is applied.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn propose(&self, command: impl Into<Bytes>) -> Result<M::Answer, ProposeError> {
        let command = command.into();
        self.check(&command)?;
        self.ask(command.len(), |reply| Input::Propose { command, reply }).await
    }

    /// Opens a session for a client of its own, so that it can ask another node when this one does not
    /// answer. [`propose`](Self::propose) needs none; but if the node stops while it waits, nobody can tell
    /// whether the command will be applied.
    ///
    /// # Errors
    /// Why there is none. If it was opened nevertheless, it expires.
    pub async fn open_session(&self) -> Result<ClientSession, ProposeError> {
        self.ask(0, Input::Open).await.map(|session| ClientSession::new(session.slot))
    }

    /// Has a command of a session chosen and applied, once, however often and of whichever nodes it is
    /// asked for, and returns what the machine answered then. After an error that
    /// is not [final](ProposeError::is_final), ask again, here or elsewhere: with a clone of the request, since the
    /// node keeps the only copy of the command while it is asked.
    ///
    /// # Errors
    /// Why there is no answer. For one that was heard already ([`ClientSession::heard`]) none is kept.
    pub async fn request(&self, request: Request) -> Result<M::Answer, ProposeError> {
        self.check(request.command())?;
        self.ask(request.command().len(), |reply| Input::Request { request, reply }).await
    }

    fn check(&self, command: &Bytes) -> Result<(), ProposeError> {
        let (found, most) = (command.len(), self.command_bytes_max);
        if found > most { Err(ProposeError::TooLong { found, most }) } else { Ok(()) }
    }

    async fn ask<A>(
        &self,
        bytes: usize,
        input: impl FnOnce(oneshot::Sender<Result<A, ProposeError>>) -> Input<M>,
    ) -> Result<A, ProposeError> {
        let Ok(_room) = self.room.enter(bytes).await else {
            return Err(ProposeError::StoppedBefore);
        };
        let (reply, answer) = oneshot::channel();
        self.inputs.send(input(reply)).await.map_err(|_| ProposeError::StoppedBefore)?;
        answer.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// Reads the machine, in a state that has seen every command that was answered, by any node,
    /// before this was called. `reading` runs on the node's own thread and should be quick.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn read<R: Send + 'static>(
        &self,
        reading: impl FnOnce(&M) -> R + Send + 'static,
    ) -> Result<R, ReadError> {
        let Ok(_room) = self.room.enter(0).await else { return Err(ReadError::Stopped) };
        let (reply, answer) = oneshot::channel();
        let reading = Box::new(move |machine: Result<&M, ReadError>| {
            let _ = reply.send(machine.map(reading)); // Nobody may wait any more.
        });
        let asked = self.inputs.send(Input::Read(reading)).await;
        asked.map_err(|_| ReadError::Stopped)?;
        match answer.await {
            Ok(answer) => answer,
            Err(_) if self.inputs.is_closed() => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::Panicked),
        }
    }

    /// How the node is; nothing once it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Status(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Resolves once the node has stopped.
    pub async fn stopped(&self) {
        self.inputs.closed().await;
    }

    /// Lets the node finish what it has taken in, and stops it. Whoever still waits is told.
    pub async fn stop(&self) {
        let _ = self.inputs.send(Input::Stop).await; // It may have stopped already.
        self.inputs.closed().await;
    }

    /// Hands the node a packet that a transport has carried. Waits while the node is behind.
    pub async fn deliver(&self, from: NodeId, packet: Packet) {
        let _ = self.inputs.send(Input::Packet { from, packet, room: None }).await; // It may have stopped.
    }

    /// Hands the node a packet, and the room that it takes until then.
    pub(super) async fn deliver_in(
        &self,
        from: NodeId,
        packet: Packet,
        room: OwnedSemaphorePermit,
    ) {
        let input = Input::Packet { from, packet, room: Some(room) };
        let _ = self.inputs.send(input).await; // It may have stopped.
    }

    /// Tells the node how a peer introduces itself. Gives what to answer; nothing once the node has stopped.
    /// Packets of a peer are to be delivered only after [`Admission::Welcome`], and none any more of a connection that
    /// it made before.
    pub async fn introduce(&self, peer: NodeId, handshake: Handshake) -> Option<Admission> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Handshake { peer, handshake, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Tells the node what a peer says to its own introduction. If that is [`Admission::Banned`] or
    /// [`Admission::Replaced`], it stops.
    pub async fn answered(&self, by: NodeId, answer: Admission) {
        let _ = self.inputs.send(Input::Admitted { by, admission: answer }).await; // It may have stopped.
    }
}

#[cfg(any(test, feature = "test-support"))]
impl<M: StateMachine> Handle<M> {
    /// A handle without a node, to test the code that asks a node. `answer` returns the answers to proposed commands. A
    /// command without an answer waits for ever, and so does any other request. It needs a tokio runtime.
    pub fn without_node(
        mut answer: impl FnMut(Bytes) -> Option<M::Answer> + Send + 'static,
    ) -> Self {
        let (inputs, mut arriving) = mpsc::channel(8);
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some(input) = arriving.recv().await {
                let Input::Propose { command, reply } = input else { continue };
                match answer(command) {
                    Some(answer) => drop(reply.send(Ok(answer))),
                    None => unanswered.push(reply),
                }
            }
        });
        let room = Arc::new(Room::new(1 << 10, usize::MAX));
        Self { inputs, room, command_bytes_max: usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::machine::tests::Counter;

    /// How many of three commands of two bytes get in before the first is answered, and how many after.
    async fn let_in((requests_max, bytes_max): (usize, usize)) -> [usize; 2] {
        let (inputs, mut arriving) = mpsc::channel(8);
        let room = Arc::new(Room::new(requests_max, bytes_max));
        let handle = Handle::<Counter> { inputs, room, command_bytes_max: 2 };
        for _ in 0..3 {
            let handle = handle.clone();
            tokio::spawn(async move { handle.propose("ab").await });
        }
        let mut replies = Vec::new();
        let mut counts = [0, 0];
        for count in &mut counts {
            // Time stands still until nothing else can happen.
            while let Ok(Some(input)) = timeout(Duration::from_millis(1), arriving.recv()).await {
                let Input::Propose { reply, .. } = input else { panic!("nobody asks for more") };
                replies.push(reply);
                *count += 1;
            }
            replies.remove(0).send(Ok(Bytes::new())).unwrap();
        }
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_their_bytes_are_limited() {
        assert_eq!(let_in((3, 6)).await, [3, 0]);
        assert_eq!(let_in((2, 6)).await, [2, 1]);
        assert_eq!(let_in((3, 5)).await, [2, 1]);
        assert_eq!(let_in((3, 1)).await, [1, 1], "what is larger than all the room gets in alone");
    }
}
