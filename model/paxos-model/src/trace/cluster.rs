//! How bounds, actions and states of a cluster are written in ITF, and read again.
//!
//! Ballots and slots are integers, and a ballot that is not there is -1, as in the literature. Nodes
//! are `"n1"`, `"n2"`, …; values `"v0"`, `"v1"`, … and `"noop"`. Logs are maps from slots, with
//! nothing where nothing is. What is not usual, snapshots and reads, has fields only where there are any.
//!
//! Actions are read, with every number in range. States are only written: a recorded state is never
//! believed, it is compared with what the model does.

use super::{
    Traced, Variables,
    itf::Value,
    read::{Unusable, Usable, fields, number, record, variant},
};
use crate::cluster::{
    Action, Bounds, Bug, CheckedCluster, CheckedState, Cluster, State,
    state::{
        Acceptor, Ballot, Live, Log, Message, Node, NodeId, NodeSet, Reads, Role, Round, SLOTS_MAX,
        Slot, Unsynced, Value as Proposed, Vote,
    },
};

/// The name of a node, as people count.
fn name(node: NodeId) -> Value {
    Value::string(format!("{node:?}"))
}

fn ballot(ballot: Option<Ballot>) -> Value {
    ballot.map_or(Value::Int(-1), |ballot| ballot.0.into())
}

/// A map from the slots where something is.
fn log<T: Copy>(log: &Log<Option<T>>, entry: impl Fn(T) -> Value) -> Value {
    let entries = (0u8..).zip(log);
    Value::Map(entries.filter_map(|(at, it)| Some((at.into(), entry((*it)?)))).collect())
}

/// Bounds as they stand in a trace. Every field is named, so that a new one finds its place.
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

/// Reads bounds; whether they make a cluster is asked elsewhere.
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

    fn write_state(&self, state: &CheckedState) -> Variables {
        Codec { bounds: self.bounds() }.state(state)
    }

    fn write_action(&self, action: Option<&Action>) -> Value {
        Codec { bounds: self.bounds() }.action(action.copied())
    }

    fn read_action(&self, value: &Value) -> Usable<Option<Action>> {
        Codec { bounds: self.bounds() }.read_action(value)
    }

    /// Also beyond a step that is none of the specification, where a search goes no further: whoever
    /// looked for something else may have gone on.
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
                "nobody has sent that".to_owned()
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
    /// Why a message that is on its way changes nothing.
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

/// Writes and reads what depends on the bounds.
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

    /// A record, with where the trimmed slots end if any may be.
    fn with_trimmed(self, mut fields: Vec<(&str, Value)>, trimmed: Slot) -> Value {
        if self.bounds.snapshots {
            fields.push(("trimmed", trimmed.0.into()));
        }
        Value::record(fields)
    }

    fn role(self, role: &Role) -> Value {
        match role {
            Role::Follower => Value::variant("Follower", Value::unit()),
            Role::Candidate { heard, reported, trimmed } => {
                let (heard, reported) = (self.nodes(*heard), self.votes(reported));
                let fields = vec![("heard", heard), ("reported", reported)];
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

    /// Without a round under way, nobody was heard, and nothing is read.
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
        let (tag, value) = match message {
            Message::Prepare { ballot } => {
                ("Prepare", Value::record([("ballot", ballot.0.into())]))
            }
            Message::Promise { ballot, from, trimmed, reports } => {
                let fields = vec![
                    ("ballot", ballot.0.into()),
                    ("sender", name(from)),
                    ("reports", self.votes(&reports)),
                ];
                ("Promise", self.with_trimmed(fields, trimmed))
            }
            Message::Accept { ballot, slot, value } => (
                "Accept",
                Value::record([
                    ("ballot", ballot.0.into()),
                    ("slot", slot.0.into()),
                    ("value", self.proposed(value)),
                ]),
            ),
            Message::Accepted { ballot, slot, value, from } => (
                "Accepted",
                Value::record([
                    ("ballot", ballot.0.into()),
                    ("slot", slot.0.into()),
                    ("value", self.proposed(value)),
                    ("sender", name(from)),
                ]),
            ),
            Message::Confirm { ballot, round } => {
                let fields = [("ballot", ballot.0.into()), ("round", round.into())];
                ("Confirm", Value::record(fields))
            }
            Message::Confirmed { ballot, round, from } => {
                let (ballot, round) = (ballot.0.into(), round.into());
                let fields = [("ballot", ballot), ("round", round), ("sender", name(from))];
                ("Confirmed", Value::record(fields))
            }
        };
        Value::variant(tag, value)
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

    /// The variables of a state, by name.
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

    /// An action; none is the beginning.
    fn action(self, action: Option<Action>) -> Value {
        let (tag, value) = match action {
            None => ("Init", Value::unit()),
            Some(Action::Campaign(node)) => ("Campaign", Value::record([("node", name(node))])),
            Some(Action::Propose { node, count }) => {
                ("Propose", Value::record([("node", name(node)), ("count", count.into())]))
            }
            Some(Action::Deliver { to, message }) => {
                ("Deliver", Value::record([("to", name(to)), ("message", self.message(message))]))
            }
            Some(Action::Nack { to, promised }) => {
                ("Nack", Value::record([("to", name(to)), ("promised", promised.0.into())]))
            }
            Some(Action::Chosen { to, slot, ballot, value }) => (
                "Chosen",
                Value::record([
                    ("to", name(to)),
                    ("slot", slot.0.into()),
                    ("ballot", ballot.0.into()),
                    ("value", self.proposed(value)),
                ]),
            ),
            Some(Action::Read(node)) => ("Read", Value::record([("node", name(node))])),
            Some(Action::Snapshot { to, below }) => {
                ("Snapshot", Value::record([("to", name(to)), ("below", below.0.into())]))
            }
            Some(Action::Sync(node)) => ("Sync", Value::record([("node", name(node))])),
            Some(Action::Crash(node)) => ("Crash", Value::record([("node", name(node))])),
        };
        Value::variant(tag, value)
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

    /// Where a part of the log ends.
    fn read_end(self, at: &str, value: &Value, least: u8) -> Usable<Slot> {
        number(value, least, self.bounds.slots).map(Slot).map_err(|it| it.within(at))
    }

    fn read_round(self, at: &str, value: &Value) -> Usable<u8> {
        number(value, 1, self.bounds.reads).map_err(|it| it.within(at))
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

    fn read_message(self, value: &Value) -> Usable<Message> {
        let (tag, inner) = variant(value)?;
        let within = |unusable: Unusable| unusable.within(".value");
        Ok(match tag {
            "Prepare" => {
                let [ballot] = fields(inner, ["ballot"]).map_err(within)?;
                Message::Prepare { ballot: self.read_ballot(".value.ballot", ballot)? }
            }
            "Promise" => {
                let more: &[&str] = if self.bounds.snapshots { &["trimmed"] } else { &[] };
                let needed = [&["ballot", "sender", "reports"], more].concat();
                let record = record(inner, &needed, &[]).map_err(within)?;
                let trimmed = record
                    .get("trimmed")
                    .map_or(Ok(Slot(0)), |trimmed| self.read_end(".value.trimmed", trimmed, 0));
                Message::Promise {
                    ballot: self.read_ballot(".value.ballot", record["ballot"])?,
                    from: self.read_name(".value.sender", record["sender"])?,
                    trimmed: trimmed?,
                    reports: self.read_votes(".value.reports", record["reports"])?,
                }
            }
            "Accept" => {
                let names = ["ballot", "slot", "value"];
                let [ballot, slot, value] = fields(inner, names).map_err(within)?;
                Message::Accept {
                    ballot: self.read_ballot(".value.ballot", ballot)?,
                    slot: self.read_slot(".value.slot", slot)?,
                    value: self.read_proposed(".value.value", value)?,
                }
            }
            "Accepted" => {
                let names = ["ballot", "slot", "value", "sender"];
                let [ballot, slot, value, from] = fields(inner, names).map_err(within)?;
                Message::Accepted {
                    ballot: self.read_ballot(".value.ballot", ballot)?,
                    slot: self.read_slot(".value.slot", slot)?,
                    value: self.read_proposed(".value.value", value)?,
                    from: self.read_name(".value.sender", from)?,
                }
            }
            "Confirm" => {
                let [ballot, round] = fields(inner, ["ballot", "round"]).map_err(within)?;
                Message::Confirm {
                    ballot: self.read_ballot(".value.ballot", ballot)?,
                    round: self.read_round(".value.round", round)?,
                }
            }
            "Confirmed" => {
                let names = ["ballot", "round", "sender"];
                let [ballot, round, from] = fields(inner, names).map_err(within)?;
                Message::Confirmed {
                    ballot: self.read_ballot(".value.ballot", ballot)?,
                    round: self.read_round(".value.round", round)?,
                    from: self.read_name(".value.sender", from)?,
                }
            }
            _ => {
                let accepted = "Prepare, Promise, Accept, Accepted, Confirm or Confirmed";
                return Err(Unusable {
                    at: ".tag".into(),
                    found: tag.into(),
                    accepted: accepted.into(),
                });
            }
        })
    }

    /// Reads an action; none is the beginning.
    fn read_action(self, value: &Value) -> Usable<Option<Action>> {
        let (tag, inner) = variant(value)?;
        let within = |unusable: Unusable| unusable.within(".value");
        let node = || {
            let [node] = fields(inner, ["node"]).map_err(within)?;
            self.read_name(".value.node", node)
        };
        Ok(Some(match tag {
            "Init" if *inner == Value::unit() => return Ok(None),
            "Init" => return Err(Unusable::new(".value", inner, "U_OF_UNIT")),
            "Campaign" => Action::Campaign(node()?),
            "Sync" => Action::Sync(node()?),
            "Crash" => Action::Crash(node()?),
            "Propose" => {
                let [node, count] = fields(inner, ["node", "count"]).map_err(within)?;
                let node = self.read_name(".value.node", node)?;
                let count = number(count, 1, self.bounds.slots);
                Action::Propose { node, count: count.map_err(|it| it.within(".value.count"))? }
            }
            "Deliver" => {
                let [to, message] = fields(inner, ["to", "message"]).map_err(within)?;
                let message = self.read_message(message);
                Action::Deliver {
                    to: self.read_name(".value.to", to)?,
                    message: message.map_err(|it| it.within(".value.message"))?,
                }
            }
            "Nack" => {
                let [to, promised] = fields(inner, ["to", "promised"]).map_err(within)?;
                Action::Nack {
                    to: self.read_name(".value.to", to)?,
                    promised: self.read_ballot(".value.promised", promised)?,
                }
            }
            "Chosen" => {
                let names = ["to", "slot", "ballot", "value"];
                let [to, slot, ballot, value] = fields(inner, names).map_err(within)?;
                Action::Chosen {
                    to: self.read_name(".value.to", to)?,
                    slot: self.read_slot(".value.slot", slot)?,
                    ballot: self.read_ballot(".value.ballot", ballot)?,
                    value: self.read_proposed(".value.value", value)?,
                }
            }
            "Read" => Action::Read(node()?),
            "Snapshot" => {
                let [to, below] = fields(inner, ["to", "below"]).map_err(within)?;
                Action::Snapshot {
                    to: self.read_name(".value.to", to)?,
                    below: self.read_end(".value.below", below, 1)?,
                }
            }
            _ => {
                let accepted =
                    "Init, Campaign, Propose, Deliver, Nack, Chosen, Read, Snapshot, Sync or Crash"
                        .to_owned();
                return Err(Unusable { at: ".tag".into(), found: tag.into(), accepted });
            }
        }))
    }
}
