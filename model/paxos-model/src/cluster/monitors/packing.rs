//! The exact packing of a history into a few digits.

use state_explorer::packing::{Packer, Unpacker};

use super::History;
use crate::{
    cluster::{
        bounds::Bounds,
        fault::{Fault, Reason},
        types::{Ballot, NodeId, Slot, Value},
    },
    synod::{Acceptor, Action},
};

/// The number of kinds of reasons: each action of `synod` that is not enabled is a kind of its own.
const REASONS: u64 = 8;

/// The radices of a history.
pub(super) struct Layout {
    nodes: u64,
    slots: u64,
    ballots: u64,
    /// The number of acceptors, or of values including the no-op, whichever is higher.
    operands: u64,
    crashes: u64,
    has_reads: bool,
}

impl Layout {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let Bounds { nodes, slots, ballots, values, crashes, reads, .. } = *bounds;
        Self {
            nodes: nodes.into(),
            slots: slots.into(),
            ballots: ballots.into(),
            operands: nodes.max(values + 1).into(),
            crashes: crashes.unwrap_or(0).into(),
            has_reads: reads > 0,
        }
    }

    pub(super) fn pack(&self, history: &History, packer: &mut Packer) {
        let History { crashes, fault, must_see, stale } = history;
        packer.push(u64::from(*crashes), 1 + self.crashes);
        packer.push(fault.map_or(0, |fault| 1 + self.digit(fault)), 1 + self.faults());
        if self.has_reads {
            for (_, slot) in (0..self.nodes).zip(must_see) {
                packer.push(u64::from(slot.0), 1 + self.slots);
            }
            packer.push(u64::from(*stale), 2);
        }
    }

    pub(super) fn unpack(&self, unpacker: &mut Unpacker<'_>) -> History {
        let crashes = unpacker.take(1 + self.crashes) as u8;
        let mut history = History { crashes, ..History::default() };
        let fault = unpacker.take(1 + self.faults()).checked_sub(1);
        history.fault = fault.map(|digit| self.fault(digit));
        if self.has_reads {
            for (_, slot) in (0..self.nodes).zip(&mut history.must_see) {
                *slot = Slot(unpacker.take(1 + self.slots) as u8);
            }
            history.stale = unpacker.take(2) == 1;
        }
        history
    }

    /// Returns the number of different faults.
    const fn faults(&self) -> u64 {
        self.slots * self.nodes * REASONS * self.ballots * self.operands
    }

    fn digit(&self, Fault { slot, node, reason }: Fault) -> u64 {
        let (reason, Ballot(ballot), operand) = match reason {
            Reason::WrongVoteOnDisk => (0, Ballot(0), 0),
            Reason::PromiseFell => (1, Ballot(0), 0),
            Reason::WrongReport(ballot) => (2, ballot, 0),
            Reason::Contradicts(ballot) => (3, ballot, 0),
            Reason::NotEnabled(Action::Prepare(ballot)) => (4, ballot, 0),
            Reason::NotEnabled(Action::Promise(Acceptor(acceptor), ballot)) => {
                (5, ballot, acceptor)
            }
            Reason::NotEnabled(Action::Vote(Acceptor(acceptor), ballot)) => (6, ballot, acceptor),
            Reason::NotEnabled(Action::Propose(ballot, Value(value))) => (7, ballot, value),
        };
        let digits = [
            (u64::from(node.0), self.nodes),
            (reason, REASONS),
            (u64::from(ballot), self.ballots),
            (u64::from(operand), self.operands),
        ];
        digits.into_iter().fold(u64::from(slot.0), |all, (digit, radix)| all * radix + digit)
    }

    fn fault(&self, mut digit: u64) -> Fault {
        let mut take = |radix: u64| {
            let taken = digit % radix;
            digit /= radix;
            taken as u8
        };
        let (operand, ballot) = (take(self.operands), Ballot(take(self.ballots)));
        let (acceptor, value) = (Acceptor(operand), Value(operand));
        let reason = match take(REASONS) {
            0 => Reason::WrongVoteOnDisk,
            1 => Reason::PromiseFell,
            2 => Reason::WrongReport(ballot),
            3 => Reason::Contradicts(ballot),
            4 => Reason::NotEnabled(Action::Prepare(ballot)),
            5 => Reason::NotEnabled(Action::Promise(acceptor, ballot)),
            6 => Reason::NotEnabled(Action::Vote(acceptor, ballot)),
            _ => Reason::NotEnabled(Action::Propose(ballot, value)),
        };
        let (node, slot) = (NodeId(take(self.nodes)), Slot(take(self.slots)));
        Fault { slot, node, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that each fault within the bounds is the same after packing and unpacking.
    #[test]
    fn faults_are_packed_exactly() {
        let bounds = Bounds { values: 3, ..Bounds::of(3, 2, 4) };
        let layout = Layout::new(&bounds);
        let mut reasons = vec![Reason::WrongVoteOnDisk, Reason::PromiseFell];
        for ballot in (0..bounds.ballots).map(Ballot) {
            reasons.extend([Reason::WrongReport(ballot), Reason::Contradicts(ballot)]);
            reasons.push(Reason::NotEnabled(Action::Prepare(ballot)));
            for acceptor in (0..bounds.nodes).map(Acceptor) {
                reasons.push(Reason::NotEnabled(Action::Promise(acceptor, ballot)));
                reasons.push(Reason::NotEnabled(Action::Vote(acceptor, ballot)));
            }
            for value in (0..=bounds.values).map(Value) {
                reasons.push(Reason::NotEnabled(Action::Propose(ballot, value)));
            }
        }
        for slot in (0..bounds.slots).map(Slot) {
            for node in (0..bounds.nodes).map(NodeId) {
                for &reason in &reasons {
                    let fault = Fault { slot, node, reason };
                    let digit = layout.digit(fault);
                    assert!(digit < layout.faults(), "{fault}");
                    assert_eq!(layout.fault(digit), fault);
                }
            }
        }
    }
}
