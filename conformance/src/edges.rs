//! The edges of what a replica takes in: senders that may not say what they say, and limits.
//!
//! The model has neither strangers nor limits. So each distinct replica that the lockstep meets is
//! tried with the last input that it must take and the first that it must not.

use bytes::Bytes;
use itertools::Itertools as _;
use paxos::{
    Ballot, Envelope, Event, Message, NodeId, Output, Proposal, Record, Refusal, Replica, Report,
    Slot, To, Token, Value,
    protocol::{proposer::Role, reader::Reader},
};

use crate::{
    comparator::{Comparator, Divergence},
    limits,
    tested::TestedNode,
};

type Tried = Result<(), Box<Divergence>>;

/// A replica and what it is tried with.
struct Edges<'a> {
    comparator: &'a Comparator<'a>,
    tested: &'a TestedNode,
    me: NodeId,
    peers: Vec<NodeId>,
}

/// Tries all edges of a replica.
///
/// # Errors
/// The first input that is taken and should not be, or the other way round.
pub fn check(comparator: &Comparator<'_>, tested: &TestedNode) -> Tried {
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
    fn ignored(&self, from: NodeId, message: Message) -> Tried {
        let output = self.comparator.unmoved(self.tested, Event::Message { from, message })?;
        self.comparator.expect(
            "answers to what must be ignored",
            output.messages.is_empty(),
            &output,
        )
    }

    fn taken(&self, from: NodeId, message: Message) -> Tried {
        let event = Event::Message { from, message };
        let moved = self.comparator.moved(self.tested, event.clone())?;
        self.comparator.expect("what must be taken", moved, event)
    }

    /// A ballot above all of the space, of a given owner.
    fn fresh(owner: NodeId) -> Ballot {
        Ballot::new(1 << 32, owner).expect("not zero")
    }

    fn accept(ballot: Ballot, first: u64, count: usize) -> Message {
        Message::Accept { ballot, first: Slot(first), values: vec![value(); count].into() }
    }

    /// The first slot that is too far.
    fn limit(&self) -> u64 {
        let parts = self.tested.replica().parts();
        let end = parts.acceptor.votes.end().max(parts.learner.chosen.end());
        end.0 + limits::SLOTS_AHEAD_MAX
    }

    /// Only its owner speaks in a ballot; strangers and a node's own echo say nothing.
    fn senders(&self) -> Tried {
        let stranger = NodeId(99);
        let speaks = |owner| {
            let ballot = Self::fresh(owner);
            [
                Message::Prepare { ballot },
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

    /// A refusal that names no higher ballot, or one of nobody, is none.
    fn refusals(&self) -> Tried {
        let parts = self.tested.replica().parts();
        let (Some(ballot), Some(&peer)) = (parts.acceptor.promised, self.peers.first()) else {
            return Ok(());
        };
        for promised in [ballot, Self::fresh(NodeId(99))] {
            self.ignored(peer, Message::Nack { ballot, promised })?;
        }
        Ok(())
    }

    /// What is too far beyond the log is as good as lost, and nothing nearer is.
    fn far_slots(&self) -> Tried {
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        let (ballot, limit) = (Self::fresh(peer), self.limit());
        self.taken(peer, Self::accept(ballot, limit - 1, 1))?;
        self.taken(peer, Self::accept(ballot, limit - 2, 2))?;
        self.ignored(peer, Self::accept(ballot, limit, 1))?;
        self.ignored(peer, Self::accept(ballot, limit - 1, 2))?;
        let learned = |first| Message::Learned { first: Slot(first), values: [value()].into() };
        self.taken(peer, learned(limit - 1))?;
        self.ignored(peer, learned(limit))
    }

    /// A promise that reports what is too far does not count, but says where to ask.
    fn far_reports(&self) -> Tried {
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
        self.comparator.expect("the answer to a far report", output.messages == expected, &output)
    }

    /// A full batch of news asks for the next.
    fn batches(&self) -> Tried {
        let parts = self.tested.replica().parts();
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        let first = parts.acceptor.trimmed;
        let known = (first.0..parts.learner.below.0).map(Slot);
        let known: Vec<_> =
            known.filter_map(|slot| parts.learner.chosen.get(slot).cloned()).collect();
        for count in (1..=known.len()).take(limits::BATCH_SLOTS_MAX as usize) {
            let values = known[..count].into();
            let message = Message::Learned { first, values };
            let event = Event::Message { from: peer, message };
            let output = self.comparator.unmoved(self.tested, event)?;
            let full = count as u64 == limits::BATCH_SLOTS_MAX;
            let asks = !output.messages.is_empty();
            self.comparator.expect("whether a batch asks for more", asks == full, &output)?;
        }
        Ok(())
    }

    /// A leader's heartbeat says what it knows; what was not answered is sent again.
    fn timers(&self) -> Tried {
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
        self.comparator.expect("the heartbeat", output.messages == says, &output)?;
        let again = Event::Timer(paxos::Timer::Resend);
        let output = self.comparator.unmoved(self.tested, again)?;
        let expected = self.unanswered();
        self.comparator.expect("what is sent again", output.messages == expected, &output)
    }

    /// What each peer has not answered, peer by peer, in batches as long as they may be.
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
                Role::Candidate(_) => send(Message::Prepare { ballot }),
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
                    for (place, votes) in leader.votes.iter().enumerate() {
                        let slot = leader.first.plus(place as u64);
                        let open = !votes.is_empty() && !votes.contains(index);
                        let full = batch.len() as u64 == limits::BATCH_SLOTS_MAX;
                        if !open || full {
                            flush(&mut batch);
                        }
                        if let Some(vote) = parts.acceptor.votes.get(slot).filter(|_| open) {
                            batch.push((slot, vote.value.clone()));
                        }
                    }
                    flush(&mut batch);
                }
            }
        }
        all
    }

    /// An old leader is refused, another is asked for what it knows more, and is otherwise believed.
    fn heartbeats(&self) -> Tried {
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
                let answered = output.messages.iter().eq(answer.iter());
                self.comparator.expect("the answer to a heartbeat", answered, &output)?;
            }
        }
        Ok(())
    }

    /// Who asks what is chosen is told what this node knows, from there on and without a gap.
    fn questions(&self) -> Tried {
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        let parts = self.tested.replica().parts();
        let (trimmed, chosen) = (parts.acceptor.trimmed, &parts.learner.chosen);
        for first in 0..=chosen.end().0 {
            let event =
                Event::Message { from: peer, message: Message::Learn { from: Slot(first) } };
            let output = self.comparator.unmoved(self.tested, event)?;
            if first < trimmed.0 {
                let message = Message::Trimmed { below: trimmed };
                let told = output.messages == [Envelope { to: To::Node(peer), message }];
                self.comparator.expect("what it tells to be trimmed", told, &output)?;
                continue;
            }
            let known = (first..).map_while(|slot| chosen.get(Slot(slot)).cloned());
            let values: Vec<_> = known.take(limits::BATCH_SLOTS_MAX as usize).collect();
            let message = Message::Learned { first: Slot(first), values: values.clone().into() };
            let answer = Envelope { to: To::Node(peer), message };
            let answer = (!values.is_empty()).then_some(answer);
            let told = output.messages.iter().eq(answer.iter());
            self.comparator.expect("what it tells to be chosen", told, &output)?;
        }
        Ok(())
    }

    /// An older snapshot is none, and who has trimmed what this node knows has nothing for it.
    fn snapshots(&self) -> Tried {
        let parts = self.tested.replica().parts();
        let (below, trimmed) = (parts.learner.below, parts.acceptor.trimmed);
        for below in 0..=trimmed.0 {
            let output =
                self.comparator.unmoved(self.tested, Event::Snapshot { below: Slot(below) })?;
            self.comparator.expect(
                "what an older snapshot does",
                output == Output::default(),
                &output,
            )?;
        }
        let Some(&peer) = self.peers.first() else { return Ok(()) };
        for (below, wanted) in [(below, Vec::new()), (below.plus(1), vec![peer])] {
            let event = Event::Message { from: peer, message: Message::Trimmed { below } };
            let output = self.comparator.unmoved(self.tested, event)?;
            let expected = Output { fetch: wanted, ..Output::default() };
            self.comparator.expect("whose snapshot is wanted", output == expected, &output)?;
        }
        Ok(())
    }

    /// Reads that are asked for together are confirmed together; who does not lead refuses all of them.
    fn reads(&self) -> Tried {
        let parts = self.tested.replica().parts();
        let tokens = vec![Token(7), Token(8)];
        let output = self.comparator.tried(self.tested, Event::Read(tokens.clone()))?;
        let all = |found: Vec<Token>| found == tokens;
        let refused = all(output.refused.iter().map(|refused| refused.token).collect());
        let ready = all(output.reads.iter().map(|ready| ready.token).collect());
        let is_so = match parts.role {
            Role::Leader(_) if parts.config.phase2_quorum == 1 => ready,
            Role::Leader(leader) => {
                let begins = leader.reader.heard.is_empty();
                output.reads.is_empty()
                    && output.refused.is_empty()
                    && output.messages.len() == usize::from(begins)
            }
            Role::Follower | Role::Candidate(_) => refused && output.messages.is_empty(),
        };
        self.comparator.expect("what becomes of two reads", is_so, &output)?;
        let (Some(&peer), Some(ballot)) = (self.peers.first(), parts.acceptor.promised) else {
            return Ok(());
        };
        if ballot.node == peer {
            return Ok(());
        }
        self.ignored(peer, Message::Confirm { ballot, round: 1 })
    }

    /// A record that comes again changes nothing, an older one neither, and one that contradicts is
    /// refused.
    fn records(&self) -> Tried {
        let config = self.tested.replica().parts().config;
        let stored = self.tested.disk().records();
        let recover = |more: Vec<Record>| {
            let records = stored.iter().cloned().chain(more);
            Replica::recover(config.clone(), records)
        };
        let once = recover(Vec::new());
        let twice = recover(stored.clone());
        self.comparator.expect("what records told twice make", once == twice, &twice)?;
        let recovered = once.ok();
        let acceptor = self.tested.disk().image();
        for (slot, vote) in acceptor.votes.iter() {
            let record = |ballot, value| {
                vec![Record::Accepted { ballot, first: slot, values: [value].into() }]
            };
            let lowest = Ballot::new(1, *config.nodes.iter().min().unwrap_or(&self.me));
            let lowest = lowest.filter(|&lowest| lowest < vote.ballot);
            if let Some(older) = lowest {
                let older = recover(record(older, Value::Noop)).ok();
                self.comparator.expect("what an older record makes", older == recovered, &older)?;
            }
            let other = Value::Command(Bytes::from_static(b"other"));
            let refused = recover(record(vote.ballot, other));
            self.comparator.expect("what a contradiction makes", refused.is_err(), &refused)?;
        }
        Ok(())
    }

    /// A leader takes as many proposals as it has room for, others none; nobody forgets one.
    fn proposals(&self) -> Tried {
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
        let taken: Vec<_> = output.taken.iter().map(|taken| (taken.token, taken.slot)).collect();
        let expected: Vec<_> = (0..room.min(COUNT)).map(|i| (Token(i), Slot(next + i))).collect();
        self.comparator.expect("which proposals are taken", taken == expected, &output)?;
        let refused: Vec<_> = output.refused.iter().map(|r| (r.token, r.refusal)).collect();
        let expected: Vec<_> = (room.min(COUNT)..COUNT).map(|i| (Token(i), refusal)).collect();
        self.comparator.expect("which proposals are refused", refused == expected, &output)
    }
}
