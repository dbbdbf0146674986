//! Inputs at the edges: senders without authority, limits, timers and questions.
//!
//! The model has none of these. So the lockstep tries them on each distinct node that it reaches by an input. At each limit,
//! the node gets the last input that it must take and the first input that it must ignore.

use bytes::Bytes;
use itertools::Itertools as _;
use paxos::{
    Ballot, Effects, Envelope, Event, Message, NodeId, Output, Proposal, Record, Refusal, Replica,
    Report, Slot, To, Token, Value,
    protocol::{proposer::Role, reader::Reader},
};

use crate::{
    comparator::{Checked, Comparator},
    limits,
    tested::TestedNode,
};

/// A node under test and its peers.
struct Edges<'a> {
    comparator: &'a Comparator<'a>,
    tested: &'a TestedNode,
    me: NodeId,
    peers: Vec<NodeId>,
}

/// Tries all edges of a node.
///
/// # Errors
/// Fails at the first input with a wrong result.
pub fn check(comparator: &Comparator<'_>, tested: &TestedNode) -> Checked {
    let config = tested.replica().parts().config;
    let peers = config.nodes.iter().copied().filter(|&node| node != config.id).collect();
    let edges = Edges { comparator, tested, me: config.id, peers };
    edges.senders()?;
    edges.refusals()?;
    edges.far_slots()?;
    edges.far_reports()?;
    edges.batches()?;
    edges.records()?;
    edges.timers()?;
    edges.heartbeats()?;
    edges.questions()?;
    edges.snapshots()?;
    edges.reads()?;
    edges.proposals()
}

fn value() -> Value {
    Value::Command(Bytes::from_static(b"v0"))
}

impl Edges<'_> {
    fn ignored(&self, from: NodeId, message: Message) -> Checked {
        let output = self.comparator.unmoved(self.tested, Event::Message { from, message })?;
        self.comparator.expect(
            "answers to an input that must be ignored",
            output.held().messages.is_empty(),
            &output,
        )
    }

    fn taken(&self, from: NodeId, message: Message) -> Checked {
        let event = Event::Message { from, message };
        let moved = self.comparator.moved(self.tested, event.clone())?;
        self.comparator.expect("input that must have an effect", moved, event)
    }

    /// Returns a ballot of this owner above all ballots of the space.
    fn fresh(owner: NodeId) -> Ballot {
        Ballot::new(1 << 32, owner).expect("not zero")
    }

    fn accept(ballot: Ballot, first: u64, count: usize) -> Message {
        Message::Accept { ballot, first: Slot(first), values: vec![value(); count].into() }
    }

    /// Returns the first slot that is too far beyond the log.
    fn limit(&self) -> u64 {
        let parts = self.tested.replica().parts();
        let end = parts.acceptor.votes.end().max(parts.learner.chosen.end());
        end.0 + limits::SLOTS_AHEAD_MAX
    }

    /// A Prepare, Accept or Heartbeat message is ignored if it does not come from the owner of its ballot, or if the owner is
    /// outside the cluster or is the receiver itself. An Accept message without values is ignored, too.
    fn senders(&self) -> Checked {
        let stranger = NodeId(99);
        let speaks = |owner| {
            let ballot = Self::fresh(owner);
            [
                Message::Prepare { ballot, first: Slot(0) },
                Self::accept(ballot, 0, 1),
                Message::Heartbeat { ballot, chosen_below: Slot(9) },
            ]
        };
        for message in speaks(stranger).into_iter().chain(speaks(self.me)) {
            self.ignored(stranger, message.clone())?;
            self.ignored(self.me, message.clone())?;
            for &peer in &self.peers {
                self.ignored(peer, message.clone())?;
            }
        }
        for &owner in &self.peers {
            for &peer in self.peers.iter().filter(|&&peer| peer != owner) {
                for message in speaks(owner) {
                    self.ignored(peer, message)?;
                }
            }
            self.ignored(owner, Self::accept(Self::fresh(owner), 0, 0))?;
        }
        Ok(())
    }

    /// A Nack that names no higher ballot, or a ballot of a node outside the cluster, is ignored.
    fn refusals(&self) -> Checked {
        let parts = self.tested.replica().parts();
        let (Some(ballot), Some(&peer)) = (parts.acceptor.promised, self.peers.first()) else {
            return Ok(());
        };
        for promised in [ballot, Self::fresh(NodeId(99))] {
            self.ignored(peer, Message::Nack { ballot, promised })?;
        }
        Ok(())
    }

    /// A message about a slot too far beyond the log is ignored. A message about the slot before that has an effect.
    fn far_slots(&self) -> Checked {
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        let (ballot, limit) = (Self::fresh(peer), self.limit());
        self.taken(peer, Self::accept(ballot, limit - 1, 1))?;
        self.taken(peer, Self::accept(ballot, limit - 2, 2))?;
        self.ignored(peer, Self::accept(ballot, limit, 1))?;
        self.ignored(peer, Self::accept(ballot, limit - 1, 2))?;
        let learned =
            |first| Message::Learned { first: Slot(first), values: [value()].into(), more: false };
        self.taken(peer, learned(limit - 1))?;
        self.ignored(peer, learned(limit))
    }

    /// A promise that reports a vote too far beyond the log does not count. The candidate asks its sender for chosen values.
    fn far_reports(&self) -> Checked {
        let parts = self.tested.replica().parts();
        let (Role::Candidate(candidate), Some(ballot)) = (parts.role, parts.acceptor.promised)
        else {
            return Ok(());
        };
        let mut nodes = parts.config.nodes.iter().enumerate();
        let Some((_, &peer)) = nodes.find(|(index, _)| !candidate.heard.contains(*index)) else {
            return Ok(());
        };
        let lowest = Ballot::new(1, peer).expect("not zero");
        let promise = |slot| {
            let reports = vec![Report { slot: Slot(slot), ballot: lowest, value: value() }];
            Message::Promise { ballot, trimmed: Slot(0), reports }
        };
        self.taken(peer, promise(self.limit() - 1))?;
        let far = Event::Message { from: peer, message: promise(self.limit()) };
        let output = self.comparator.unmoved(self.tested, far)?;
        let asks = Message::Learn { from: parts.learner.below };
        let expected = [Envelope { to: To::Node(peer), message: asks }];
        self.comparator.expect(
            "answer to a far report",
            output.held().messages == expected,
            &output,
        )
    }

    /// A batch of chosen values makes the receiver ask for more if the sender has more.
    fn batches(&self) -> Checked {
        let parts = self.tested.replica().parts();
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        let first = parts.acceptor.trimmed;
        let known = (first.0..parts.learner.below.0).map(Slot);
        let known: Vec<_> = known.filter_map(|slot| parts.learner.value(slot).cloned()).collect();
        for count in (1..=known.len()).take(limits::BATCH_SLOTS_MAX as usize) {
            for more in [false, true] {
                let values = known[..count].into();
                let message = Message::Learned { first, values, more };
                let event = Event::Message { from: peer, message };
                let output = self.comparator.unmoved(self.tested, event)?;
                let asks = !output.held().messages.is_empty();
                self.comparator.expect("request for the next batch", asks == more, &output)?;
            }
        }
        Ok(())
    }

    /// A leader's heartbeat names the end of the chosen slots that the leader knows. Unanswered messages are sent again.
    fn timers(&self) -> Checked {
        let parts = self.tested.replica().parts();
        let due = Event::Timer(paxos::Timer::Heartbeat);
        let output = self.comparator.unmoved(self.tested, due)?;
        let says = match (parts.role, parts.acceptor.promised) {
            (Role::Leader(_), Some(ballot)) => {
                let message = Message::Heartbeat { ballot, chosen_below: parts.learner.below };
                vec![Envelope { to: To::Peers, message }]
            }
            _ => Vec::new(),
        };
        self.comparator.expect("heartbeat", output.held().messages == says, &output)?;
        let again = Event::Timer(paxos::Timer::Resend);
        let output = self.comparator.unmoved(self.tested, again)?;
        let expected = self.unanswered();
        self.comparator.expect("resent messages", output.held().messages == expected, &output)
    }

    /// Returns the messages that each peer has not answered, peer by peer, in the longest batches allowed.
    fn unanswered(&self) -> Vec<Envelope> {
        let parts = self.tested.replica().parts();
        let Some(ballot) = parts.acceptor.promised else { return Vec::new() };
        let mut all = Vec::new();
        for (index, &node) in parts.config.nodes.iter().enumerate() {
            let mut send = |message| all.push(Envelope { to: To::Node(node), message });
            match parts.role {
                _ if node == self.me => {}
                Role::Follower => {}
                Role::Candidate(candidate) if candidate.heard.contains(index) => {}
                Role::Candidate(candidate) => {
                    send(Message::Prepare { ballot, first: candidate.first });
                }
                Role::Leader(leader) => {
                    let Reader { round, heard, .. } = leader.reader;
                    if !heard.is_empty() && !heard.contains(index) {
                        send(Message::Confirm { ballot, round });
                    }
                    let mut batch: Vec<(Slot, Value)> = Vec::new();
                    let mut flush = |batch: &mut Vec<(Slot, Value)>| {
                        if let Some(&(first, _)) = batch.first() {
                            let values = batch.drain(..).map(|(_, value)| value).collect();
                            send(Message::Accept { ballot, first, values });
                        }
                    };
                    let open = leader.tally.slots().filter(|(_, votes)| !votes.contains(index));
                    for (slot, _) in open {
                        let follows = batch.last().is_some_and(|(last, _)| last.plus(1) == slot);
                        let full = batch.len() as u64 == limits::BATCH_SLOTS_MAX;
                        if !follows || full {
                            flush(&mut batch);
                        }
                        if let Some(vote) = parts.acceptor.vote(slot) {
                            batch.push((slot, vote.value.clone()));
                        }
                    }
                    flush(&mut batch);
                }
            }
        }
        all
    }

    /// The heartbeat of an old ballot is refused. A leader that knows more chosen slots is asked for them. Any other
    /// heartbeat has no answer.
    fn heartbeats(&self) -> Checked {
        let parts = self.tested.replica().parts();
        let (promised, below) = (parts.acceptor.promised, parts.learner.below);
        for &owner in &self.peers {
            let old = Ballot::new(1, owner);
            let current = promised.filter(|ballot| ballot.node == owner);
            let ballots = old.into_iter().chain(current).chain([Self::fresh(owner)]);
            for (ballot, chosen_below) in ballots.cartesian_product([below, below.plus(1)]) {
                let message = Message::Heartbeat { ballot, chosen_below };
                let event = Event::Message { from: owner, message };
                let output = self.comparator.unmoved(self.tested, event)?;
                let answer = match promised {
                    Some(promised) if promised > ballot => Some(Message::Nack { ballot, promised }),
                    _ if chosen_below > below => Some(Message::Learn { from: below }),
                    _ => None,
                };
                let answer = answer.map(|message| Envelope { to: To::Node(owner), message });
                let answered = output.held().messages.iter().eq(answer.iter());
                self.comparator.expect("answer to a heartbeat", answered, &output)?;
            }
        }
        Ok(())
    }

    /// A peer that asks for chosen values gets one batch of those that this node knows, from the slot that it names up to the
    /// first gap. If that slot is trimmed, it gets the answer `Trimmed`.
    fn questions(&self) -> Checked {
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        let parts = self.tested.replica().parts();
        let (trimmed, learner) = (parts.acceptor.trimmed, parts.learner);
        for first in 0..=learner.chosen.end().0 {
            let event =
                Event::Message { from: peer, message: Message::Learn { from: Slot(first) } };
            let output = self.comparator.unmoved(self.tested, event)?;
            if first < trimmed.0 {
                let message = Message::Trimmed { below: trimmed };
                let told = output.held().messages == [Envelope { to: To::Node(peer), message }];
                self.comparator.expect("answer about trimmed slots", told, &output)?;
                continue;
            }
            let known = (first..).map_while(|slot| learner.value(Slot(slot)).cloned());
            let values: Vec<_> = known.take(limits::BATCH_SLOTS_MAX as usize).collect();
            let more = learner.value(Slot(first + values.len() as u64)).is_some();
            let batch = values.clone().into();
            let message = Message::Learned { first: Slot(first), values: batch, more };
            let answer = Envelope { to: To::Node(peer), message };
            let answer = (!values.is_empty()).then_some(answer);
            let told = output.held().messages.iter().eq(answer.iter());
            self.comparator.expect("answer about chosen values", told, &output)?;
        }
        Ok(())
    }

    /// A snapshot that covers no more than the trimmed slots has no effect. The snapshot of a peer is wanted only if the peer
    /// has trimmed a slot that this node does not know to be chosen.
    fn snapshots(&self) -> Checked {
        let parts = self.tested.replica().parts();
        let (below, trimmed) = (parts.learner.below, parts.acceptor.trimmed);
        for below in 0..=trimmed.0 {
            let output =
                self.comparator.unmoved(self.tested, Event::Snapshot { below: Slot(below) })?;
            self.comparator.expect(
                "effect of an older snapshot",
                output == Output::default(),
                &output,
            )?;
        }
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        for (below, wanted) in [(below, Vec::new()), (below.plus(1), vec![peer])] {
            let event = Event::Message { from: peer, message: Message::Trimmed { below } };
            let output = self.comparator.unmoved(self.tested, event)?;
            let effects = Effects { fetch: wanted, ..Effects::default() };
            let expected = Output::of(Vec::new(), effects);
            self.comparator.expect("wanted snapshots", output == expected, &output)?;
        }
        Ok(())
    }

    /// Reads that arrive together are confirmed together. A node that does not lead refuses all of them. A Confirm message
    /// from another node than the owner of the ballot is ignored.
    fn reads(&self) -> Checked {
        let parts = self.tested.replica().parts();
        let tokens = vec![Token(7), Token(8)];
        let output = self.comparator.tried(self.tested, Event::Read(tokens.clone()))?;
        let all = |found: Vec<Token>| found == tokens;
        let refused = all(output.held().refused.iter().map(|refused| refused.token).collect());
        let ready = all(output.held().reads.iter().map(|ready| ready.token).collect());
        let is_so = match parts.role {
            Role::Leader(_) if parts.config.phase2_quorum == 1 => ready,
            Role::Leader(leader) => {
                let begins = leader.reader.heard.is_empty();
                output.held().reads.is_empty()
                    && output.held().refused.is_empty()
                    && output.held().messages.len() == usize::from(begins)
            }
            Role::Follower | Role::Candidate(_) => refused && output.held().messages.is_empty(),
        };
        self.comparator.expect("effect of two reads", is_so, &output)?;
        let (Some(&peer), Some(ballot)) = (self.peers.first(), parts.acceptor.promised) else {
            return Ok(());
        };
        if ballot.node == peer {
            return Ok(());
        }
        self.ignored(peer, Message::Confirm { ballot, round: 1 })
    }

    /// A repeated record changes nothing, and neither does a record of an older ballot. A record that contradicts another
    /// one is refused.
    fn records(&self) -> Checked {
        let config = self.tested.replica().parts().config;
        let stored = self.tested.disk().records();
        let recover = |more: Vec<Record>| {
            let records = stored.iter().cloned().chain(more);
            Replica::recover(config.clone(), records)
        };
        let once = recover(Vec::new());
        let twice = recover(stored.clone());
        self.comparator.expect("recovery from repeated records", once == twice, &twice)?;
        let recovered = once.ok();
        let acceptor = self.tested.disk().image();
        for (slot, voted, _) in acceptor.votes.iter() {
            let record = |ballot, value| {
                vec![Record::Accepted { ballot, first: slot, values: [value].into() }]
            };
            let lowest = Ballot::new(1, *config.nodes.iter().min().unwrap_or(&self.me));
            let lowest = lowest.filter(|&lowest| lowest < voted);
            if let Some(older) = lowest {
                let older = recover(record(older, Value::Noop)).ok();
                self.comparator.expect(
                    "recovery from an older record",
                    older == recovered,
                    &older,
                )?;
            }
            let other = Value::Command(Bytes::from_static(b"other"));
            let refused = recover(record(voted, other));
            self.comparator.expect("recovery from a contradiction", refused.is_err(), &refused)?;
        }
        Ok(())
    }

    /// A leader takes as many proposals as it has room for. Other nodes take none. Each proposal is taken or refused.
    fn proposals(&self) -> Checked {
        const COUNT: u64 = limits::IN_FLIGHT_MAX + 2;
        let parts = self.tested.replica().parts();
        let command = Bytes::from_static(b"v0");
        let proposal = |token| Proposal { token: Token(token), command: command.clone() };
        let event = Event::Propose((0..COUNT).map(proposal).collect());
        let output: Output = self.comparator.tried(self.tested, event)?;
        let next = parts.acceptor.votes.end().max(parts.learner.chosen.end()).0;
        let room = parts.learner.below.0 + limits::IN_FLIGHT_MAX;
        let (room, refusal) = match parts.role {
            Role::Leader(_) => (room.saturating_sub(next), Refusal::Busy),
            Role::Follower | Role::Candidate(_) => {
                let leader = parts.acceptor.promised.map(|ballot| ballot.node);
                let leader = leader.filter(|&leader| leader != self.me);
                (0, Refusal::NotLeader { leader })
            }
        };
        let taken: Vec<_> =
            output.held().taken.iter().map(|taken| (taken.token, taken.slot)).collect();
        let expected: Vec<_> = (0..room.min(COUNT)).map(|i| (Token(i), Slot(next + i))).collect();
        self.comparator.expect("taken proposals", taken == expected, &output)?;
        let refused: Vec<_> = output.held().refused.iter().map(|r| (r.token, r.refusal)).collect();
        let expected: Vec<_> = (room.min(COUNT)..COUNT).map(|i| (Token(i), refusal)).collect();
        self.comparator.expect("refused proposals", refused == expected, &output)
    }
}
