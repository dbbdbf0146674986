//! The cluster as an explorable model: its title, its kinds of actions, its packed states, and its symmetry.

mod symmetry;

use stateright::{Model, Property};

use state_explorer::{
    Explorable, Packing, Symmetry, flag,
    packing::{Packer, Unpacker},
};

use super::{
    action::Action,
    bounds::Bounds,
    bugs::Bug,
    model::Cluster,
    node::rules::Rules,
    packing, properties,
    state::{Network, Node, State},
};

impl Cluster {
    /// Returns a text with the name of the no-op. An action and a state do not know the number of the clients' values, so
    /// their texts have the no-op as one more value, such as `v2`.
    pub(crate) fn in_words(&self, text: String) -> String {
        let noop = format!("{:?}", self.bounds().noop());
        // A log with one slot has no gap, and so no no-op.
        if self.bounds().slots == 1 { text } else { text.replace(&noop, "noop") }
    }

    /// Returns the title of a model of this cluster.
    pub(super) fn titled(&self, name: &str) -> String {
        let title = self.bounds().title(name);
        match self.bug() {
            None => title,
            Some(bug) => format!("{title}; broken by bug {}: {}", bug.label(), bug.name()),
        }
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let nodes = self.nodes().map(|_| Node::default().into()).collect();
        vec![State { nodes, network: Network::default() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.candidates(state, |action| actions.push(action));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.successor(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = properties::of_states(self);
        all.retain(|property| self.looks_for(property.name));
        all
    }
}

impl Explorable for Cluster {
    const KINDS: &'static [&'static str] = &Action::KINDS;

    /// A search of this model checks the properties of states only. It does not limit crashes.
    fn title(&self) -> String {
        self.titled("cluster without monitors")
    }

    /// Names all bounds. The title leaves out the usual ones.
    fn identity(&self) -> String {
        let bug = self.rules.bug.map_or("none".to_owned(), Bug::label);
        format!("cluster: {:?}, bug: {bug}", self.rules.limits)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let bounds = &self.rules.limits;
        let optional = |option, value: Option<String>| match value {
            Some(value) => format!("{option} {value}"),
            None => format!("no {option}"),
        };
        vec![
            ("model", "check cluster".to_owned()),
            ("nodes", format!("--nodes {}", bounds.nodes)),
            ("slots", format!("--slots {}", bounds.slots)),
            ("ballots", format!("--ballots {}", bounds.ballots)),
            ("campaigners", format!("--campaigners {}", bounds.campaigners)),
            ("values", format!("--values {}", bounds.values)),
            ("phase1-quorum", format!("--phase1-quorum {}", bounds.phase1_quorum)),
            ("phase2-quorum", format!("--phase2-quorum {}", bounds.phase2_quorum)),
            ("crashes", optional("--crashes", bounds.crashes.map(|most| most.to_string()))),
            ("unsynced", format!("--unsynced {}", bounds.unsynced)),
            ("no-nack", flag("--no-nack", !bounds.nacks)),
            ("no-chosen", flag("--no-chosen", !bounds.chosen)),
            ("snapshots", flag("--snapshots", bounds.snapshots)),
            ("reads", format!("--reads {}", bounds.reads)),
            ("not-stuck", flag("--not-stuck", self.not_stuck)),
            ("bug", optional("--bug", self.rules.bug.map(Bug::label))),
        ]
    }

    fn kind(action: &Action) -> usize {
        action.kind()
    }

    fn leaves_out(&self, kind: usize) -> bool {
        let bounds = &self.rules.limits;
        match Self::KINDS[kind] {
            "nack" => !bounds.nacks,
            "chosen" => !bounds.chosen,
            "sync" => bounds.unsynced == 0,
            "crash" => bounds.crashes == Some(0),
            "snapshot" => !bounds.snapshots,
            "read" | "confirm" | "confirmed" => bounds.reads == 0,
            _ => false,
        }
    }

    fn packing(&self) -> Option<&dyn Packing<State>> {
        Some(self)
    }

    fn symmetry(&self) -> Option<&dyn Symmetry<State>> {
        self.rules.bug.is_none().then_some(self as _)
    }

    /// Returns true if the target has all messages of the state, because no action removes a message.
    fn may_lead_to(&self, state: &State, target: &State) -> bool {
        state.network.is_subset(&target.network)
    }

    fn smaller(&self) -> Option<Self> {
        let limits = Bounds { ballots: self.rules.limits.ballots - 1, ..self.rules.limits };
        limits.validate().ok()?;
        Some(self.clone().with_rules(Rules { limits, ..self.rules }))
    }

    fn only(&self, property: &'static str) -> Self {
        self.clone().with_only(&[property])
    }

    fn describe(&self, action: &Action) -> String {
        self.in_words(format!("{action:?}"))
    }

    fn render(&self, state: &State) -> String {
        self.in_words(format!("{state:?}"))
    }
}

impl Packing<State> for Cluster {
    fn pack(&self, state: &State, packer: &mut Packer) {
        packing::pack(&self.layout, state, packer);
    }

    fn unpack(&self, unpacker: &mut Unpacker<'_>) -> State {
        packing::unpack(&self.layout, unpacker)
    }
}
