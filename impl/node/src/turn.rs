//! A node without a thread of its own, for simulations.
//!
//! The caller decides when each half of a turn happens and what time it is, and owns the transport. Clients use the
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
    node::{Begun, Input, Node, Transport},
    options::Options,
    packet::Packet,
    saving::Job,
};
use paxos::{config::Config, types::NodeId};
use paxos_store::Storage;

/// A node whose turns the caller begins and ends.
pub struct ManualNode<M: StateMachine, S: Storage> {
    node: Node<M, S>,
    /// The packets that the next turn takes.
    packets: Vec<Input<M>>,
    arriving: mpsc::Receiver<Input<M>>,
    /// The result of the first half of a turn, and its time, until the second half.
    begun: Option<(Begun, Duration)>,
    /// A snapshot that is to be written.
    job: Option<Job<S::SnapshotFile>>,
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
        Ok((handle, Self { node, packets: Vec::new(), arriving, begun: None, job: None }))
    }

    /// Keeps a packet of a peer for the next turn.
    pub fn deliver(&mut self, from: NodeId, packet: Packet) {
        self.packets.push(Input::Packet { from, packet, room: None });
    }

    /// Runs the first half of a turn: takes all delivered packets and all requests of the handles, and sends what
    /// depends on no record of this turn. `now` is the time since the start of the node. Returns true if the second
    /// half makes records durable.
    ///
    /// # Errors
    /// The node cannot go on.
    ///
    /// # Panics
    /// The turn before has not ended.
    pub fn begin_turn(
        &mut self,
        now: Duration,
        transport: &mut impl Transport,
    ) -> Result<bool, NodeError> {
        assert!(self.begun.is_none(), "the turn before has not ended");
        let arriving = &mut self.arriving;
        let requests = iter::from_fn(|| arriving.try_recv().ok());
        let inputs = self.packets.drain(..).chain(requests);
        let begun = self.node.begin_turn(inputs, now, transport)?;
        self.begun = Some((begun, now));
        Ok(begun.syncs)
    }

    /// Runs the second half of a turn: makes the records durable, and then sends, applies and answers. Returns false if
    /// the node was told to stop.
    ///
    /// # Errors
    /// The node cannot go on. It must not be used any more.
    ///
    /// # Panics
    /// No turn has begun.
    pub fn end_turn(&mut self, transport: &mut impl Transport) -> Result<bool, NodeError> {
        let (begun, now) = self.begun.take().expect("a turn has begun");
        let goes_on = self.node.end_turn(begun, now, transport)?;
        self.job = self.node.take_job().or(self.job.take());
        Ok(goes_on)
    }

    /// Returns the time, since the start of the node, at which the node needs a turn even if nothing arrives. A time
    /// that has passed means at once, and `None` means that the node needs no turn before something arrives.
    pub fn wake_at(&self) -> Option<Duration> {
        self.node.wake_at()
    }

    /// Returns true while a snapshot waits for [`write_snapshot`](Self::write_snapshot).
    pub fn has_snapshot(&self) -> bool {
        self.job.is_some()
    }

    /// Writes the snapshot that waits, if there is one. The next turns trim the log. The caller must call this between
    /// two turns.
    ///
    /// # Errors
    /// The node cannot go on. It must not be used any more.
    pub fn write_snapshot(&mut self) -> Result<(), NodeError> {
        let Some(job) = self.job.take() else { return Ok(()) };
        self.node.saved(job.run(|_| Ok(())))
    }
}
