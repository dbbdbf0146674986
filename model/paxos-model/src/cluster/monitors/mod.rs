//! The monitors of a cluster: the limit of crashes, the check of each step against `synod`, and the check of reads.
//!
//! A history is no part of the cluster's state, and no node sees it.

mod packing;

use std::{fmt, sync::Arc};

use smallvec::SmallVec;
use state_explorer::{
    Monitor, Monitored, Names, WithHistory,
    packing::{Packer, Unpacker},
};
use stateright::Property;

use self::packing::Layout;
use super::{
    action::Action,
    fault::Fault,
    model::Cluster,
    properties::reads::{has_rounds_under_way, under_way},
    refinement,
    state::{Answer, Live, NODES_MAX, NodeId, Slot, State},
};
use crate::synod::Synod;

/// The property that each step of the cluster refines the specification.
pub const REFINES: &str = "each step is one of the specification";
/// The property that a read sees each value that was known to be chosen before it.
pub const READS: &str = "a read sees what was known before it";

/// A cluster with its monitors: the model that is explored.
pub type CheckedCluster = Monitored<Cluster, Monitors>;
/// A state of a cluster, and its history.
pub type CheckedState = WithHistory<State, History>;

/// The monitors of a cluster.
#[derive(Clone)]
pub struct Monitors {
    spec: Arc<Synod>,
    /// True if each step is checked against the specification. A behaviour ends with a step that fails the check, so a search
    /// for another property leaves the check out.
    refines: bool,
}

/// The history of a cluster.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// The number of crashes. It stays 0 if the bounds do not limit crashes.
    pub crashes: u8,
    /// The step that does not refine the specification. The behaviour ends with it.
    pub fault: Option<Fault>,
    /// The end of the log that the round of reads under way at each node must see: all that was known to be chosen when the
    /// round began. It is 0 for a node without such a round.
    pub must_see: [Slot; NODES_MAX],
    /// True if a read was answered without a value that was known to be chosen before it.
    pub stale: bool,
}

impl Cluster {
    /// Returns the cluster with its history variables, and the properties that depend on them.
    pub fn checked(self) -> CheckedCluster {
        let monitors = Monitors::new(&self);
        CheckedCluster::new(self, monitors)
    }
}

impl Monitors {
    fn new(cluster: &Cluster) -> Self {
        let spec = Arc::new(refinement::specification(cluster.bounds()));
        Self { spec, refines: cluster.looks_for(REFINES) }
    }
}

impl Monitor<Cluster> for Monitors {
    type History = History;

    fn title(&self, cluster: &Cluster) -> String {
        cluster.titled("cluster")
    }

    fn render(&self, cluster: &Cluster, history: &History) -> String {
        cluster.in_words(format!("{history:?}"))
    }

    fn allows(&self, cluster: &Cluster, history: &History, action: &Action) -> bool {
        let budget = cluster.bounds().crashes;
        !matches!(action, Action::Crash(_)) || budget.is_none_or(|most| history.crashes < most)
    }

    fn goes_on(&self, history: &History) -> bool {
        history.fault.is_none()
    }

    fn observe(
        &self,
        cluster: &Cluster,
        before: &CheckedState,
        action: &Action,
        after: &State,
    ) -> History {
        let mut history = before.history;
        let node = action.node();
        if matches!(action, Action::Crash(_)) {
            history.crashes += u8::from(cluster.bounds().crashes.is_some());
        } else if self.refines {
            let durable = &after.node(node).durable;
            let sent: SmallVec<[_; 4]> = after.network.sent_since(&before.network).collect();
            if !sent.is_empty() || *durable != before.node(node).durable {
                let bounds = cluster.bounds();
                history.fault =
                    refinement::check(&self.spec, bounds, &before.state, node, durable, &sent);
            }
        }
        if cluster.bounds().reads > 0 {
            let answer = cluster.answer(&before.state, *action);
            history.judge_reads(&before.state, node, answer, &after.node(node).live);
        }
        history
    }

    fn properties(&self, cluster: &Cluster) -> Vec<Property<CheckedCluster>> {
        let bounds = cluster.bounds();
        let mut all =
            vec![Property::always(REFINES, |_, s: &CheckedState| s.history.fault.is_none())];
        if bounds.reads > 0 {
            all.push(Property::always(READS, |_, s: &CheckedState| !s.history.stale));
            // The situation needs quorums that do not contain the overtaken leader.
            let without = bounds.phase1_quorum.max(bounds.phase2_quorum) < bounds.nodes;
            if has_rounds_under_way(bounds)
                && bounds.ballots > 1
                && bounds.campaigners > 1
                && without
            {
                all.push(Property::sometimes(OVERTAKEN, |_, s: &CheckedState| {
                    let must_see = |node: NodeId| s.history.must_see[usize::from(node.0)];
                    under_way(s).any(|(node, round)| round.index < must_see(node))
                }));
            }
        }
        all.retain(|property| cluster.looks_for(property.name));
        all
    }

    fn only(&self, property: &'static str) -> Self {
        Self { refines: property == REFINES, ..self.clone() }
    }

    fn pack(&self, cluster: &Cluster, history: &History, packer: &mut Packer) {
        Layout::new(cluster.bounds()).pack(history, packer);
    }

    fn unpack(&self, cluster: &Cluster, unpacker: &mut Unpacker<'_>) -> History {
        Layout::new(cluster.bounds()).unpack(unpacker)
    }

    /// Renames the nodes of the fault only. `must_see` is 0 for all nodes but leaders, and no renaming affects leaders,
    /// because they are campaigners.
    fn rename(&self, history: History, names: &Names) -> History {
        History { fault: history.fault.map(|fault| fault.renamed(names)), ..history }
    }

    fn may_lead_to(&self, history: &History, target: &History) -> bool {
        history.crashes <= target.crashes
    }
}

/// The situation in which the index of a leader's round is too low: another leader got a value chosen, and a node knew it
/// when the round began.
const OVERTAKEN: &str = "a leader that was overtaken is asked";

impl History {
    /// Checks the read that a step of a node answered, and stores the slots that the round under way must see.
    fn judge_reads(&mut self, before: &State, node: NodeId, answer: Option<Answer>, after: &Live) {
        let rounds = |live: &Live| live.reads().map_or(0, |reads| reads.rounds);
        let begun = rounds(&before.node(node).live);
        let known = known_below(before);
        let place = &mut self.must_see[usize::from(node.0)];
        // A client may ask for a read before its round begins. The check counts from the round on, which is stricter.
        let must_see = |round| if round > begun { known } else { *place };
        if let Some(Answer { round, index }) = answer {
            self.stale |= index < must_see(round);
        }
        let under_way = after.reads().filter(|reads| reads.under_way.is_some());
        *place = under_way.map_or(Slot(0), |reads| must_see(reads.rounds));
    }
}

/// Returns the first slot that no node has known to be chosen.
fn known_below(state: &State) -> Slot {
    Slot(state.network.news().iter().take_while(|known| **known).count() as u8)
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stale {
            writeln!(f, "STALE: a read was answered without something that was known")?;
        }
        if let Some(fault) = &self.fault {
            write!(f, "FAULT: {fault}")?;
        }
        Ok(())
    }
}
