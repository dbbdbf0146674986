//! The exact packing of a state of the cluster into a few words.
//!
//! The packed network has one bit for each possible message but a promise: it is set if the message was sent. The bits are
//! packed as digits of a few bits each. For each node and ballot the network has room for a fixed number of promises. A
//! correct node sends one promise in a ballot, and another one only after it has trimmed more. So the room is for one
//! promise, or for one with each end of the trimmed log in a cluster with snapshots. In a cluster with a bug it is for at
//! least two. A state with more promises cannot be packed, and the search reports that.
//!
//! A search packs the same few nodes and messages many million times. So the layout keeps the digits of each node, and the
//! place of each message.

use smallvec::SmallVec;
use state_explorer::packing::{Key, Packer, Unpacker, WORDS_MAX};

use super::{
    bounds::Bounds,
    description::{Described as _, Field, Fields, Shape, Sort},
    kept::{Digest, Kept},
    node::{rules::Rules, small::Small},
    state::{
        Acceptor, Ballot, Live, Log, Message, Network, Node, NodeId, NodeSet, Reads, Role, Round,
        SharedNode, Slot, State, Unsynced, Value, Vote,
    },
};

/// The number of bits of the network that are packed as one digit.
const CHUNK: usize = 16;
/// The highest number of chunks of a network that fits into a key.
const CHUNKS_MAX: usize = WORDS_MAX * u64::BITS as usize / CHUNK;

/// The limits of a cluster, and the radices of the digits, which follow from them.
pub(super) struct Layout {
    nodes: u8,
    slots: u8,
    ballots: u8,
    /// Includes the no-op.
    values: u8,
    unsynced: u8,
    reads: u8,
    /// The number of different promises of a node in a ballot that a packed state holds.
    promises: usize,
    /// Radix of an optional ballot.
    maybe_ballot: u64,
    /// Radix of an optional value.
    maybe_value: u64,
    /// Radix of an optional vote.
    maybe_vote: u64,
    /// Radix of an optional vote in each slot.
    votes: u64,
    /// Radix of the end of a part of the log.
    end: u64,
    /// Radix of the end of the trimmed part of a log.
    trimmed: u64,
    /// Radix of an optional vote in each slot, and of the end of the trimmed part.
    kept_votes: u64,
    /// Radix of an acceptor.
    acceptor: u64,
    /// Radix of a set of nodes.
    node_set: u64,
    /// Radix of a candidate: the first slot that it asks for, the nodes whose promises it has, and their merged reports.
    candidate: u64,
    /// Radix of the index or the barrier of a leader's reads.
    read_to: u64,
    /// Radix of the number of rounds, and of the truth value that a read waits for the next one.
    rounds: u64,
    /// Radix of the part of a leader that serves reads.
    reads_of_leader: u64,
    /// Radix of a role: a follower, a candidate, or a leader with the voters in each slot and its reads.
    role: u64,
    /// Radix of a truth value that exists only in a cluster with reads.
    whether: u64,
    /// The radices of the digits of a node. Its fields share as few digits as possible.
    node_radices: SmallVec<[u64; 2]>,
    /// The digits of nodes, or none for a node that cannot be packed.
    packed_nodes: Kept<SharedNode, Option<Digits>>,
    /// The nodes with these digits.
    unpacked_nodes: Kept<PackedNode, SharedNode>,
    /// The places of messages, by their words.
    places: Kept<u64, Place>,
    /// All messages but promises, in order. Each has a bit in the packed network, at its place in this list.
    messages: Vec<Message>,
}

/// The place of a message in the packed network.
#[derive(Clone, Copy)]
enum Place {
    /// A bit of a chunk.
    Bit { chunk: usize, bit: u64 },
    /// The first free digit from `first` on gets this digit.
    Promise { first: usize, digit: u64 },
}

/// The digits of a node, with their radices.
type Digits = SmallVec<[(u64, u64); 2]>;

/// A node as it is packed.
#[derive(PartialEq, Eq)]
struct PackedNode {
    /// The node. The messages that wait for its sync do not name it.
    id: NodeId,
    /// The digits.
    digits: SmallVec<[u64; 2]>,
}

impl Digest for PackedNode {
    fn digest(&self) -> u64 {
        let digits = self.digits.iter();
        digits.fold(self.id.0.into(), |mixed: u64, digit| mixed.rotate_left(32) ^ digit)
    }
}

impl Layout {
    pub(super) fn new(rules: &Rules<Small>) -> Self {
        let Bounds { nodes, slots, ballots, values, unsynced, snapshots, reads, .. } = rules.limits;
        let least = if rules.bug.is_some() { 2 } else { 1 };
        let promises = if snapshots { least.max(1 + usize::from(slots)) } else { least };
        let values = values + 1;
        let end = 1 + u64::from(slots);
        let has_reads = reads > 0;
        let if_reads = |radix| if has_reads { radix } else { 1 };
        let maybe_ballot = 1 + u64::from(ballots);
        let maybe_vote = 1 + u64::from(ballots) * u64::from(values);
        let votes = maybe_vote.pow(slots.into());
        let trimmed = if snapshots { end } else { 1 };
        let kept_votes = votes * trimmed;
        let node_set = 1 << nodes;
        let candidate = end * node_set * kept_votes;
        let read_to = if_reads(end);
        let rounds = if_reads(2 * (1 + u64::from(reads)));
        let round = if_reads(1 + node_set * read_to);
        let reads_of_leader = read_to * rounds * round;
        let mut layout = Self {
            nodes,
            slots,
            ballots,
            values,
            unsynced,
            reads,
            promises,
            maybe_ballot,
            maybe_value: 1 + u64::from(values),
            maybe_vote,
            votes,
            end,
            trimmed,
            kept_votes,
            acceptor: kept_votes * maybe_ballot,
            node_set,
            candidate,
            read_to,
            rounds,
            reads_of_leader,
            role: 1 + candidate + node_set.pow(slots.into()) * reads_of_leader,
            whether: if_reads(2),
            node_radices: SmallVec::new(),
            packed_nodes: Kept::default(),
            unpacked_nodes: Kept::default(),
            places: Kept::default(),
            messages: Vec::new(),
        };
        let mut packer = Packer::default();
        pack_node(&layout, &Node::default(), &mut packer);
        layout.node_radices =
            packer.digits().into_iter().flatten().map(|(_, radix)| radix).collect();
        layout.messages = layout.all_but_promises();
        layout
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + Clone + use<> {
        (0..self.slots).map(Slot)
    }

    fn ballots(&self) -> impl Iterator<Item = Ballot> + Clone + use<> {
        (0..self.ballots).map(Ballot)
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> + Clone + use<> {
        (0..self.nodes).map(NodeId)
    }

    /// Returns all messages but promises, in order.
    fn all_but_promises(&self) -> Vec<Message> {
        let proposals =
            itertools::iproduct!(self.ballots(), self.slots(), (0..self.values).map(Value));
        let rounds = itertools::iproduct!(self.ballots(), 1..=self.reads);
        let firsts = itertools::iproduct!(self.ballots(), (0..=self.slots).map(Slot));
        let prepare = |(ballot, first)| Message::Prepare { ballot, first };
        let mut all: Vec<_> = firsts.map(prepare).collect();
        all.extend(proposals.clone().map(|(ballot, slot, value)| Message::Accept {
            ballot,
            slot,
            value,
        }));
        all.extend(
            itertools::iproduct!(proposals, self.nodes()).map(|((ballot, slot, value), from)| {
                Message::Accepted { ballot, slot, value, from }
            }),
        );
        all.extend(rounds.clone().map(|(ballot, round)| Message::Confirm { ballot, round }));
        all.extend(
            itertools::iproduct!(rounds, self.nodes())
                .map(|((ballot, round), from)| Message::Confirmed { ballot, round, from }),
        );
        all
    }

    /// Returns the place of a message in the packed network.
    fn place(&self, message: Message) -> Place {
        if let Message::Promise { ballot, from, trimmed, reports } = message {
            let first = usize::from(ballot.0 * self.nodes + from.0) * self.promises;
            return Place::Promise { first, digit: 1 + kept_votes_digit(self, reports, trimmed) };
        }
        let bit = self.bit(message);
        Place::Bit { chunk: bit / CHUNK, bit: 1 << (bit % CHUNK) }
    }

    /// Returns the number of a message in the list of all messages but promises.
    fn bit(&self, message: Message) -> usize {
        let [nodes, slots, ballots, values] =
            [self.nodes, self.slots, self.ballots, self.values].map(usize::from);
        let (prepares, proposals) = (ballots * (slots + 1), ballots * slots * values);
        let rounds = usize::from(self.reads);
        let proposal = |ballot: Ballot, slot: Slot, value: Value| {
            (usize::from(ballot.0) * slots + usize::from(slot.0)) * values + usize::from(value.0)
        };
        let round =
            |ballot: Ballot, round: u8| usize::from(ballot.0) * rounds + usize::from(round - 1);
        let confirms_at = prepares + proposals * (1 + nodes);
        match message {
            Message::Prepare { ballot, first } => {
                usize::from(ballot.0) * (slots + 1) + usize::from(first.0)
            }
            Message::Promise { .. } => unreachable!("a promise has no bit"),
            Message::Accept { ballot, slot, value } => prepares + proposal(ballot, slot, value),
            Message::Accepted { ballot, slot, value, from } => {
                prepares + proposals + proposal(ballot, slot, value) * nodes + usize::from(from.0)
            }
            Message::Confirm { ballot, round: nth } => confirms_at + round(ballot, nth),
            Message::Confirmed { ballot, round: nth, from } => {
                confirms_at + ballots * rounds + round(ballot, nth) * nodes + usize::from(from.0)
            }
        }
    }

    /// Returns the highest number of messages that wait for the sync of one step. A leader that fills the whole log in one
    /// step sends the most. Confirmations may join them, one for each ballot and round of reads.
    fn messages(&self) -> usize {
        3 + 2 * usize::from(self.slots) + usize::from(self.ballots) * usize::from(self.reads)
    }

    /// Radix of a chunk of the network: all chunks have the same size, but the last one may be smaller.
    fn chunk(&self, nth: usize) -> u64 {
        1 << CHUNK.min(self.messages.len() - nth * CHUNK)
    }

    /// Radix of a field of a message. The sender takes no digit, because the message is packed with its sender.
    fn field(&self, sort: Sort) -> u64 {
        match sort {
            Sort::Sender => 1,
            Sort::Ballot => self.ballots.into(),
            Sort::Slot => self.slots.into(),
            Sort::Trimmed => self.trimmed,
            Sort::Unknown => self.end,
            Sort::Value => self.values.into(),
            Sort::Round => self.reads.into(),
            Sort::Votes => self.votes,
            Sort::Node | Sort::Below | Sort::Count | Sort::Message => {
                unreachable!("no message has such a field")
            }
        }
    }

    /// Radix of the messages of one shape.
    fn shape(&self, shape: &Shape) -> u64 {
        shape.fields.iter().map(|(_, sort)| self.field(*sort)).product()
    }

    /// Radix of a message that a node sends.
    fn message(&self) -> u64 {
        Message::SHAPES.iter().map(|shape| self.shape(shape)).sum()
    }

    /// Returns an acceptor as one digit.
    pub(super) fn acceptor_digit(&self, acceptor: &Acceptor) -> u64 {
        let promised = acceptor.promised.map_or(0, |ballot| 1 + u64::from(ballot.0));
        let votes = kept_votes_digit(self, acceptor.votes, acceptor.trimmed);
        votes * self.maybe_ballot + promised
    }

    /// Returns a message as a digit. The sender is left out.
    pub(super) fn message_digit(&self, message: Message) -> u64 {
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
pub(super) fn pack(layout: &Layout, state: &State, packer: &mut Packer) {
    for node in &state.nodes {
        let compute = |_: &SharedNode| {
            let mut packer = Packer::default();
            pack_node(layout, node, &mut packer);
            packer.digits()
        };
        layout.packed_nodes.with(*node, compute, |digits| match digits {
            Some(digits) => digits.iter().for_each(|&(digit, radix)| packer.push(digit, radix)),
            None => packer.misfit(),
        });
    }
    pack_network(layout, &state.network, packer);
}

/// Reads the state that [`pack`] wrote.
pub(super) fn unpack(layout: &Layout, unpacker: &mut Unpacker<'_>) -> State {
    let nodes = layout.nodes().map(|id| {
        let digits = layout.node_radices.iter().map(|radix| unpacker.take(*radix)).collect();
        let packed = PackedNode { id, digits };
        let compute = |packed: &PackedNode| {
            let words =
                Key(std::array::from_fn(|word| packed.digits.get(word).copied().unwrap_or(0)));
            unpack_node(layout, id, &mut Unpacker::new::<WORDS_MAX>(&words)).into()
        };
        layout.unpacked_nodes.with(packed, compute, |node| *node)
    });
    let nodes = nodes.collect();
    State { nodes, network: unpack_network(layout, unpacker) }
}

/// Writes a node and its disk.
fn pack_node(layout: &Layout, node: &Node, packer: &mut Packer) {
    pack_acceptor(layout, &node.durable, packer);
    pack_acceptor(layout, &node.live.acceptor, packer);
    packer.push(role_digit(layout, node.live.role), layout.role);
    for slot in layout.slots() {
        let known = node.live.chosen[usize::from(slot.0)];
        packer.push(known.map_or(0, |value| 1 + u64::from(value.0)), layout.maybe_value);
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

fn unpack_node(layout: &Layout, id: NodeId, unpacker: &mut Unpacker<'_>) -> Node {
    let durable = unpack_acceptor(layout, unpacker);
    let acceptor = unpack_acceptor(layout, unpacker);
    let role = role(layout, unpacker.take(layout.role));
    let mut chosen = Log::default();
    for slot in layout.slots() {
        let known = unpacker.take(layout.maybe_value).checked_sub(1);
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

fn pack_acceptor(layout: &Layout, acceptor: &Acceptor, packer: &mut Packer) {
    packer.push(layout.acceptor_digit(acceptor), layout.acceptor);
}

fn unpack_acceptor(layout: &Layout, unpacker: &mut Unpacker<'_>) -> Acceptor {
    let digit = unpacker.take(layout.acceptor);
    let promised = (digit % layout.maybe_ballot).checked_sub(1);
    let (votes, trimmed) = kept_votes(layout, digit / layout.maybe_ballot);
    Acceptor { promised: promised.map(|ballot| Ballot(ballot as u8)), votes, trimmed }
}

fn pack_network(layout: &Layout, network: &Network, packer: &mut Packer) {
    let mut chunks = [0_u64; CHUNKS_MAX];
    let mut promises: SmallVec<[u64; 32]> = SmallVec::new();
    let room = layout.promises;
    promises.resize(usize::from(layout.ballots) * usize::from(layout.nodes) * room, 0);
    for word in network.words() {
        let compute = |word: &u64| layout.place(Message::from_word(*word));
        match layout.places.with(*word, compute, |place| *place) {
            Place::Bit { chunk, bit } => {
                // A chunk without a place means that the network does not fit. The digits of all chunks do not fit either.
                if let Some(chunk) = chunks.get_mut(chunk) {
                    *chunk |= bit;
                }
            }
            Place::Promise { first, digit } => {
                let free = promises[first..first + room].iter_mut().find(|place| **place == 0);
                match free {
                    Some(place) => *place = digit,
                    None => packer.misfit(),
                }
            }
        }
    }
    let count = layout.messages.len().div_ceil(CHUNK);
    for (nth, chunk) in (0..count).zip(chunks) {
        packer.push(chunk, layout.chunk(nth));
    }
    promises.iter().for_each(|digit| packer.push(*digit, 1 + layout.kept_votes));
    for news in &network.news()[..usize::from(layout.slots)] {
        packer.push(u64::from(*news), layout.whether);
    }
}

fn unpack_network(layout: &Layout, unpacker: &mut Unpacker<'_>) -> Network {
    let mut messages: SmallVec<[Message; 32]> = SmallVec::new();
    for (nth, of_chunk) in layout.messages.chunks(CHUNK).enumerate() {
        let mut chunk = unpacker.take(layout.chunk(nth));
        while chunk != 0 {
            messages.push(of_chunk[chunk.trailing_zeros() as usize]);
            chunk &= chunk - 1;
        }
    }
    for ballot in layout.ballots() {
        for from in layout.nodes() {
            for _ in 0..layout.promises {
                if let Some(digit) = unpacker.take(1 + layout.kept_votes).checked_sub(1) {
                    let (reports, trimmed) = kept_votes(layout, digit);
                    messages.push(Message::Promise { ballot, from, trimmed, reports });
                }
            }
        }
    }
    let mut news = Log::default();
    for slot in layout.slots() {
        news[usize::from(slot.0)] = unpacker.take(layout.whether) == 1;
    }
    Network::of(messages, news)
}

fn vote_digit(layout: &Layout, vote: Option<Vote>) -> u64 {
    vote.map_or(0, |Vote { ballot, value }| {
        1 + u64::from(ballot.0) * u64::from(layout.values) + u64::from(value.0)
    })
}

fn votes_digit(layout: &Layout, votes: Log<Option<Vote>>) -> u64 {
    let votes = votes[..usize::from(layout.slots)].iter().rev();
    votes.fold(0, |digit, vote| digit * layout.maybe_vote + vote_digit(layout, *vote))
}

fn votes(layout: &Layout, mut digit: u64) -> Log<Option<Vote>> {
    let mut votes = Log::default();
    for slot in layout.slots() {
        votes[usize::from(slot.0)] = (digit % layout.maybe_vote).checked_sub(1).map(|vote| {
            let (ballot, value) =
                (vote / u64::from(layout.values), vote % u64::from(layout.values));
            Vote { ballot: Ballot(ballot as u8), value: Value(value as u8) }
        });
        digit /= layout.maybe_vote;
    }
    votes
}

fn kept_votes_digit(layout: &Layout, votes: Log<Option<Vote>>, trimmed: Slot) -> u64 {
    votes_digit(layout, votes) * layout.trimmed + u64::from(trimmed.0)
}

fn kept_votes(layout: &Layout, digit: u64) -> (Log<Option<Vote>>, Slot) {
    (votes(layout, digit / layout.trimmed), Slot((digit % layout.trimmed) as u8))
}

fn reads_digit(layout: &Layout, reads: Reads) -> u64 {
    let Reads { barrier, rounds, under_way, waits } = reads;
    let round = under_way.map_or(0, |Round { heard, index }| {
        1 + u64::from(heard.0) * layout.read_to + u64::from(index.0)
    });
    let rounds = u64::from(rounds) * layout.whether + u64::from(waits);
    (round * layout.rounds + rounds) * layout.read_to + u64::from(barrier.0)
}

fn reads(layout: &Layout, digit: u64) -> Reads {
    let (digit, barrier) = (digit / layout.read_to, Slot((digit % layout.read_to) as u8));
    let (round, rounds) = (digit / layout.rounds, digit % layout.rounds);
    let under_way = round.checked_sub(1).map(|round| Round {
        heard: NodeSet((round / layout.read_to) as u8),
        index: Slot((round % layout.read_to) as u8),
    });
    let waits = rounds % layout.whether == 1;
    Reads { barrier, rounds: (rounds / layout.whether) as u8, under_way, waits }
}

fn role_digit(layout: &Layout, role: Role) -> u64 {
    match role {
        Role::Follower => 0,
        Role::Candidate { first, heard, reported, trimmed } => {
            let votes = kept_votes_digit(layout, reported, trimmed);
            let asked = u64::from(first.0) * layout.node_set + u64::from(heard.0);
            1 + asked * layout.kept_votes + votes
        }
        Role::Leader { votes, reads } => {
            let voters = votes[..usize::from(layout.slots)].iter().rev();
            let voters =
                voters.fold(0, |digit, voters| digit * layout.node_set + u64::from(voters.0));
            1 + layout.candidate + voters * layout.reads_of_leader + reads_digit(layout, reads)
        }
    }
}

fn role(layout: &Layout, digit: u64) -> Role {
    let Some(digit) = digit.checked_sub(1) else { return Role::Follower };
    if digit < layout.candidate {
        let (asked, votes) = (digit / layout.kept_votes, digit % layout.kept_votes);
        let first = Slot((asked / layout.node_set) as u8);
        let heard = NodeSet((asked % layout.node_set) as u8);
        let (reported, trimmed) = kept_votes(layout, votes);
        return Role::Candidate { first, heard, reported, trimmed };
    }
    let digit = digit - layout.candidate;
    let reads = reads(layout, digit % layout.reads_of_leader);
    let mut voters = digit / layout.reads_of_leader;
    let mut sets = Log::default();
    for slot in layout.slots() {
        sets[usize::from(slot.0)] = NodeSet((voters % layout.node_set) as u8);
        voters /= layout.node_set;
    }
    Role::Leader { votes: sets, reads }
}

fn message(layout: &Layout, from: NodeId, mut digit: u64) -> Message {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_but_promises_has_a_bit_of_its_own() {
        let bounds = Bounds { values: 3, reads: 2, ..Bounds::of(5, 3, 4) };
        let layout = Layout::new(&Rules { limits: bounds, bug: None });
        assert!(layout.messages.is_sorted());
        for (bit, message) in layout.messages.iter().enumerate() {
            assert_eq!(layout.bit(*message), bit, "{message:?}");
        }
    }
}
