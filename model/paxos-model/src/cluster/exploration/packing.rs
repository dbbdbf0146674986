//! The exact packing of a state of the cluster into a few words.
//!
//! The packed network has one bit for each possible message but a promise: it is set if the message was sent. For each node
//! and ballot it has room for a fixed number of promises. A correct node sends one promise in a ballot, and another one only
//! after it has trimmed more. So the room is for one promise, or for one with each end of the trimmed log in a cluster with
//! snapshots. In a cluster with a bug it is for at least two. A state with more promises cannot be packed, and the search
//! reports that.

use state_explorer::packing::{Packer, Unpacker};

use crate::cluster::{
    bounds::Bounds,
    description::{Described as _, Field, Fields, Shape, Sort},
    node::{rules::Rules, small::Small},
    state::{
        Acceptor, BALLOTS_MAX, Ballot, Live, Log, Message, NODES_MAX, Network, Node, NodeId,
        NodeSet, Reads, Role, Round, SLOTS_MAX, Slot, State, Unsynced, Value, Vote,
    },
};

/// The highest number of different promises of a node in a ballot for which there is room.
const PROMISES_MAX: usize = 1 + SLOTS_MAX;

/// The limits of a cluster, from which the radices of the digits follow.
#[derive(Clone, Copy)]
pub(in crate::cluster) struct Layout {
    nodes: u8,
    slots: u8,
    ballots: u8,
    /// Includes the no-op.
    values: u8,
    unsynced: u8,
    snapshots: bool,
    reads: u8,
    /// The number of different promises of a node in a ballot that a packed state holds.
    promises: usize,
}

impl Layout {
    pub(in crate::cluster) fn new(rules: &Rules<Small>) -> Self {
        let Bounds { nodes, slots, ballots, values, unsynced, snapshots, reads, .. } = rules.limits;
        let least = if rules.bug.is_some() { 2 } else { 1 };
        let promises = if snapshots { least.max(1 + usize::from(slots)) } else { least };
        let values = values + 1;
        Self { nodes, slots, ballots, values, unsynced, snapshots, reads, promises }
    }

    fn slots(self) -> impl Iterator<Item = Slot> {
        (0..self.slots).map(Slot)
    }

    fn ballots(self) -> impl Iterator<Item = Ballot> {
        (0..self.ballots).map(Ballot)
    }

    fn nodes(self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes).map(NodeId)
    }

    /// Radix of an optional ballot.
    fn maybe_ballot(self) -> u64 {
        1 + u64::from(self.ballots)
    }

    /// Radix of an optional vote.
    fn maybe_vote(self) -> u64 {
        1 + u64::from(self.ballots) * u64::from(self.values)
    }

    /// Radix of an optional vote in each slot.
    fn votes(self) -> u64 {
        self.maybe_vote().pow(u32::from(self.slots))
    }

    /// Radix of the end of the trimmed part of a log.
    fn trimmed(self) -> u64 {
        if self.snapshots { self.ends() } else { 1 }
    }

    /// Radix of the end of a part of the log.
    fn ends(self) -> u64 {
        1 + u64::from(self.slots)
    }

    /// Radix of an optional vote in each slot, and of the end of the trimmed part.
    fn kept_votes(self) -> u64 {
        self.votes() * self.trimmed()
    }

    /// Radix of an acceptor.
    fn acceptor(self) -> u64 {
        self.kept_votes() * self.maybe_ballot()
    }

    /// Radix of a candidate: the first slot that it asks for, the nodes whose promises it has, and their merged reports.
    fn candidate(self) -> u64 {
        self.ends() * self.node_set() * self.kept_votes()
    }

    /// Radix of a set of nodes.
    fn node_set(self) -> u64 {
        1 << self.nodes
    }

    /// Radix of a set of values.
    fn value_set(self) -> u64 {
        1 << self.values
    }

    /// Radix of the index or the barrier of a leader's reads.
    fn read_to(self) -> u64 {
        if self.reads > 0 { self.ends() } else { 1 }
    }

    /// Radix of an optional round of reads.
    fn round(self) -> u64 {
        if self.reads > 0 { 1 + self.node_set() * self.read_to() } else { 1 }
    }

    /// Radix of the number of rounds, and of the truth value that a read waits for the next one.
    fn rounds(self) -> u64 {
        if self.reads > 0 { 2 * (1 + u64::from(self.reads)) } else { 1 }
    }

    /// Radix of the part of a leader that serves reads.
    fn reads(self) -> u64 {
        self.read_to() * self.rounds() * self.round()
    }

    /// Radix of a set of rounds.
    fn round_set(self) -> u64 {
        1 << self.reads
    }

    /// Radix of a truth value that exists only in a cluster with reads.
    fn whether(self) -> u64 {
        if self.reads > 0 { 2 } else { 1 }
    }

    /// Radix of a role: a follower, a candidate, or a leader with the voters in each slot and its reads.
    fn role(self) -> u64 {
        1 + self.candidate() + self.node_set().pow(u32::from(self.slots)) * self.reads()
    }

    /// Returns the highest number of messages that wait for the sync of one step. A leader that fills the whole log in one
    /// step sends the most. Confirmations may join them, one for each ballot and round of reads.
    fn messages(self) -> usize {
        3 + 2 * usize::from(self.slots) + usize::from(self.ballots) * usize::from(self.reads)
    }

    /// Radix of a field of a message. The sender takes no digit, because the message is packed with its sender.
    fn field(self, sort: Sort) -> u64 {
        match sort {
            Sort::Sender => 1,
            Sort::Ballot => self.ballots.into(),
            Sort::Slot => self.slots.into(),
            Sort::Trimmed => self.trimmed(),
            Sort::Unknown => self.ends(),
            Sort::Value => self.values.into(),
            Sort::Round => self.reads.into(),
            Sort::Votes => self.votes(),
            Sort::Node | Sort::Below | Sort::Count | Sort::Message => {
                unreachable!("no message has such a field")
            }
        }
    }

    /// Radix of the messages of one shape.
    fn shape(self, shape: &Shape) -> u64 {
        shape.fields.iter().map(|(_, sort)| self.field(*sort)).product()
    }

    /// Radix of a message that a node sends.
    fn message(self) -> u64 {
        Message::SHAPES.iter().map(|shape| self.shape(shape)).sum()
    }

    /// Returns an acceptor as one digit.
    pub(super) fn acceptor_digit(self, acceptor: &Acceptor) -> u64 {
        let promised = acceptor.promised.map_or(0, |ballot| 1 + u64::from(ballot.0));
        let votes = kept_votes_digit(self, acceptor.votes, acceptor.trimmed);
        votes * self.maybe_ballot() + promised
    }

    /// Returns a message as a digit. The sender is left out.
    pub(super) fn message_digit(self, message: Message) -> u64 {
        let (shape, fields) = message.parts();
        let (before, shape) = (&Message::SHAPES[..shape], &Message::SHAPES[shape]);
        let mut digit = 0;
        for ((_, sort), field) in shape.fields.iter().zip(fields) {
            let of_field = match field {
                Field::Node(_) => 0,
                Field::Ballot(ballot) => ballot.0.into(),
                Field::Slot(slot) => slot.0.into(),
                Field::Value(value) => value.0.into(),
                Field::Number(round) => u64::from(round) - 1,
                Field::Votes(votes) => votes_digit(self, votes),
                Field::Message(_) => unreachable!("a message is in no message"),
            };
            digit = digit * self.field(*sort) + of_field;
        }
        before.iter().map(|shape| self.shape(shape)).sum::<u64>() + digit
    }
}

/// Writes a state, digit by digit.
pub(super) fn pack(layout: Layout, state: &State, packer: &mut Packer) {
    for node in &state.nodes {
        pack_node(layout, node, packer);
    }
    pack_network(layout, &state.network, packer);
}

/// Reads the state that [`pack`] wrote.
pub(super) fn unpack(layout: Layout, unpacker: &mut Unpacker<'_>) -> State {
    let nodes = layout.nodes().map(|id| unpack_node(layout, id, unpacker)).collect();
    State { nodes, network: unpack_network(layout, unpacker) }
}

/// Writes a node and its disk.
fn pack_node(layout: Layout, node: &Node, packer: &mut Packer) {
    pack_acceptor(layout, &node.durable, packer);
    pack_acceptor(layout, &node.live.acceptor, packer);
    packer.push(role_digit(layout, node.live.role), layout.role());
    for slot in layout.slots() {
        let known = node.live.chosen[usize::from(slot.0)];
        packer.push(known.map_or(0, |value| 1 + u64::from(value.0)), 1 + u64::from(layout.values));
    }
    packer.push(node.unsynced.len() as u64, 1 + u64::from(layout.unsynced));
    for step in 0..usize::from(layout.unsynced) {
        let step = node.unsynced.get(step);
        pack_acceptor(layout, &step.map_or(Acceptor::default(), |step| step.acceptor), packer);
        let messages = step.map_or(&[][..], |step| &step.messages);
        packer.push(messages.len() as u64, 1 + layout.messages() as u64);
        for message in 0..layout.messages() {
            let digit = messages.get(message).map_or(0, |it| layout.message_digit(*it));
            packer.push(digit, layout.message());
        }
    }
}

fn unpack_node(layout: Layout, id: NodeId, unpacker: &mut Unpacker<'_>) -> Node {
    let durable = unpack_acceptor(layout, unpacker);
    let acceptor = unpack_acceptor(layout, unpacker);
    let role = role(layout, unpacker.take(layout.role()));
    let mut chosen = Log::default();
    for slot in layout.slots() {
        let known = unpacker.take(1 + u64::from(layout.values)).checked_sub(1);
        chosen[usize::from(slot.0)] = known.map(|value| Value(value as u8));
    }
    let waiting = unpacker.take(1 + u64::from(layout.unsynced)) as usize;
    let mut unsynced = Vec::with_capacity(waiting);
    for step in 0..usize::from(layout.unsynced) {
        let acceptor = unpack_acceptor(layout, unpacker);
        let count = unpacker.take(1 + layout.messages() as u64) as usize;
        let mut messages = Vec::with_capacity(count);
        for place in 0..layout.messages() {
            let digit = unpacker.take(layout.message());
            if place < count {
                messages.push(message(layout, id, digit));
            }
        }
        if step < waiting {
            unsynced.push(Unsynced { acceptor, messages });
        }
    }
    Node { durable, unsynced, live: Live { acceptor, role, chosen } }
}

fn pack_acceptor(layout: Layout, acceptor: &Acceptor, packer: &mut Packer) {
    packer.push(layout.acceptor_digit(acceptor), layout.acceptor());
}

fn unpack_acceptor(layout: Layout, unpacker: &mut Unpacker<'_>) -> Acceptor {
    let digit = unpacker.take(layout.acceptor());
    let promised = (digit % layout.maybe_ballot()).checked_sub(1);
    let (votes, trimmed) = kept_votes(layout, digit / layout.maybe_ballot());
    Acceptor { promised: promised.map(|ballot| Ballot(ballot as u8)), votes, trimmed }
}

fn pack_network(layout: Layout, network: &Network, packer: &mut Packer) {
    // Room for the largest valid bounds.
    const ALL: usize = NODES_MAX * BALLOTS_MAX;
    let places = usize::from(layout.ballots) * usize::from(layout.nodes);
    let at = |ballot: Ballot, node: NodeId| usize::from(ballot.0 * layout.nodes + node.0);
    let in_slot = |slot: Slot, place: usize| usize::from(slot.0) * places + place;
    let mut prepared = [0_u64; BALLOTS_MAX];
    let mut promised = [[0_u64; PROMISES_MAX]; ALL];
    let mut proposed = [0_u64; SLOTS_MAX * BALLOTS_MAX];
    let mut voted = [0_u64; SLOTS_MAX * ALL];
    let mut asked = [0_u64; BALLOTS_MAX];
    let mut confirmed = [0_u64; ALL];
    for message in network.iter() {
        match message {
            Message::Prepare { ballot, first } => prepared[usize::from(ballot.0)] |= 1 << first.0,
            Message::Promise { ballot, from, trimmed, reports } => {
                let room = &mut promised[at(ballot, from)][..layout.promises];
                match room.iter_mut().find(|place| **place == 0) {
                    Some(place) => *place = 1 + kept_votes_digit(layout, reports, trimmed),
                    None => packer.misfit(),
                }
            }
            Message::Accept { ballot, slot, value } => {
                proposed[usize::from(slot.0 * layout.ballots + ballot.0)] |= 1 << value.0;
            }
            Message::Accepted { ballot, slot, value, from } => {
                voted[in_slot(slot, at(ballot, from))] |= 1 << value.0;
            }
            Message::Confirm { ballot, round } => asked[usize::from(ballot.0)] |= 1 << (round - 1),
            Message::Confirmed { ballot, round, from } => {
                confirmed[at(ballot, from)] |= 1 << (round - 1);
            }
        }
    }
    for digit in &prepared[..usize::from(layout.ballots)] {
        packer.push(*digit, 1 << layout.ends());
    }
    for digits in &promised[..places] {
        let digits = &digits[..layout.promises];
        for digit in digits {
            packer.push(*digit, 1 + layout.kept_votes());
        }
    }
    let proposals = usize::from(layout.slots) * usize::from(layout.ballots);
    proposed[..proposals].iter().for_each(|digit| packer.push(*digit, layout.value_set()));
    let votes = usize::from(layout.slots) * places;
    voted[..votes].iter().for_each(|digit| packer.push(*digit, layout.value_set()));
    for digit in asked[..usize::from(layout.ballots)].iter().chain(&confirmed[..places]) {
        packer.push(*digit, layout.round_set());
    }
    for news in &network.news()[..usize::from(layout.slots)] {
        packer.push(u64::from(*news), layout.whether());
    }
}

fn unpack_network(layout: Layout, unpacker: &mut Unpacker<'_>) -> Network {
    let mut messages = Vec::new();
    for ballot in layout.ballots() {
        let prepared = unpacker.take(1 << layout.ends());
        let firsts = (0..=layout.slots).filter(|first| prepared >> first & 1 == 1).map(Slot);
        messages.extend(firsts.map(|first| Message::Prepare { ballot, first }));
    }
    for ballot in layout.ballots() {
        for from in layout.nodes() {
            for _ in 0..layout.promises {
                if let Some(digit) = unpacker.take(1 + layout.kept_votes()).checked_sub(1) {
                    let (reports, trimmed) = kept_votes(layout, digit);
                    messages.push(Message::Promise { ballot, from, trimmed, reports });
                }
            }
        }
    }
    let values = |set: u64| (0..layout.values).filter(move |v| set >> v & 1 == 1).map(Value);
    for slot in layout.slots() {
        for ballot in layout.ballots() {
            let set = unpacker.take(layout.value_set());
            messages.extend(values(set).map(|value| Message::Accept { ballot, slot, value }));
        }
    }
    for slot in layout.slots() {
        for ballot in layout.ballots() {
            for from in layout.nodes() {
                let set = unpacker.take(layout.value_set());
                let vote = |value| Message::Accepted { ballot, slot, value, from };
                messages.extend(values(set).map(vote));
            }
        }
    }
    let rounds = |set: u64| (0..layout.reads).filter(move |r| set >> r & 1 == 1).map(|r| r + 1);
    for ballot in layout.ballots() {
        let set = unpacker.take(layout.round_set());
        messages.extend(rounds(set).map(|round| Message::Confirm { ballot, round }));
    }
    for ballot in layout.ballots() {
        for from in layout.nodes() {
            let set = unpacker.take(layout.round_set());
            let confirmed = |round| Message::Confirmed { ballot, round, from };
            messages.extend(rounds(set).map(confirmed));
        }
    }
    let mut news = Log::default();
    for slot in layout.slots() {
        news[usize::from(slot.0)] = unpacker.take(layout.whether()) == 1;
    }
    Network::of(messages, news)
}

fn vote_digit(layout: Layout, vote: Option<Vote>) -> u64 {
    vote.map_or(0, |Vote { ballot, value }| {
        1 + u64::from(ballot.0) * u64::from(layout.values) + u64::from(value.0)
    })
}

fn votes_digit(layout: Layout, votes: Log<Option<Vote>>) -> u64 {
    let votes = votes[..usize::from(layout.slots)].iter().rev();
    votes.fold(0, |digit, vote| digit * layout.maybe_vote() + vote_digit(layout, *vote))
}

fn votes(layout: Layout, mut digit: u64) -> Log<Option<Vote>> {
    let mut votes = Log::default();
    for slot in layout.slots() {
        votes[usize::from(slot.0)] = (digit % layout.maybe_vote()).checked_sub(1).map(|vote| {
            let (ballot, value) =
                (vote / u64::from(layout.values), vote % u64::from(layout.values));
            Vote { ballot: Ballot(ballot as u8), value: Value(value as u8) }
        });
        digit /= layout.maybe_vote();
    }
    votes
}

fn kept_votes_digit(layout: Layout, votes: Log<Option<Vote>>, trimmed: Slot) -> u64 {
    votes_digit(layout, votes) * layout.trimmed() + u64::from(trimmed.0)
}

fn kept_votes(layout: Layout, digit: u64) -> (Log<Option<Vote>>, Slot) {
    (votes(layout, digit / layout.trimmed()), Slot((digit % layout.trimmed()) as u8))
}

fn reads_digit(layout: Layout, reads: Reads) -> u64 {
    let Reads { barrier, rounds, under_way, waits } = reads;
    let round = under_way.map_or(0, |Round { heard, index }| {
        1 + u64::from(heard.0) * layout.read_to() + u64::from(index.0)
    });
    let rounds = u64::from(rounds) * layout.whether() + u64::from(waits);
    (round * layout.rounds() + rounds) * layout.read_to() + u64::from(barrier.0)
}

fn reads(layout: Layout, digit: u64) -> Reads {
    let (digit, barrier) = (digit / layout.read_to(), Slot((digit % layout.read_to()) as u8));
    let (round, rounds) = (digit / layout.rounds(), digit % layout.rounds());
    let under_way = round.checked_sub(1).map(|round| Round {
        heard: NodeSet((round / layout.read_to()) as u8),
        index: Slot((round % layout.read_to()) as u8),
    });
    let waits = rounds % layout.whether() == 1;
    Reads { barrier, rounds: (rounds / layout.whether()) as u8, under_way, waits }
}

fn role_digit(layout: Layout, role: Role) -> u64 {
    match role {
        Role::Follower => 0,
        Role::Candidate { first, heard, reported, trimmed } => {
            let votes = kept_votes_digit(layout, reported, trimmed);
            let asked = u64::from(first.0) * layout.node_set() + u64::from(heard.0);
            1 + asked * layout.kept_votes() + votes
        }
        Role::Leader { votes, reads } => {
            let voters = votes[..usize::from(layout.slots)].iter().rev();
            let voters =
                voters.fold(0, |digit, voters| digit * layout.node_set() + u64::from(voters.0));
            1 + layout.candidate() + voters * layout.reads() + reads_digit(layout, reads)
        }
    }
}

fn role(layout: Layout, digit: u64) -> Role {
    let Some(digit) = digit.checked_sub(1) else { return Role::Follower };
    if digit < layout.candidate() {
        let (asked, votes) = (digit / layout.kept_votes(), digit % layout.kept_votes());
        let first = Slot((asked / layout.node_set()) as u8);
        let heard = NodeSet((asked % layout.node_set()) as u8);
        let (reported, trimmed) = kept_votes(layout, votes);
        return Role::Candidate { first, heard, reported, trimmed };
    }
    let digit = digit - layout.candidate();
    let reads = reads(layout, digit % layout.reads());
    let mut voters = digit / layout.reads();
    let mut sets = Log::default();
    for slot in layout.slots() {
        sets[usize::from(slot.0)] = NodeSet((voters % layout.node_set()) as u8);
        voters /= layout.node_set();
    }
    Role::Leader { votes: sets, reads }
}

fn message(layout: Layout, from: NodeId, mut digit: u64) -> Message {
    let mut shapes = Message::SHAPES.iter().enumerate();
    let (index, shape) = { &mut shapes }
        .find(|(_, shape)| {
            let radix = layout.shape(shape);
            let found = digit < radix;
            digit -= if found { 0 } else { radix };
            found
        })
        .expect("the digit is below the sum of all radices");
    let mut fields: Fields = shape
        .fields
        .iter()
        .rev()
        .map(|(_, sort)| {
            let of_field = digit % layout.field(*sort);
            digit /= layout.field(*sort);
            match sort {
                Sort::Sender => Field::Node(from),
                Sort::Ballot => Field::Ballot(Ballot(of_field as u8)),
                Sort::Slot | Sort::Trimmed | Sort::Unknown => Field::Slot(Slot(of_field as u8)),
                Sort::Value => Field::Value(Value(of_field as u8)),
                Sort::Round => Field::Number(1 + of_field as u8),
                Sort::Votes => Field::Votes(votes(layout, of_field)),
                Sort::Node | Sort::Below | Sort::Count | Sort::Message => {
                    unreachable!("no message has such a field")
                }
            }
        })
        .collect();
    fields.reverse();
    Message::from_parts(index, &fields).expect("the fields are of the sorts of the shape")
}
