//! The handle by which a program sends requests to the node that runs in it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, mpsc, oneshot, watch};

use super::{
    hand_over::TransferError, leadership::Leadership, node::Input, options::Options,
    proposals::ProposeError, reads::ReadError, status::Status,
};
use crate::{
    machine::StateMachine,
    session::{ClientSession, Request},
};
use paxos::types::NodeId;

/// Sends requests to a node, from any thread. Cheap to clone. The node runs until [`ClientHandle::stop`] or
/// [`ClientHandle::leave`], or until its last [`ClientHandle`] and its last [`PeerHandle`](crate::PeerHandle) are
/// dropped.
pub struct ClientHandle<M: StateMachine> {
    pub(super) inputs: mpsc::Sender<Input<M>>,
    limits: Arc<RequestLimits>,
    leadership: watch::Receiver<Leadership>,
}

/// The limits of the requests that wait in a node. Further requests wait until earlier ones are answered.
pub(super) struct RequestLimits {
    requests: Semaphore,
    bytes: Semaphore,
    bytes_max: usize,
    command_bytes_max: usize,
}

impl RequestLimits {
    pub(super) fn new(options: &Options) -> Self {
        Self::with(options.requests_max, options.request_bytes_max, options.command_bytes_max)
    }

    fn with(requests_max: usize, bytes_max: usize, command_bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(1, u32::MAX as usize);
        let [requests, bytes] = [requests_max, bytes_max].map(Semaphore::new);
        Self { requests, bytes, bytes_max, command_bytes_max }
    }

    /// Waits until one more request may enter. A request with more bytes than the limit takes all permits for bytes. A
    /// request that waits for bytes does not yet count among the requests, so that requests without bytes overtake it.
    async fn enter(&self, bytes: usize) -> Result<[SemaphorePermit<'_>; 2], AcquireError> {
        let bytes = bytes.min(self.bytes_max) as u32;
        let bytes = self.bytes.acquire_many(bytes).await?;
        Ok([bytes, self.requests.acquire().await?])
    }

    fn check(&self, command: &Bytes) -> Result<(), ProposeError> {
        let (found, most) = (command.len(), self.command_bytes_max);
        if found > most { Err(ProposeError::TooLong { found, most }) } else { Ok(()) }
    }
}

impl<M: StateMachine> Clone for ClientHandle<M> {
    fn clone(&self) -> Self {
        let Self { inputs, limits, leadership } = self;
        Self { inputs: inputs.clone(), limits: limits.clone(), leadership: leadership.clone() }
    }
}

impl<M: StateMachine> ClientHandle<M> {
    pub(super) fn new(
        inputs: mpsc::Sender<Input<M>>,
        limits: RequestLimits,
        leadership: watch::Receiver<Leadership>,
    ) -> Self {
        Self { inputs, limits: Arc::new(limits), leadership }
    }

    /// Proposes a command, and returns the answer of the state machine once the command is chosen and applied. Waits
    /// while too many other requests wait.
    ///
    /// The command is applied once, however often the node has to send it to the leader. If the future is dropped, the
    /// command may or may not be applied.
    ///
    /// # Errors
    /// There is no answer. [`ProposeError::may_be_applied`] says whether the command may have an effect.
    pub async fn propose(&self, command: impl Into<Bytes>) -> Result<M::Answer, ProposeError> {
        let command = command.into();
        self.limits.check(&command)?;
        self.ask(command.len(), |reply| Input::Propose { command, reply }).await
    }

    /// Opens a session for a client, so that the client can ask another node if this one does not answer.
    ///
    /// [`propose`](Self::propose) needs no session. But if the node stops while a command waits, no node can tell
    /// whether the command will be applied.
    ///
    /// # Errors
    /// There is no session. If it was opened nevertheless, it expires.
    pub async fn open_session(&self) -> Result<ClientSession, ProposeError> {
        self.ask(0, Input::Open).await.map(|session| ClientSession::new(session.slot))
    }

    /// Proposes a command of a session, and returns the answer of the state machine. The command is applied once, even
    /// if it is sent several times or to several nodes. Each time it has the same answer.
    ///
    /// After an error that is not [final](ProposeError::is_final), send a clone of the request again, to this node or
    /// to another one.
    ///
    /// # Errors
    /// There is no answer. The cluster keeps no answer that the client has heard ([`ClientSession::heard`]).
    pub async fn request(&self, request: Request) -> Result<M::Answer, ProposeError> {
        self.limits.check(request.command())?;
        self.ask(request.command().len(), |reply| Input::Request { request, reply }).await
    }

    async fn ask<A>(
        &self,
        bytes: usize,
        input: impl FnOnce(oneshot::Sender<Result<A, ProposeError>>) -> Input<M>,
    ) -> Result<A, ProposeError> {
        let Ok(_permits) = self.limits.enter(bytes).await else {
            return Err(ProposeError::StoppedBefore);
        };
        let (reply, answer) = oneshot::channel();
        self.inputs.send(input(reply)).await.map_err(|_| ProposeError::StoppedBefore)?;
        answer.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// Reads the state machine. The read is linearizable: it sees every command that any node has answered before this
    /// call. `reading` runs on the node's own thread and should be quick.
    ///
    /// # Errors
    /// The machine could not be read.
    pub async fn read<R: Send + 'static>(
        &self,
        reading: impl FnOnce(&M) -> R + Send + 'static,
    ) -> Result<R, ReadError> {
        let Ok(_permits) = self.limits.enter(0).await else { return Err(ReadError::Stopped) };
        let (reply, answer) = oneshot::channel();
        let reading = Box::new(move |machine: Result<&M, ReadError>| {
            let _ = reply.send(machine.map(reading)); // The client may have gone away.
        });
        let asked = self.inputs.send(Input::Read(reading)).await;
        asked.map_err(|_| ReadError::Stopped)?;
        match answer.await {
            Ok(answer) => answer,
            Err(_) if self.inputs.is_closed() => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::Panicked),
        }
    }

    /// Returns the status of the node, or `None` once it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Status(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Returns a watch of the leader, as this node knows it. Its method `wait_for` waits for a state that satisfies a
    /// condition, and `changed` waits for the next change. Both fail once the node has stopped.
    ///
    /// ```
    /// # use paxos_node::{ClientHandle, StateMachine, Leadership};
    /// # use paxos::NodeId;
    /// # async fn wait<M: StateMachine>(node: ClientHandle<M>) -> Option<NodeId> {
    /// let mut leadership = node.leadership();
    /// let with_leader = leadership.wait_for(|now| now.leader.is_some()).await;
    /// # with_leader.ok().and_then(|now| now.leader)
    /// # }
    /// ```
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Resolves once the node has stopped.
    pub async fn stopped(&self) {
        self.inputs.closed().await;
    }

    /// Lets another node lead: `to`, or the follower that has voted for most of the log. Returns the new leader.
    /// Requests of clients wait meanwhile, and none is refused.
    ///
    /// # Errors
    /// [`TransferError`] lists the reasons: for example, this node does not lead, or no other node has begun to lead
    /// within an election timeout.
    pub async fn transfer(&self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let (reply, ended) = oneshot::channel();
        let asked = self.inputs.send(Input::Transfer { to, reply }).await;
        asked.map_err(|_| TransferError::Stopped)?;
        ended.await.unwrap_or(Err(TransferError::Stopped))
    }

    /// Lets the node [hand over](Self::transfer) if it leads, finish the requests that it has, and stop. The node stops
    /// after an election timeout at the latest. Requests that still wait then get an error. The node refuses new
    /// requests once the transfer has ended, or at once if it does not lead.
    pub async fn leave(&self) {
        let _ = self.inputs.send(Input::Leave).await; // It may have stopped already.
        self.inputs.closed().await;
    }

    /// Stops the node after the turn that takes this input. Requests that still wait get an error.
    pub async fn stop(&self) {
        let _ = self.inputs.send(Input::Stop).await; // It may have stopped already.
        self.inputs.closed().await;
    }
}

#[cfg(any(test, feature = "test-support"))]
use super::leadership::Publisher;

#[cfg(any(test, feature = "test-support"))]
impl<M: StateMachine> ClientHandle<M> {
    /// Returns a handle without a node, to test code that sends requests to a node. `answer` returns the answers to
    /// proposed commands. A command for which it returns `None` waits for ever. Other requests get no answer. This
    /// needs a tokio runtime.
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
        let limits = RequestLimits::with(1 << 10, usize::MAX, usize::MAX);
        Self::new(inputs, limits, Publisher::new().watch())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::machine::tests::Counter;

    /// Sends three commands of two bytes. Returns the numbers of those that enter before the first is answered, and
    /// after.
    async fn entered((requests_max, bytes_max): (usize, usize)) -> [usize; 2] {
        let (inputs, mut arriving) = mpsc::channel(8);
        let limits = RequestLimits::with(requests_max, bytes_max, 2);
        let handle = ClientHandle::<Counter>::new(inputs, limits, Publisher::new().watch());
        for _ in 0..3 {
            let handle = handle.clone();
            tokio::spawn(async move { handle.propose("ab").await });
        }
        let mut replies = Vec::new();
        let mut counts = [0, 0];
        for count in &mut counts {
            // Time stands still until nothing else can happen.
            while let Ok(Some(input)) = timeout(Duration::from_millis(1), arriving.recv()).await {
                let Input::Propose { reply, .. } = input else { panic!("only commands arrive") };
                replies.push(reply);
                *count += 1;
            }
            replies.remove(0).send(Ok(Bytes::new())).unwrap();
        }
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_their_bytes_are_limited() {
        assert_eq!(entered((3, 6)).await, [3, 0]);
        assert_eq!(entered((2, 6)).await, [2, 1]);
        assert_eq!(entered((3, 5)).await, [2, 1]);
        assert_eq!(entered((3, 1)).await, [1, 1], "a command above the limit enters alone");
    }
}
