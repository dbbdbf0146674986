//! The nodes of a subject, one step at a time.
//!
//! A step of a node depends on the state of that node and on its input. So each state of a node is asked about each input once.
//! The rest of a schedule is arithmetic. A search goes through millions of schedules, and asks the subject some thousand times.
//!
//! A state is named by the text that `save` returns, or else by the inputs in their order. For an acceptor, the state that it
//! reports is enough. The judge checks that steps depend on nothing else: whole schedules are run on the subject, with all nodes in
//! one process, and their replies are compared.
//!
//! This file has the states, and what may happen in them. `setup` has the nodes and values of a cluster. `asking` sends requests.
//! `observing` reads the replies. `apart` has a process for each node.

mod apart;
mod asking;
mod observing;
mod setup;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{Hash, Hasher},
    rc::Rc,
};

use serde::Serialize;
use serde_json::Value as Json;

pub use self::apart::Apart;
pub(crate) use self::asking::Stop;
pub use self::setup::Size;
use self::setup::{client_value, setup};
use crate::{
    claims::Finding,
    facts::Fact,
    memory::Memory,
    process::{Broken, Limits, Process},
    protocol::{
        BallotScope, Hello, Kind, Message, PrepareTo, Repropose, Setup, Slots, Step, Topology,
        value,
    },
    rules::{Name, Rules},
};

/// A state of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LocalId(u32);

impl LocalId {
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// A message to one node. Equal messages are one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MessageId(pub(crate) u32);

/// A fact about one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FactId(pub(crate) u32);

/// A node, by its place in the list of all nodes.
pub(crate) type Node = usize;

/// Something that happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Input {
    /// A client asks for one of its values.
    Propose(usize),
    Deliver(MessageId),
    /// A timer fires, by its place in the names of timers.
    Timer(usize),
    /// The caller of a request learns that it is lost.
    Fail(MessageId),
    /// The node crashes, and starts again from its disk.
    Restart,
}

/// A message, and its number in the protocol.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) from: Node,
    pub(crate) to: Node,
    pub(crate) mid: u64,
    /// The number of restarts of the sender before. It counts for calls only.
    pub(crate) start: u32,
    pub(crate) json: Json,
    pub(crate) message: Message,
}

/// The step of a node that took an input.
#[derive(Debug)]
pub(crate) struct Transition {
    pub(crate) next: LocalId,
    pub(crate) sent: Vec<MessageId>,
    pub(crate) facts: Vec<FactId>,
    pub(crate) findings: Vec<Finding>,
    /// True if the node has used a ballot again, as its contract allows.
    pub(crate) reuse: bool,
    /// True if the node has ended.
    pub(crate) fault: bool,
    reply: Json,
}

#[derive(Clone, Debug)]
struct Local {
    node: Node,
    /// True if the node has ended by a fault. Nothing reaches it any more.
    down: bool,
    /// The state and the input that led here first.
    before: Option<(LocalId, Input)>,
    blob: Option<Json>,
    store: Option<Json>,
    reported: Option<Json>,
    timers: BTreeSet<usize>,
    fired: u32,
    memory: Memory,
    /// The messages that were delivered, and how often. It is kept if the state depends on them.
    taken: BTreeMap<MessageId, u32>,
    /// The requests that the node waits for.
    waits: BTreeSet<MessageId>,
}

/// States with equal hashes are one state. The steps that led there do not count.
impl Hash for Local {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            node,
            down,
            before: _,
            blob,
            store,
            reported,
            timers,
            fired,
            memory,
            taken,
            waits,
        } = self;
        (node, down, blob, store, reported, timers, fired, memory, taken, waits).hash(hasher);
    }
}

/// The number of values that clients have for each proposer.
const VALUES: usize = 2;

/// A value, and the proposer that is asked for it.
pub(crate) type Wish = (Node, Json);

/// The nodes of a subject.
#[derive(Debug)]
pub(crate) struct Cluster {
    command: Vec<String>,
    limits: Limits,
    /// The name of the implementation.
    pub(crate) subject: String,
    pub(crate) rules: Rc<Rules>,
    pub(crate) wishes: Vec<Wish>,
    names: Vec<Name>,
    timer_names: Vec<String>,
    messages: Vec<Sent>,
    next_mid: u64,
    mids: HashMap<u64, MessageId>,
    message_ids: HashMap<(Node, Node, u32, String), MessageId>,
    facts: Vec<Fact>,
    fact_ids: HashMap<Fact, FactId>,
    locals: Vec<Local>,
    local_ids: HashMap<u128, LocalId>,
    transitions: HashMap<(LocalId, Input), Rc<Transition>>,
    pub(crate) initial: Vec<LocalId>,
    first_reply: Json,
    process: Option<Process>,
    /// The state of each node in the process. It is empty if there is no process.
    at: Vec<LocalId>,
    /// True if known steps are taken by the process, too, so that its nodes stay in the states of a schedule.
    follows: bool,
    /// The number of requests so far.
    pub(crate) requests: u64,
}

/// The numbers of different messages that the subject has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Prepare messages.
    pub prepares: u64,
    /// Promise messages.
    pub promises: u64,
    /// Promise messages that report a vote.
    pub votes_reported: u64,
    /// Promise messages that do not say whether there is a vote.
    pub votes_not_carried: u64,
    /// Accept messages.
    pub accepts: u64,
    /// Accepted messages.
    pub accepted: u64,
    /// All other messages.
    pub others: u64,
}

impl Cluster {
    /// Starts a subject, and asks for a cluster. Clients have some values for each proposer of `size`.
    pub(crate) fn new(command: &[String], limits: Limits, size: Size) -> Result<Self, Broken> {
        let (process, hello) = Process::start(command, limits)?;
        let setup = setup(size, hello.caps.topology);
        let proposers = setup.proposers.iter().take(size.proposers).cycle();
        let wishes = (0..size.proposers * VALUES).zip(proposers);
        let wishes: Vec<_> = wishes
            .map(|(number, at)| (at.clone(), client_value(number, hello.caps.values)))
            .collect();
        Self::with_setup(command, limits, (process, hello), setup, &wishes)
    }

    /// Starts a subject with a given cluster and given values of clients.
    pub(crate) fn of(
        command: &[String],
        limits: Limits,
        setup: Setup,
        wishes: &[(String, Json)],
    ) -> Result<Self, Broken> {
        let started = Process::start(command, limits)?;
        Self::with_setup(command, limits, started, setup, wishes)
    }

    fn with_setup(
        command: &[String],
        limits: Limits,
        (process, hello): (Process, Hello),
        setup: Setup,
        wishes: &[(String, Json)],
    ) -> Result<Self, Broken> {
        if hello.caps.ballot_scope == BallotScope::Slot && hello.caps.slots == Slots::Subject {
            let what = "ballots of slots, where the subject selects the slots".to_owned();
            return Err(Broken::Unsupported(what));
        }
        let node = |name: &String| setup.host.iter().position(|it| it == name);
        let wishes = wishes.iter().filter_map(|(at, value)| Some((node(at)?, value.clone())));
        let wishes = wishes.collect();
        let names = setup.host.iter().map(|name| Name::from(name.as_str())).collect();
        let mut cluster = Self {
            command: command.to_vec(),
            limits,
            subject: hello.name,
            rules: Rc::new(Rules::new(hello.caps, setup)),
            wishes,
            names,
            timer_names: Vec::new(),
            messages: Vec::new(),
            next_mid: 1,
            mids: HashMap::new(),
            message_ids: HashMap::new(),
            facts: Vec::new(),
            fact_ids: HashMap::new(),
            locals: Vec::new(),
            local_ids: HashMap::new(),
            transitions: HashMap::new(),
            initial: Vec::new(),
            first_reply: Json::Null,
            process: Some(process),
            at: Vec::new(),
            follows: false,
            requests: 0,
        };
        cluster.first_reply = cluster.init()?;
        let reply = cluster.first_reply.clone();
        let step = Self::read_step(&reply)?;
        let Step { send, own, decided, fault, .. } = &step;
        if !send.is_empty() || !own.is_empty() || !decided.is_empty() || fault.is_some() {
            let what = "the reply to init has disks, timers and states, and nothing else";
            return Err(Self::malformed(&what, &reply));
        }
        for node in 0..cluster.names.len() {
            let blob = cluster.save()?;
            let mut local = Local {
                node,
                down: false,
                before: None,
                blob,
                store: None,
                reported: None,
                timers: BTreeSet::new(),
                fired: 0,
                memory: Memory::default(),
                taken: BTreeMap::new(),
                waits: BTreeSet::new(),
            };
            cluster.keep(&mut local, &step);
            let id = cluster.local(local);
            cluster.initial.push(id);
        }
        Ok(cluster)
    }

    pub(crate) fn name(&self, node: Node) -> &Name {
        &self.names[node]
    }

    pub(crate) fn nodes(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn message(&self, MessageId(id): MessageId) -> &Sent {
        &self.messages[id as usize]
    }

    pub(crate) fn fact(&self, FactId(id): FactId) -> &Fact {
        &self.facts[id as usize]
    }

    /// The number of acceptors before a node that are alike with it, up to the names: all of them, if it is an acceptor and
    /// nothing else.
    pub(crate) fn rank(&self, node: Node) -> usize {
        let Setup { acceptors, .. } = &self.rules.setup;
        let caps = &self.rules.caps;
        let are_alike = caps.topology == Topology::Split && caps.prepare_to == PrepareTo::All;
        if are_alike && node < acceptors.len() { node } else { 0 }
    }

    /// The number of values that clients ask a proposer for before one of them.
    pub(crate) fn round_of(&self, wish: usize) -> usize {
        self.wishes[..wish].iter().filter(|(at, _)| *at == self.wishes[wish].0).count()
    }

    /// Returns the message with a number.
    fn with_mid(&self, mid: u64) -> Option<&Sent> {
        self.mids.get(&mid).map(|id| self.message(*id))
    }

    /// Returns true if the node only promises and votes.
    fn only_votes(&self, node: Node) -> bool {
        let within = |nodes: &[String]| nodes.iter().any(|it| **it == *self.names[node]);
        !within(&self.rules.setup.proposers) && !within(&self.rules.setup.learners)
    }

    /// Returns true if the node only learns.
    pub(crate) fn only_learns(&self, node: Node) -> bool {
        let within = |nodes: &[String]| nodes.iter().any(|it| **it == *self.names[node]);
        let Setup { acceptors, proposers, learners, .. } = &self.rules.setup;
        within(learners) && !within(acceptors) && !within(proposers)
    }

    /// The number of restarts of a node, in one of its states.
    pub(crate) fn restarts(&self, local: LocalId) -> u32 {
        self.at_local(local).memory.restarts
    }

    /// The number of timers that fired at a node.
    pub(crate) fn fired(&self, local: LocalId) -> u32 {
        self.at_local(local).fired
    }

    fn at_local(&self, LocalId(id): LocalId) -> &Local {
        &self.locals[id as usize]
    }

    /// Returns true if a node may take a message in a state.
    pub(crate) fn may_take(&self, local: LocalId, id: MessageId) -> bool {
        let local = self.at_local(local);
        let caps = &self.rules.caps;
        if local.down {
            return false;
        }
        if caps.rpc
            && let Some(answered) = self.message(id).message.answers
            && self.with_mid(answered).is_some_and(|it| it.from == local.node)
        {
            return self.mids.get(&answered).is_some_and(|id| local.waits.contains(id));
        }
        // Without a saved state, each further delivery would be a new state.
        let deliveries_max = if !caps.dup_ok {
            1
        } else if caps.save {
            u32::MAX
        } else {
            2
        };
        local.taken.get(&id).is_none_or(|count| *count < deliveries_max)
    }

    /// Returns the inputs of a node that do not come from another node: wishes, timers, lost requests and restarts.
    pub(crate) fn own_inputs(&self, id: LocalId) -> Vec<Input> {
        let local = self.at_local(id);
        let caps = &self.rules.caps;
        let mut inputs = Vec::new();
        if local.down {
            return inputs;
        }
        let memory = &local.memory;
        let again = match caps.repropose {
            Repropose::Any => true,
            Repropose::AfterDecided => memory.has_decided(),
            Repropose::None => false,
        };
        // The values of a proposer come in their order. A proposer that has started again is asked for the next.
        let mut wishes = self.wishes.iter().enumerate().filter(|(_, (at, _))| *at == local.node);
        let next = wishes.find(|(_, (_, wish))| !memory.asked.contains(&value(wish)));
        if let Some((place, _)) = next.filter(|_| memory.asks == 0 || again) {
            inputs.push(Input::Propose(place));
        }
        inputs.extend(local.timers.iter().map(|timer| Input::Timer(*timer)));
        inputs.extend(local.waits.iter().map(|id| Input::Fail(*id)));
        let is_acceptor =
            self.rules.setup.acceptors.iter().any(|it| **it == *self.names[local.node]);
        if local.before.is_some() && (!is_acceptor || caps.acceptors_restart()) {
            inputs.push(Input::Restart);
        }
        inputs
    }

    /// Counts the messages that were sent, by kind, and the promises with a vote.
    pub(crate) fn count(&self, counts: &mut Counts) {
        for Sent { message, .. } in &self.messages {
            let count = match message.kind {
                Kind::Prepare => &mut counts.prepares,
                Kind::Promise => &mut counts.promises,
                Kind::Accept => &mut counts.accepts,
                Kind::Accepted => &mut counts.accepted,
                Kind::Nack | Kind::Decided | Kind::Other => &mut counts.others,
            };
            *count += 1;
            counts.votes_reported += u64::from(message.reports_vote());
            counts.votes_not_carried += u64::from(message.carries_no_vote());
        }
    }

    /// Returns the name of a timer.
    pub(crate) fn timer_name(&self, timer: usize) -> &str {
        &self.timer_names[timer]
    }
}
