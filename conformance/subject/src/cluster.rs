//! The nodes of a subject, one step at a time.
//!
//! A step of a node depends on the state of that node and on its input. So each state of a node is asked about each input once,
//! and the rest of a schedule is arithmetic: a search goes through millions of schedules and asks the subject some thousand
//! times. A state is named by the text that `save` returns, or else by the reported state and the inputs so far, or else by the
//! inputs in their order. Whether steps do depend on nothing else is checked: whole schedules are run on the subject, with all
//! nodes in one process, and their replies are compared.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{Hash, Hasher},
    rc::Rc,
};

use serde::Deserialize as _;
use serde_json::{Map, Value as Json, json};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    claims::{Finding, NO_FAULT},
    facts::Fact,
    memory::{Memory, Name, Noticed, Rules},
    process::{Broken, Limits, Process},
    protocol::{
        Hello, Malformed, Message, QuorumSize, Repropose, Request, Setup, Slots, Step, Topology,
        ValueForm, value,
    },
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

/// What happened when a node took an input.
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
    replies: Vec<Json>,
}

#[derive(Clone, Debug)]
struct Local {
    node: Node,
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
        let Self { node, before: _, blob, store, reported, timers, fired, memory, taken, waits } =
            self;
        (node, blob, store, reported, timers, fired, memory, taken, waits).hash(hasher);
    }
}

/// A value, and the proposer that is asked for it.
pub(crate) type Wish = (Node, Json);

/// The reason for which a step is not known.
#[derive(Debug)]
pub(crate) enum Stop {
    Broken(Broken),
    /// The subject does not repeat itself, or its nodes depend on each other.
    Differs {
        expected: Json,
        got: Json,
    },
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

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
    message_ids: HashMap<(Node, Node, u32, String), MessageId>,
    facts: Vec<Fact>,
    fact_ids: HashMap<Fact, FactId>,
    locals: Vec<Local>,
    local_ids: HashMap<u128, LocalId>,
    transitions: HashMap<(LocalId, Input), Rc<Transition>>,
    pub(crate) initial: Vec<LocalId>,
    first_reply: Json,
    process: Option<Process>,
    /// The node that is not in its first state in the process, and its state.
    at: Option<LocalId>,
    /// The number of requests so far.
    pub(crate) requests: u64,
}

/// The numbers of nodes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number of acceptors.
    pub acceptors: usize,
    /// The number of proposers.
    pub proposers: usize,
}

/// Returns the cluster of a size, with names for its nodes.
fn setup(size: Size, topology: Topology) -> Setup {
    let names =
        |letter: char, count: usize| (1..=count).map(|it| format!("{letter}{it}")).collect();
    let (acceptors, proposers, learners): (Vec<String>, _, _) = match topology {
        Topology::Split => (names('a', size.acceptors), names('p', size.proposers), names('l', 1)),
        // All ids stand in all lists. The number of proposers limits the nodes that clients ask.
        Topology::Combined => {
            let nodes: Vec<String> = names('n', size.acceptors);
            (nodes.clone(), nodes.clone(), nodes)
        }
    };
    let mut host = acceptors.clone();
    if topology == Topology::Split {
        host.extend(proposers.iter().chain(&learners).cloned());
    }
    Setup { acceptors, proposers, learners, host, seed: 1, store: Map::new() }
}

/// Returns the value of a client in the form of the subject. Values are counted from 0.
fn client_value(number: usize, form: ValueForm) -> Json {
    match form {
        ValueForm::String => json!(format!("v{}", number + 1)),
        ValueForm::Int => json!(number + 1),
        ValueForm::Char => {
            let letter = u8::try_from(number % 26).expect("less than 26") + b'a';
            json!(char::from(letter).to_string())
        }
    }
}

impl Cluster {
    /// Starts a subject, and asks for a cluster. Each proposer of `size` is asked for one value, or for two if it may be asked
    /// again.
    pub(crate) fn new(command: &[String], limits: Limits, size: Size) -> Result<Self, Broken> {
        let (process, hello) = Process::start(command, limits)?;
        let setup = setup(size, hello.caps.topology);
        let count = if hello.caps.repropose == Repropose::None { 1 } else { 2 };
        let wishes = (0..size.proposers * count).map(|number| {
            (
                setup.host.iter().position(|it| *it == setup.proposers[number % size.proposers]),
                number,
            )
        });
        let wishes = wishes
            .map(|(at, number)| {
                (at.expect("a proposer is a node"), client_value(number, hello.caps.values))
            })
            .collect();
        Self::with_setup(command, limits, process, hello, setup, wishes)
    }

    /// Starts a subject with a given cluster and given values of clients.
    pub(crate) fn of(
        command: &[String],
        limits: Limits,
        setup: Setup,
        wishes: &[(String, Json)],
    ) -> Result<Self, Broken> {
        let (process, hello) = Process::start(command, limits)?;
        let wishes = wishes.iter().filter_map(|(at, value)| {
            Some((setup.host.iter().position(|it| it == at)?, value.clone()))
        });
        let wishes = wishes.collect();
        Self::with_setup(command, limits, process, hello, setup, wishes)
    }

    fn with_setup(
        command: &[String],
        limits: Limits,
        process: Process,
        hello: Hello,
        setup: Setup,
        wishes: Vec<Wish>,
    ) -> Result<Self, Broken> {
        let acceptors = setup.acceptors.len();
        let quorum = match hello.caps.quorum {
            QuorumSize::Majority => acceptors / 2 + 1,
            QuorumSize::N => acceptors,
        };
        let names = setup.host.iter().map(|name| Name::from(name.as_str())).collect();
        let mut cluster = Self {
            command: command.to_vec(),
            limits,
            subject: hello.name,
            rules: Rc::new(Rules { caps: hello.caps, setup, quorum }),
            wishes,
            names,
            timer_names: Vec::new(),
            messages: Vec::new(),
            next_mid: 1,
            message_ids: HashMap::new(),
            facts: Vec::new(),
            fact_ids: HashMap::new(),
            locals: Vec::new(),
            local_ids: HashMap::new(),
            transitions: HashMap::new(),
            initial: Vec::new(),
            first_reply: Json::Null,
            process: Some(process),
            at: None,
            requests: 0,
        };
        cluster.first_reply = cluster.init()?;
        let reply = cluster.first_reply.clone();
        let step = cluster.read_step(&reply)?;
        for node in 0..cluster.names.len() {
            let blob = cluster.save()?;
            let mut local = Local {
                node,
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
        if self.rules.caps.topology == Topology::Split && node < acceptors.len() { node } else { 0 }
    }

    /// The number of values that clients ask a proposer for before one of them.
    pub(crate) fn round_of(&self, wish: usize) -> usize {
        self.wishes[..wish].iter().filter(|(at, _)| *at == self.wishes[wish].0).count()
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
        if caps.rpc
            && let Some(answered) = self.message(id).message.answers
        {
            return local.waits.iter().any(|it| self.message(*it).mid == answered);
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
        for (place, (at, wish)) in self.wishes.iter().enumerate() {
            let asked = &local.memory.asked;
            let again = match caps.repropose {
                Repropose::Any => true,
                Repropose::AfterDecided => local.memory.has_decided(),
                Repropose::None => false,
            };
            // The wishes of a node come in their order.
            let earlier = self.wishes[..place].iter().filter(|(other, _)| other == at);
            let in_order = earlier.clone().all(|(_, wish)| asked.contains(&value(wish)));
            if *at == local.node
                && !asked.contains(&value(wish))
                && in_order
                && (asked.is_empty() || again)
            {
                inputs.push(Input::Propose(place));
            }
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

    /// Returns what happens when a node in a state takes an input.
    pub(crate) fn step(&mut self, local: LocalId, input: Input) -> Result<Rc<Transition>, Broken> {
        if let Some(known) = self.transitions.get(&(local, input)) {
            return Ok(known.clone());
        }
        let mut requests = self.bring_to(local)?;
        requests.extend(self.requests_of(local, input));
        let mut replies = if self.rules.caps.save {
            let loads = requests.len() - self.requests_of(local, input).len();
            requests.push(Request::Save.json());
            self.ask(&requests)?.split_off(loads)
        } else {
            self.ask_each(&requests)?
        };
        self.at = None;
        let blob = if self.rules.caps.save {
            let mut saved = replies.pop().expect("each request has a reply");
            Some(saved["blob"].take())
        } else {
            None
        };
        let transition = Rc::new(self.observe(local, input, replies, blob)?);
        let next = transition.next;
        self.transitions.insert((local, input), transition.clone());
        // If the state was reached before by other inputs, the process is in the same state.
        self.at = Some(next);
        Ok(transition)
    }

    /// Runs a schedule on the subject, with all nodes together. Compares each reply with the one that the node gave before.
    pub(crate) fn run(&mut self, schedule: &[(Node, Input)]) -> Result<(), Stop> {
        let mut transitions = Vec::new();
        let mut locals = self.initial.clone();
        for (node, input) in schedule {
            let transition = self.step(locals[*node], *input)?;
            transitions.push((locals[*node], *input, transition.clone()));
            locals[*node] = transition.next;
        }
        let first = self.init()?;
        if first != self.first_reply {
            return Err(Stop::Differs { expected: self.first_reply.clone(), got: first });
        }
        for (local, input, transition) in transitions {
            let replies = self.ask_each(&self.requests_of(local, input))?;
            for (expected, got) in transition.replies.iter().zip(replies) {
                if *expected != got {
                    return Err(Stop::Differs { expected: expected.clone(), got });
                }
            }
        }
        Ok(())
    }

    /// Starts the process anew.
    pub(crate) fn start_again(&mut self) -> Result<(), Broken> {
        self.process = None;
        self.init().map(drop)
    }

    fn ask(&mut self, requests: &[Json]) -> Result<Vec<Json>, Broken> {
        self.requests += requests.len() as u64;
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&self.command, self.limits)?.0,
        };
        // A process that broke is not used again.
        let replies = process.ask(requests)?;
        self.process = Some(process);
        Ok(replies)
    }

    /// Sends each request after the reply to the one before.
    fn ask_each(&mut self, requests: &[Json]) -> Result<Vec<Json>, Broken> {
        let mut replies = Vec::new();
        for request in requests {
            replies.append(&mut self.ask(std::slice::from_ref(request))?);
        }
        Ok(replies)
    }

    /// Brings all nodes into their first states.
    fn init(&mut self) -> Result<Json, Broken> {
        let request = Request::Init(self.rules.setup.clone()).json();
        let mut replies = self.ask(&[request])?;
        self.at = None;
        Ok(replies.swap_remove(0))
    }

    fn save(&mut self) -> Result<Option<Json>, Broken> {
        if !self.rules.caps.save {
            return Ok(None);
        }
        let mut replies = self.ask(&[Request::Save.json()])?;
        Ok(Some(replies[0]["blob"].take()))
    }

    /// Brings a node into a state, and all others into their first states. Returns a request that is still to be sent for that.
    fn bring_to(&mut self, id: LocalId) -> Result<Vec<Json>, Broken> {
        if self.at == Some(id) && self.process.is_some() {
            return Ok(Vec::new());
        }
        if self.process.is_none() || self.at_local(id).blob.is_none() {
            self.init()?;
        }
        if let Some(blob) = &self.at_local(id).blob {
            return Ok(vec![Request::Load { blob }.json()]);
        }
        let mut steps = Vec::new();
        let mut place = id;
        while let Some((before, input)) = self.at_local(place).before {
            steps.push((before, input));
            place = before;
        }
        for (local, input) in steps.into_iter().rev() {
            self.ask_each(&self.requests_of(local, input))?;
        }
        Ok(Vec::new())
    }

    /// Returns the requests of an input.
    pub(crate) fn requests_of(&self, id: LocalId, input: Input) -> Vec<Json> {
        let local = self.at_local(id);
        let at: &str = &self.names[local.node];
        let slot = (self.rules.caps.slots == Slots::Client).then_some(0);
        let requests = match input {
            Input::Propose(place) => {
                vec![Request::Propose { at, slot, value: self.wishes[place].1.clone() }]
            }
            Input::Deliver(id) => {
                let Sent { from, mid, json, .. } = self.message(id);
                vec![Request::Deliver { at, from: &self.names[*from], mid: *mid, msg: json }]
            }
            Input::Timer(timer) => vec![Request::Timer { at, timer: &self.timer_names[timer] }],
            Input::Fail(id) => {
                let Sent { to, mid, json, .. } = self.message(id);
                vec![Request::Fail { at, mid: *mid, to: &self.names[*to], msg: json }]
            }
            Input::Restart => {
                vec![Request::Crash { at }, Request::Restart { at, store: local.store.as_ref() }]
            }
        };
        requests.iter().map(Request::json).collect()
    }

    fn read_step(&self, reply: &Json) -> Result<Step, Broken> {
        Step::deserialize(reply).map_err(|what| self.malformed(&what, reply))
    }

    fn malformed(&self, what: &impl std::fmt::Display, reply: &Json) -> Broken {
        let line = reply.to_string().chars().take(200).collect();
        Broken::Garbage { what: what.to_string(), line }
    }

    fn node(&self, name: &str) -> Result<Node, Broken> {
        self.names.iter().position(|it| **it == *name).ok_or_else(|| Broken::Garbage {
            what: format!("the nodes are {}", self.names.join(", ")),
            line: name.to_owned(),
        })
    }

    /// Takes the timers, the disk and the reported state of a node from a step.
    fn keep(&mut self, local: &mut Local, step: &Step) {
        let name = self.names[local.node].clone();
        if let Some(store) = step.persist.get(&*name) {
            local.store = Some(store.clone());
        }
        if let Some(timers) = step.timers.get(&*name) {
            local.timers = timers.iter().map(|timer| self.timer(timer)).collect();
        }
        if let Some(state) = step.state.get(&*name) {
            local.reported = Some(state.clone());
        }
    }

    fn timer(&mut self, name: &str) -> usize {
        let known = self.timer_names.iter().position(|it| it == name);
        known.unwrap_or_else(|| {
            self.timer_names.push(name.to_owned());
            self.timer_names.len() - 1
        })
    }

    /// Takes what a node said about an input: its new state, its messages, and what they contradict.
    fn observe(
        &mut self,
        id: LocalId,
        input: Input,
        replies: Vec<Json>,
        blob: Option<Json>,
    ) -> Result<Transition, Broken> {
        let rules = self.rules.clone();
        let last = replies.last().expect("each input has a reply");
        let step = self.read_step(last)?;
        let mut local = self.at_local(id).clone();
        let name = self.names[local.node].clone();
        local.before = Some((id, input));
        let mut noticed = Noticed::default();
        // A node that is in the same state as before, and says nothing, has ignored its input. Nothing can follow from it.
        let ignores = blob.is_some() && blob == local.blob && step.is_silent();
        match input {
            Input::Propose(place) => {
                let wish = value(&self.wishes[place].1);
                // A client whose request had no effect may ask again.
                if step != Step::default() {
                    local.memory.asked.insert(wish.clone());
                }
                noticed.facts.push(Fact::Asked { value: wish });
            }
            Input::Deliver(id) => {
                let Sent { from, message, .. } = self.message(id).clone();
                if !ignores {
                    local.memory.receives(&rules, &self.names[from], &message);
                }
                if !rules.caps.save || !rules.caps.dup_ok {
                    *local.taken.entry(id).or_default() += 1;
                }
                if let Some(answered) = message.answers {
                    local.waits.retain(|it| self.messages[it.0 as usize].mid != answered);
                }
            }
            Input::Timer(timer) => {
                local.timers.remove(&timer);
                local.fired += 1;
            }
            Input::Fail(id) => {
                local.waits.remove(&id);
            }
            Input::Restart => {
                local.memory.restarts += 1;
                local.timers.clear();
                local.waits.clear();
            }
        }
        let memory_before = local.memory.clone();
        if let Some(fault) = &step.fault {
            noticed
                .findings
                .push(NO_FAULT.fails(format!("{name}: {}: {}", fault.kind, fault.text)));
        }
        for of in
            step.persist.keys().map(String::as_str).chain(step.own.iter().map(|it| it.at.as_str()))
        {
            if *of != *name {
                return Err(self.malformed(&format_args!("a step of {name} changes {of}"), last));
            }
        }
        self.keep(&mut local, &step);
        let sent =
            self.sends(&rules, &mut local, &step, &mut noticed).map_err(|what| match what {
                Unread::Malformed(what) => self.malformed(&what, last),
                Unread::Broken(broken) => broken,
            })?;
        for decided in &step.decided {
            if decided.at != *name {
                return Err(self
                    .malformed(&format_args!("a step of {name} decides at {}", decided.at), last));
            }
            local.memory.decides(&name, decided.slot, &value(&decided.value), &mut noticed);
        }
        if let Some(state) = step.state.get(&*name) {
            local
                .memory
                .reports(&rules, &name, state, &mut noticed)
                .map_err(|what| self.malformed(&what, last))?;
        }
        if let Input::Deliver(id) = input
            && step.fault.is_none()
        {
            let message = &self.message(id).message;
            noticed.findings.extend(memory_before.refuses(&rules, &name, message, &local.memory));
        }
        let fault = step.fault.is_some();
        local.blob = blob;
        let facts = noticed.facts.into_iter().map(|fact| self.fact_id(fact)).collect();
        Ok(Transition {
            next: self.local(local),
            sent,
            facts,
            findings: noticed.findings,
            reuse: noticed.reuse,
            fault,
            replies,
        })
    }

    /// Takes the messages of a step: first those to the node itself, then those to others.
    fn sends(
        &mut self,
        rules: &Rules,
        local: &mut Local,
        step: &Step,
        noticed: &mut Noticed,
    ) -> Result<Vec<MessageId>, Unread> {
        let node = local.node;
        let name = self.names[node].clone();
        let mut asked: Option<Message> = None;
        for own in &step.own {
            let message =
                Message::read(&own.msg, &rules.setup.proposers)?.answering(asked.as_ref());
            local.memory.sends(rules, &name, &name, &message, noticed);
            local.memory.receives(rules, &name, &message);
            if message.is_request() {
                asked = Some(message);
            }
        }
        let mut sent = Vec::new();
        for send in &step.send {
            let message = Message::read(&send.msg, &rules.setup.proposers)?;
            let answered =
                message.answers.and_then(|mid| self.messages.iter().find(|it| it.mid == mid));
            let message = message.answering(answered.map(|it| &it.message));
            for to in &send.to {
                let to = self.node(to)?;
                let target = self.names[to].clone();
                local.memory.sends(rules, &name, &target, &message, noticed);
                // A call of an earlier start is another call.
                let start = if rules.caps.rpc { local.memory.restarts } else { 0 };
                let (mid, json) = (self.next_mid, send.msg.clone());
                let id = self.message_id(Sent {
                    from: node,
                    to,
                    mid,
                    start,
                    json,
                    message: message.clone(),
                });
                if rules.caps.rpc && message.answers.is_none() {
                    local.waits.insert(id);
                }
                sent.push(id);
            }
        }
        Ok(sent)
    }

    fn fact_id(&mut self, fact: Fact) -> FactId {
        let next = FactId(u32::try_from(self.facts.len()).expect("fewer facts"));
        let id = *self.fact_ids.entry(fact.clone()).or_insert(next);
        if id == next {
            self.facts.push(fact);
        }
        id
    }

    /// Returns the id of a state of a node.
    fn local(&mut self, local: Local) -> LocalId {
        let mut hash = Xxh3::new();
        local.hash(&mut hash);
        // A subject that neither saves nor reports its state is in a new state after each input.
        let reports = self.rules.caps.reports_state() && local.reported.is_some();
        if local.blob.is_none() && !reports {
            local.before.hash(&mut hash);
        }
        let next = LocalId(u32::try_from(self.locals.len()).expect("fewer states"));
        let id = *self.local_ids.entry(hash.digest128()).or_insert(next);
        if id == next {
            self.locals.push(local);
        }
        id
    }

    /// Numbers a message as a file does, before the subject sends it.
    pub(crate) fn expect_message(
        &mut self,
        from: &str,
        to: &str,
        mid: u64,
        start: u32,
        json: Json,
    ) -> Result<MessageId, Broken> {
        let (from, to) = (self.node(from)?, self.node(to)?);
        let message = Message::read(&json, &self.rules.setup.proposers);
        let message = message.map_err(|what| self.malformed(&what, &json))?;
        let answered =
            message.answers.and_then(|mid| self.messages.iter().find(|it| it.mid == mid));
        let message = message.answering(answered.map(|it| &it.message));
        Ok(self.message_id(Sent { from, to, mid, start, json, message }))
    }

    /// Returns the id of a message. A message that was sent before keeps its number.
    fn message_id(&mut self, sent: Sent) -> MessageId {
        let next = MessageId(u32::try_from(self.messages.len()).expect("fewer messages"));
        let key = (sent.from, sent.to, sent.start, sent.json.to_string());
        let id = *self.message_ids.entry(key).or_insert(next);
        if id == next {
            self.next_mid = self.next_mid.max(sent.mid + 1);
            self.messages.push(sent);
        }
        id
    }

    /// Returns the name of a timer.
    pub(crate) fn timer_name(&self, timer: usize) -> &str {
        &self.timer_names[timer]
    }

    /// Returns the place of the timer with a name.
    pub(crate) fn timer_named(&mut self, name: &str) -> Input {
        Input::Timer(self.timer(name))
    }
}

/// A message that cannot be read.
enum Unread {
    Malformed(Malformed),
    Broken(Broken),
}

impl From<Malformed> for Unread {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Broken> for Unread {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}
