//! The clients of a simulation: requests that wait for answers, and the checks of the answers.

use std::{collections::BTreeMap, future};

use bytes::Bytes;
use paxos::NodeId;
use paxos_node::{
    Answer, ClientHandle, ProposeError, ReadError, StateMachine,
    session::{ClientSession, Request},
};

use super::{
    Counts, Simulation,
    call::Call,
    history::{History, Indexed, Observed},
};

/// The requests of all clients, and the answers.
#[derive(Debug)]
pub(super) struct Clients<A> {
    proposals: BTreeMap<u64, Proposal<A>>,
    answers: BTreeMap<u64, A>,
    reads: Vec<Read>,
    /// The number of commands whose effect a client has seen. Later requests must come after these commands.
    seen: u64,
}

/// A command that waits for its answer.
#[derive(Debug)]
struct Proposal<A> {
    at: NodeId,
    command: Bytes,
    /// The value of [`Clients::seen`] when the client asked.
    seen: u64,
    call: Call<Result<Indexed<A>, ProposeError>>,
}

/// A read that waits for its answer. The answer is the number of commands that the node had applied.
#[derive(Debug)]
struct Read {
    at: NodeId,
    /// The value of [`Clients::seen`] when the client asked.
    seen: u64,
    call: Call<Result<u64, ReadError>>,
}

impl<A> Default for Clients<A> {
    fn default() -> Self {
        Self { proposals: BTreeMap::new(), answers: BTreeMap::new(), reads: Vec::new(), seen: 0 }
    }
}

impl<A: Answer> Clients<A> {
    /// Returns the number of requests that wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.proposals.len() + self.reads.len()
    }

    /// Takes the answers of a node that have arrived, and checks each.
    fn hear(&mut self, id: NodeId, history: &mut History, counts: &mut Counts) {
        let Self { proposals, answers, reads, seen } = self;
        proposals.retain(|number, proposal| {
            let Proposal { at, command, seen: must_see, call } = proposal;
            let Some(answered) = (*at == id).then(|| call.poll()).flatten() else { return true };
            if let Ok(Indexed { index, answer }) = answered {
                history.check_answer(index, command, &answer.to_bytes());
                history.check_order("a command was applied after", index, *must_see);
                *seen = (index + 1).max(*seen);
                counts.answers += 1;
                answers.insert(*number, answer);
            }
            false
        });
        reads.retain_mut(|Read { at, seen: must_see, call }| {
            let Some(answered) = (*at == id).then(|| call.poll()).flatten() else { return true };
            match answered {
                Ok(applied) => {
                    history.check_order("a read saw", applied, *must_see);
                    *seen = applied.max(*seen);
                    counts.reads += 1;
                }
                Err(ReadError::Panicked) => history.violate("a read has panicked".to_owned()),
                Err(_) => {}
            }
            false
        });
    }
}

impl<M: StateMachine> Simulation<M> {
    /// Lets a client propose a command at a node. Returns the number of the proposal. The first is 0.
    pub fn propose(&mut self, id: NodeId, command: impl Into<Bytes>) -> u64 {
        let (command, number) = (command.into(), self.counts.proposals);
        self.counts.proposals += 1;
        self.history.lock().ask(command.clone());
        let (seen, asked) = (self.clients.seen, command.clone());
        let call = self.ask(id, |handle| async move { handle.propose(asked).await });
        if let Some(call) = call {
            self.clients.proposals.insert(number, Proposal { at: id, command, seen, call });
            self.hear(id);
        }
        number
    }

    /// Returns the answer to a proposal, if it has arrived.
    pub fn answer(&self, number: u64) -> Option<&M::Answer> {
        self.clients.answers.get(&number)
    }

    /// Lets a client begin a read at a node. `reading` gets the state machine, and may assert something about it. It is called
    /// while time passes, so call [`run`](Self::run) or [`settle`](Self::settle) afterwards. `settle` fails if the read has
    /// no answer. Does nothing if the node is down.
    pub fn read(&mut self, id: NodeId, reading: impl FnOnce(&M) + Send + 'static) {
        let seen = self.clients.seen;
        let reading = move |observed: &Observed<M>| {
            reading(&observed.machine);
            observed.applied
        };
        if let Some(call) = self.ask(id, |handle| async move { handle.read(reading).await }) {
            self.clients.reads.push(Read { at: id, seen, call });
            self.hear(id);
        }
    }

    /// Lets a client open a session at a node. Returns `None` if the node is down.
    pub fn open_session(
        &mut self,
        id: NodeId,
    ) -> Option<Call<Result<ClientSession, ProposeError>>> {
        self.ask(id, |handle| async move { handle.open_session().await })
    }

    /// Lets a client send a command of its session to a node. Returns `None` if the node is down.
    ///
    /// The simulation allows one application of the command for each call. The caller must check that all calls with
    /// one request together apply it once.
    pub fn request(
        &mut self,
        id: NodeId,
        request: Request,
    ) -> Option<Call<Result<M::Answer, ProposeError>>> {
        self.history.lock().ask(request.command().clone());
        self.ask(
            id,
            |handle| async move { handle.request(request).await.map(|indexed| indexed.answer) },
        )
    }

    /// Returns all commands that were applied, in their order.
    pub fn history(&self) -> Vec<Bytes> {
        self.history.lock().applied.iter().map(|applied| applied.command.clone()).collect()
    }

    /// Sends a request to a node, and runs a turn of that node. Returns `None` if the node is down.
    pub(super) fn ask<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        id: NodeId,
        request: impl FnOnce(ClientHandle<Observed<M>>) -> F,
    ) -> Option<Call<T>> {
        let running = self.nodes[&id].running.as_ref()?;
        let mut call = Call::new(request(running.handle.clone()));
        // The first poll sends the request, or returns the reason why it is refused.
        if let Some(refused) = call.poll() {
            return Some(Call::new(future::ready(refused)));
        }
        self.turn(id);
        Some(call)
    }

    /// Lets the clients take the answers of a node. Panics if a check has failed.
    pub(super) fn hear(&mut self, id: NodeId) {
        let mut history = self.history.lock();
        self.clients.hear(id, &mut history, &mut self.counts);
        let violation = history.violation.take();
        drop(history);
        if let Some(words) = violation {
            self.violate(&words);
        }
    }
}
