//! A node without a thread of its own, for simulations.
//!
//! The caller decides when turns and syncs happen and what time it is, and owns the transport. Clients use the
//! [`ClientHandle`], as in any other program. The crate `paxos-simulator` runs clusters of such nodes in virtual time.
//!
//! A turn measures the time for which it applies entries by the clock of the system ([`Options::turn_max`]). A
//! simulation that must be repeatable sets this limit to zero or to [`Duration::MAX`].

use std::{fmt, iter, time::Duration};

use tokio::sync::mpsc;

use super::{
    client_handle::{ClientHandle, RequestLimits},
    error::NodeError,
    machine::StateMachine,
    node::{Input, Node, Transport},
    noted_votes::Commit,
    options::Options,
    packet::Packet,
    saving::Job,
};
use paxos::{config::Config, types::NodeId};
use paxos_store::Storage;

/// A node that runs when its caller says so.
pub struct ManualNode<M: StateMachine, S: Storage> {
    node: Node<M, S>,
    /// The packets that the next turn takes.
    packets: Vec<Input<M>>,
    arriving: mpsc::Receiver<Input<M>>,
    /// The write that is under way.
    commit: Option<Commit>,
    /// A snapshot that is to be written or restored.
    job: Option<Job<M, S::SnapshotFile>>,
}

impl<M: StateMachine, S: Storage> fmt::Debug for ManualNode<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualNode").finish_non_exhaustive()
    }
}

impl<M: StateMachine, S: Storage> ManualNode<M, S> {
    /// Starts a node with the contents of its store. The nodes exchange no handshakes, so the caller must make sure
    /// that each node starts with its own store.
    ///
    /// The futures of the handle need no runtime. They make progress when they are polled after a turn.
    ///
    /// # Errors
    /// The configuration cannot work, or the store cannot be read or belongs to another node.
    pub fn recover(
        config: Config,
        options: Options,
        machine: M,
        store: S,
    ) -> Result<(ClientHandle<M>, Self), NodeError> {
        let (inputs, arriving) = mpsc::channel(options.inputs_per_turn_max * 4);
        let limits = RequestLimits::new(&options);
        let node = Node::recover(config, options, machine, store, false)?;
        let handle = ClientHandle::new(inputs, limits, node.leadership());
        Ok((handle, Self { node, packets: Vec::new(), arriving, commit: None, job: None }))
    }

    /// Keeps a packet of a peer for the next turn.
    pub fn deliver(&mut self, from: NodeId, packet: Packet) {
        self.packets.push(Input::Packet { from, packet, room: None });
    }

    /// Runs a turn: takes the delivered packets and the requests of the handles, as many as a turn may take. Fewer are taken
    /// while a write is under way or a snapshot arrives. Releases the effects whose records are durable. `now` is the time
    /// since the start of the node. Returns false if the node was told to stop. The caller must then [`sync`](Self::sync) it until nothing is under way, and
    /// [`end`](Self::end) it.
    ///
    /// # Errors
    /// The node cannot go on. It must not be used any more, as after any other error.
    pub fn turn(
        &mut self,
        now: Duration,
        transport: &mut impl Transport,
    ) -> Result<bool, NodeError> {
        let arriving = &mut self.arriving;
        let requests = iter::from_fn(|| arriving.try_recv().ok());
        let max = self.node.inputs_max();
        let packets = self.packets.drain(..max.min(self.packets.len()));
        let inputs = packets.chain(requests).take(max);
        let goes_on = self.node.turn(inputs, now, transport)?;
        self.commit = self.commit.take().or_else(|| self.node.take_commit(transport));
        self.job = self.node.take_job().or(self.job.take());
        Ok(goes_on)
    }

    /// Returns true while a write is under way. Turns may come before its [`sync`](Self::sync). A crash loses the write.
    pub fn is_writing(&self) -> bool {
        self.commit.is_some()
    }

    /// Makes the write that is under way durable, and releases the effects that waited for it. Does nothing if no write is
    /// under way. Another write may be under way afterwards.
    ///
    /// # Errors
    /// The node cannot go on.
    pub fn sync(&mut self, now: Duration, transport: &mut impl Transport) -> Result<(), NodeError> {
        if let Some(commit) = self.commit.take() {
            let committed = self.node.persist(commit);
            self.node.committed(committed, now, transport)?;
            self.commit = self.node.take_commit(transport);
        }
        Ok(())
    }

    /// Ends the node after its last turn.
    ///
    /// # Errors
    /// The store has failed.
    ///
    /// # Panics
    /// A write is under way.
    pub fn end(mut self) -> Result<(), NodeError> {
        self.node.end()
    }

    /// Returns the time, since the start of the node, at which the node needs a turn even if nothing arrives. A time
    /// that has passed means at once, and `None` means that the node needs no turn before something arrives.
    pub fn wake_at(&self) -> Option<Duration> {
        if !self.packets.is_empty() && self.node.inputs_max() > 0 {
            return Some(Duration::ZERO); // The last turn has taken as many as it may.
        }
        self.node.wake_at()
    }

    /// Returns true while a snapshot waits for [`write_snapshot`](Self::write_snapshot).
    pub fn has_snapshot(&self) -> bool {
        self.job.is_some()
    }

    /// Writes the snapshot that waits, if there is one, or restores it if a peer has sent it. The next turns trim the
    /// log. Before a snapshot of a peer is restored, the node applies nothing and serves no read. The caller must call
    /// this between two turns, and run the second one at once.
    ///
    /// # Errors
    /// The node cannot go on. It must not be used any more.
    pub fn write_snapshot(&mut self) -> Result<(), NodeError> {
        let Some(job) = self.job.take() else { return Ok(()) };
        self.node.saved(job.run(|_| Ok(())))
    }
}
