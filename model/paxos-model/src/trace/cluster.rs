//! Writes the bounds, actions and states of a cluster in ITF, and reads bounds and actions.
//!
//! Ballots and slots are integers. As in the literature, -1 stands for no ballot. Nodes are `"n1"`, `"n2"`, …;
//! values are `"v0"`, `"v1"`, … and `"noop"`. A log is a map from slots to entries, without the empty slots.
//! Snapshots and reads have fields only if the bounds allow them.
//!
//! An action is refused if a number in it is out of range. States are written and not read: the replay compares
//! a recorded state with the state of the model in written form.

use super::{
    Traced, Variables,
    itf::Value,
    read::{Unusable, Usable, fields, number, record, variant},
};
use crate::cluster::{
    Action, Bounds, Bug, CheckedCluster, CheckedState, Cluster, State,
    description::{Described, Field, Fields, Sort},
    state::{
        Acceptor, Ballot, Live, Log, Message, Node, NodeId, NodeSet, Reads, Role, Round, SLOTS_MAX,
        Slot, Unsynced, Value as Proposed, Vote,
    },
};

/// Returns the name of a node, counted from 1.
fn name(node: NodeId) -> Value {
    Value::string(format!("{node:?}"))
}

fn ballot(ballot: Option<Ballot>) -> Value {
    ballot.map_or(Value::Int(-1), |ballot| ballot.0.into())
}

/// Returns a map from the slots that have an entry.
fn log<T: Copy>(log: &Log<Option<T>>, entry: impl Fn(T) -> Value) -> Value {
    let entries = (0u8..).zip(log);
    Value::Map(entries.filter_map(|(at, it)| Some((at.into(), entry((*it)?)))).collect())
}

/// Returns the bounds as written in a trace. The pattern names every field, so a new field does not compile until it is
/// written here.
fn bounds(bounds: &Bounds) -> Value {
    let Bounds {
        nodes,
        phase1_quorum,
        phase2_quorum,
        ballots,
        campaigners,
        slots,
        values,
        crashes,
        unsynced,
        nacks,
        chosen,
        snapshots,
        reads,
    } = *bounds;
    let mut fields = vec![
        ("nodes", nodes.into()),
        ("phase1_quorum", phase1_quorum.into()),
        ("phase2_quorum", phase2_quorum.into()),
        ("ballots", ballots.into()),
        ("campaigners", campaigners.into()),
        ("slots", slots.into()),
        ("values", values.into()),
        ("crashes", crashes.map_or(Value::string("any"), Value::from)),
        ("unsynced", unsynced.into()),
        ("nacks", Value::Bool(nacks)),
        ("chosen", Value::Bool(chosen)),
    ];
    if snapshots {
        fields.push(("snapshots", Value::Bool(true)));
    }
    if reads > 0 {
        fields.push(("reads", reads.into()));
    }
    Value::record(fields)
}

/// Reads bounds. [`Cluster::new`] checks that a cluster can have them.
fn read_bounds(value: &Value) -> Usable<Bounds> {
    let names = [
        "nodes",
        "phase1_quorum",
        "phase2_quorum",
        "ballots",
        "campaigners",
        "slots",
        "values",
        "crashes",
        "unsynced",
        "nacks",
        "chosen",
    ];
    let record = record(value, &names, &["snapshots", "reads"])?;
    let byte = |name: &str| {
        number(record[name], 0, u8::MAX).map_err(|unusable| unusable.within(&format!(".{name}")))
    };
    let truth = |name: &str| match record.get(name) {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(*truth),
        Some(other) => Err(Unusable::new(format!(".{name}"), other, "true or false")),
    };
    let crashes = match record["crashes"] {
        Value::Str(any) if any == "any" => None,
        Value::Int(_) => Some(byte("crashes")?),
        other => return Err(Unusable::new(".crashes", other, "an integer, or \"any\"")),
    };
    Ok(Bounds {
        nodes: byte("nodes")?,
        phase1_quorum: byte("phase1_quorum")?,
        phase2_quorum: byte("phase2_quorum")?,
        ballots: byte("ballots")?,
        campaigners: byte("campaigners")?,
        slots: byte("slots")?,
        values: byte("values")?,
        crashes,
        unsynced: byte("unsynced")?,
        nacks: truth("nacks")?,
        chosen: truth("chosen")?,
        snapshots: truth("snapshots")?,
        reads: if record.contains_key("reads") { byte("reads")? } else { 0 },
    })
}

impl Traced for CheckedCluster {
    const VARIABLES: &'static [&'static str] = &["crashes", "network", "nodes"];

    fn write_bounds(&self) -> Value {
        bounds(self.bounds())
    }

    fn write_bug(&self) -> Option<Value> {
        self.bug().map(|bug| Value::string(bug.label()))
    }

    fn read(bounds: &Value, bug: Option<&Value>) -> Result<Self, String> {
        let bounds = read_bounds(bounds).map_err(|Unusable { at, found, accepted }| {
            format!("#meta.bounds{at} is {found}; accepted is {accepted}")
        })?;
        let cluster = Cluster::new(bounds).map_err(|error| format!("#meta.bounds: {error}"))?;
        let Some(bug) = bug else { return Ok(cluster.checked()) };
        let label = match bug {
            Value::Str(label) => label.clone(),
            other => other.to_string(),
        };
        let bug = Bug::labelled(&label).map_err(|error| format!("#meta.bug: {error}"))?;
        Ok(cluster.with_bug(bug).checked())
    }

    /// The no-op is one more value here, as in files of earlier versions. Such a file would not be replayed if its texts differed.
    fn does(&self, action: &Action) -> String {
        format!("{action:?}")
    }

    fn write_state(&self, state: &CheckedState) -> Variables {
        Codec { bounds: self.bounds() }.state(state)
    }

    fn write_action(&self, action: Option<&Action>) -> Value {
        Codec { bounds: self.bounds() }.action(action.copied())
    }

    fn read_action(&self, value: &Value) -> Usable<Option<Action>> {
        Codec { bounds: self.bounds() }.read_action(value)
    }

    /// Returns actions even after a step that violates the specification. A search for that property stops there, but a
    /// search for another property may have recorded a longer trace.
    fn offered(&self, state: &CheckedState) -> Vec<Action> {
        let mut offered = Vec::new();
        self.candidates(state, |action| offered.push(action));
        offered
    }

    fn taken(&self, state: &CheckedState, action: &Action) -> Option<CheckedState> {
        self.after(state, action)
    }

    fn why_not(&self, state: &CheckedState, action: &Action) -> String {
        let bounds = self.bounds();
        let leads = |node: NodeId| matches!(state.node(node).live.role, Role::Leader { .. });
        match *action {
            Action::Campaign(node) if node.0 >= bounds.campaigners => {
                format!("{node:?} does not campaign within these bounds")
            }
            Action::Campaign(node) if leads(node) => format!("{node:?} leads already"),
            Action::Campaign(node)
                if bounds.next_ballot(node, state.node(node).live.acceptor.promised).is_none() =>
            {
                format!("{node:?} has no ballot left")
            }
            Action::Propose { node, .. } if !leads(node) => format!("{node:?} does not lead"),
            Action::Propose { .. } => "the log has no room for so many".to_owned(),
            Action::Deliver { message, .. } if !state.network.contains(message) => {
                "no node has sent that".to_owned()
            }
            Action::Deliver { to, message } if self.receivers(message).all(|node| node != to) => {
                format!("it does not go to {to:?}")
            }
            Action::Deliver { to, message } => self.deaf(state, to, message),
            Action::Nack { .. } if !bounds.nacks => "these bounds leave out refusals".to_owned(),
            Action::Nack { to, promised } if !self.offered(state).contains(action) => {
                format!("b{} is not begun, or no lower ballot of {to:?} is known", promised.0)
            }
            Action::Chosen { .. } if !bounds.chosen => {
                "these bounds leave out news of what is chosen".to_owned()
            }
            Action::Chosen { .. } if !self.offered(state).contains(action) => {
                "no quorum has voted for that".to_owned()
            }
            Action::Read(_) if bounds.reads == 0 => "these bounds leave out reads".to_owned(),
            Action::Read(node) if !leads(node) => format!("{node:?} does not lead"),
            Action::Read(_) => "a read waits already, or there were as many as may be".to_owned(),
            Action::Snapshot { .. } if !bounds.snapshots => {
                "these bounds leave out snapshots".to_owned()
            }
            Action::Snapshot { to, below } if below <= state.node(to).live.acceptor.trimmed => {
                format!("{to:?} has trimmed that before")
            }
            Action::Snapshot { below, .. } if !self.offered(state).contains(action) => {
                format!("not all below {below:?} is chosen")
            }
            Action::Sync(_) => "nothing waits for it".to_owned(),
            Action::Crash(_)
                if bounds.crashes.is_some_and(|most| state.history.crashes >= most) =>
            {
                "all the crashes of these bounds have happened".to_owned()
            }
            _ if bounds.unsynced > 0 => {
                "it changes nothing, or something has to be synced first".to_owned()
            }
            _ => "it changes nothing".to_owned(),
        }
    }
}

impl Cluster {
    /// Returns the reason why the delivery of a sent message changes nothing.
    fn deaf(&self, state: &State, to: NodeId, message: Message) -> String {
        let live = &state.node(to).live;
        let ballot = message.ballot();
        let own = live.acceptor.promised == Some(ballot);
        match (message, &live.role) {
            (Message::Prepare { .. } | Message::Accept { .. } | Message::Confirm { .. }, _)
                if live.acceptor.promised > Some(ballot) =>
            {
                let promised = live.acceptor.promised.map_or(0, |promised| promised.0);
                format!("{to:?} has promised b{promised}")
            }
            (Message::Promise { .. }, Role::Candidate { .. }) if own => {
                format!("{to:?} has counted that before")
            }
            (Message::Promise { .. }, _) => format!("{to:?} is no candidate in b{}", ballot.0),
            (Message::Accepted { .. }, Role::Leader { .. }) if own => {
                format!("{to:?} has counted that before, or knows what is chosen")
            }
            (Message::Confirm { .. }, _) => format!("{to:?} has confirmed that before"),
            (Message::Confirmed { .. }, Role::Leader { .. }) if own => {
                format!("{to:?} has counted that before, or asks for no such round")
            }
            (Message::Accepted { .. } | Message::Confirmed { .. }, _) => {
                format!("{to:?} does not lead in b{}", ballot.0)
            }
            _ if self.bounds().unsynced > 0 => {
                "it changes nothing, or something has to be synced first".to_owned()
            }
            _ => "it changes nothing".to_owned(),
        }
    }
}

/// Writes and reads the values whose notation depends on the bounds.
#[derive(Clone, Copy)]
struct Codec<'b> {
    bounds: &'b Bounds,
}

impl Codec<'_> {
    fn proposed(self, value: Proposed) -> Value {
        if value == self.bounds.noop() {
            return Value::string("noop");
        }
        Value::string(format!("v{}", value.0))
    }

    fn vote(self, vote: Vote) -> Value {
        Value::record([("ballot", vote.ballot.0.into()), ("value", self.proposed(vote.value))])
    }

    fn votes(self, votes: &Log<Option<Vote>>) -> Value {
        log(votes, |vote| self.vote(vote))
    }

    fn nodes(self, set: NodeSet) -> Value {
        let nodes = (0..self.bounds.nodes).map(NodeId);
        Value::Set(nodes.filter(|&node| set.has(node)).map(name).collect())
    }

    fn acceptor(self, acceptor: &Acceptor) -> Value {
        let Acceptor { promised, votes, trimmed } = acceptor;
        let fields = vec![("promised", ballot(*promised)), ("votes", self.votes(votes))];
        self.with_trimmed(fields, *trimmed)
    }

    /// Returns a record of these fields. If the bounds allow snapshots, the record also has `trimmed`: the first slot that
    /// is not trimmed.
    fn with_trimmed(self, mut fields: Vec<(&str, Value)>, trimmed: Slot) -> Value {
        if self.bounds.snapshots {
            fields.push(("trimmed", trimmed.0.into()));
        }
        Value::record(fields)
    }

    fn role(self, role: &Role) -> Value {
        match role {
            Role::Follower => Value::variant("Follower", Value::unit()),
            Role::Candidate { first, heard, reported, trimmed } => {
                let (heard, reported) = (self.nodes(*heard), self.votes(reported));
                let fields =
                    vec![("first", first.0.into()), ("heard", heard), ("reported", reported)];
                Value::variant("Candidate", self.with_trimmed(fields, *trimmed))
            }
            Role::Leader { votes, reads } => {
                let votes = votes.map(|voters| (!voters.is_empty()).then_some(voters));
                let mut fields = vec![("votes", log(&votes, |voters| self.nodes(voters)))];
                if self.bounds.reads > 0 {
                    fields.push(("reads", self.reads(*reads)));
                }
                Value::variant("Leader", Value::record(fields))
            }
        }
    }

    /// Returns the reads of a leader. Without a round under way, `heard` is empty and `index` is 0.
    fn reads(self, reads: Reads) -> Value {
        let Reads { barrier, rounds, under_way, waits } = reads;
        let Round { heard, index } =
            under_way.unwrap_or(Round { heard: NodeSet::default(), index: Slot(0) });
        Value::record([
            ("barrier", barrier.0.into()),
            ("round", rounds.into()),
            ("heard", self.nodes(heard)),
            ("index", index.0.into()),
            ("waits", Value::Bool(waits)),
        ])
    }

    fn message(self, message: Message) -> Value {
        self.described(message)
    }

    /// Returns an action or a message as a variant, by its description.
    fn described<D: Described>(self, thing: D) -> Value {
        let (shape, fields) = thing.parts();
        let shape = &D::SHAPES[shape];
        let named = shape.fields.iter().zip(fields);
        let written = named.filter(|((_, sort), _)| self.has(*sort));
        let record = written.map(|((name, _), field)| (*name, self.field(field)));
        Value::variant(shape.tag, Value::record(record))
    }

    /// Returns true if traces within these bounds have fields of a sort.
    fn has(self, sort: Sort) -> bool {
        sort != Sort::Trimmed || self.bounds.snapshots
    }

    fn field(self, field: Field) -> Value {
        match field {
            Field::Node(node) => name(node),
            Field::Ballot(ballot) => ballot.0.into(),
            Field::Slot(slot) => slot.0.into(),
            Field::Value(value) => self.proposed(value),
            Field::Number(number) => number.into(),
            Field::Votes(votes) => self.votes(&votes),
            Field::Message(message) => self.message(message),
        }
    }

    fn node(self, node: &Node) -> Value {
        let Node { durable, unsynced, live: Live { acceptor, role, chosen } } = node;
        let waits = |step: &Unsynced| {
            let Unsynced { acceptor, messages } = step;
            let messages = messages.iter().map(|message| self.message(*message)).collect();
            Value::record([("disk", self.acceptor(acceptor)), ("messages", Value::Set(messages))])
        };
        let fields = vec![
            ("promised", ballot(acceptor.promised)),
            ("votes", self.votes(&acceptor.votes)),
            ("role", self.role(role)),
            ("chosen", log(chosen, |value| self.proposed(value))),
            ("disk", self.acceptor(durable)),
            ("unsynced", Value::Seq(unsynced.iter().map(waits).collect())),
        ];
        self.with_trimmed(fields, acceptor.trimmed)
    }

    /// Returns the variables of a state, by name.
    fn state(self, state: &CheckedState) -> Variables {
        let nodes = (0..).map(NodeId).zip(&state.nodes);
        let nodes = nodes.map(|(id, node)| (name(id), self.node(node))).collect();
        let network = state.network.iter().map(|message| self.message(message)).collect();
        let variables = [
            ("nodes", Value::Map(nodes)),
            ("network", Value::Set(network)),
            ("crashes", state.history.crashes.into()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Returns an action as a value. `None` is the initial state.
    fn action(self, action: Option<Action>) -> Value {
        action
            .map_or_else(|| Value::variant("Init", Value::unit()), |action| self.described(action))
    }

    fn read_name(self, at: &str, value: &Value) -> Usable<NodeId> {
        let nodes = self.bounds.nodes;
        (0..nodes)
            .map(NodeId)
            .find(|&node| name(node) == *value)
            .ok_or_else(|| Unusable::new(at, value, format!("a node, n1 to n{nodes}")))
    }

    fn read_ballot(self, at: &str, value: &Value) -> Usable<Ballot> {
        number(value, 0, self.bounds.ballots - 1).map(Ballot).map_err(|it| it.within(at))
    }

    fn read_slot(self, at: &str, value: &Value) -> Usable<Slot> {
        number(value, 0, self.bounds.slots - 1).map(Slot).map_err(|it| it.within(at))
    }

    fn read_proposed(self, at: &str, value: &Value) -> Usable<Proposed> {
        let last = self.bounds.values - 1;
        (0..=self.bounds.noop().0)
            .map(Proposed)
            .find(|&proposed| self.proposed(proposed) == *value)
            .ok_or_else(|| Unusable::new(at, value, format!("a value, v0 to v{last} or noop")))
    }

    fn read_votes(self, at: &str, value: &Value) -> Usable<Log<Option<Vote>>> {
        let accepted = "a map from slots to votes";
        let Value::Map(map) = value else { return Err(Unusable::new(at, value, accepted)) };
        let mut votes = [None; SLOTS_MAX];
        for (slot, vote) in map {
            let slot = self.read_slot(at, slot)?;
            let at = format!("{at}[{}]", slot.0);
            let [ballot, value] = fields(vote, ["ballot", "value"]).map_err(|it| it.within(&at))?;
            let ballot = self.read_ballot(&format!("{at}.ballot"), ballot)?;
            let value = self.read_proposed(&format!("{at}.value"), value)?;
            votes[usize::from(slot.0)] = Some(Vote { ballot, value });
        }
        Ok(votes)
    }

    /// Reads an action or a message, by its description.
    fn read_described<D: Described>(self, value: &Value, others: &[&str]) -> Usable<D> {
        let (tag, inner) = variant(value)?;
        let Some(index) = D::SHAPES.iter().position(|shape| shape.tag == tag) else {
            let tags = others.iter().copied().chain(D::SHAPES.iter().map(|shape| shape.tag));
            let (at, found) = (".tag".to_owned(), tag.to_owned());
            return Err(Unusable { at, found, accepted: any_of(tags) });
        };
        let shape = &D::SHAPES[index];
        let needed: Vec<_> = shape.fields.iter().filter(|(_, sort)| self.has(*sort)).collect();
        let names: Vec<_> = needed.iter().map(|(name, _)| *name).collect();
        let record = record(inner, &names, &[]).map_err(|it| it.within(".value"))?;
        let read = |&(name, sort): &(&str, Sort)| match record.get(name) {
            Some(value) => self.read_field(&format!(".value.{name}"), sort, value),
            None => Ok(Field::Slot(Slot(0))),
        };
        let fields: Fields = shape.fields.iter().map(read).collect::<Usable<_>>()?;
        Ok(D::from_parts(index, &fields).expect("the fields are of the sorts of the shape"))
    }

    fn read_field(self, at: &str, sort: Sort, value: &Value) -> Usable<Field> {
        let Bounds { slots, reads, .. } = *self.bounds;
        let within = |unusable: Unusable| unusable.within(at);
        let end = |first| number(value, first, slots).map(Slot).map_err(within);
        Ok(match sort {
            Sort::Node | Sort::Sender => Field::Node(self.read_name(at, value)?),
            Sort::Ballot => Field::Ballot(self.read_ballot(at, value)?),
            Sort::Slot => Field::Slot(self.read_slot(at, value)?),
            Sort::Trimmed | Sort::Unknown => Field::Slot(end(0)?),
            Sort::Below => Field::Slot(end(1)?),
            Sort::Value => Field::Value(self.read_proposed(at, value)?),
            Sort::Round => Field::Number(number(value, 1, reads).map_err(within)?),
            Sort::Count => Field::Number(number(value, 1, slots).map_err(within)?),
            Sort::Votes => Field::Votes(self.read_votes(at, value)?),
            Sort::Message => Field::Message(self.read_described(value, &[]).map_err(within)?),
        })
    }

    /// Reads an action. `None` is the initial state.
    fn read_action(self, value: &Value) -> Usable<Option<Action>> {
        let (tag, inner) = variant(value)?;
        match tag {
            "Init" if *inner == Value::unit() => Ok(None),
            "Init" => Err(Unusable::new(".value", inner, "U_OF_UNIT")),
            _ => self.read_described(value, &["Init"]).map(Some),
        }
    }
}

/// Lists words: `a, b or c`.
fn any_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.collect();
    match &words[..] {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
