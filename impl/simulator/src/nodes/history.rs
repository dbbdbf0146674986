//! The commands that were applied, in their order, and a state machine that checks itself against them.
//!
//! The first node that applies a command at an index adds the command to the history. Every other node has to apply the
//! same command at that index, with the same answer.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use paxos_node::{Answer, Frozen, RestoreError, StateMachine};

/// A command that was applied, and its answer as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) command: Bytes,
    pub(super) answer: Bytes,
}

/// All commands that were applied by any node.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) applied: Vec<Applied>,
    /// The number of times that each command may still be added to `applied`.
    asked: BTreeMap<Bytes, u64>,
    /// The first fault.
    pub(super) violation: Option<String>,
}

impl History {
    /// Allows that a command is applied once more, because a client asks for it.
    pub(super) fn ask(&mut self, command: Bytes) {
        *self.asked.entry(command).or_default() += 1;
    }

    /// Checks an answer that a client got for a command at an index.
    pub(super) fn check_answer(&mut self, index: u64, command: &Bytes, answer: &Bytes) {
        let told = Applied { command: command.clone(), answer: answer.clone() };
        if self.applied.get(index as usize) != Some(&told) {
            self.violate(format!(
                "a client got {told:?} at index {index}, which is not in the history"
            ));
        }
    }

    /// Checks that a request comes after all commands whose effect a client had seen when it was asked for.
    pub(super) fn check_order(&mut self, words: &str, commands: u64, must_see: u64) {
        if commands < must_see {
            self.violate(format!(
                "{words} {commands} commands, but a client had seen {must_see} before"
            ));
        }
    }

    fn apply(&mut self, index: u64, applied: Applied) {
        match self.applied.get(index as usize) {
            Some(known) if *known == applied => {}
            Some(known) => {
                let known = known.clone();
                self.violate(format!(
                    "a node applied {applied:?} at index {index}, and another node {known:?}"
                ));
            }
            None => {
                let left = self.asked.get_mut(&applied.command).filter(|left| **left > 0);
                match left {
                    Some(left) => *left -= 1,
                    None => self.violate(format!("{applied:?} was applied once too often")),
                }
                self.applied.push(applied);
            }
        }
    }

    pub(super) fn violate(&mut self, words: String) {
        self.violation.get_or_insert(words);
    }
}

/// The history, shared by all machines.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<History>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A state machine that checks each command and answer against the history.
pub(super) struct Observed<M> {
    pub(super) machine: M,
    /// The number of applied commands, including those in the restored snapshot.
    pub(super) applied: u64,
    history: Shared,
}

impl<M> Observed<M> {
    pub(super) fn new(machine: M, history: Shared) -> Self {
        Self { machine, applied: 0, history }
    }
}

impl<M: StateMachine> StateMachine for Observed<M> {
    type Answer = Indexed<M::Answer>;

    fn apply(&mut self, command: &[u8]) -> Self::Answer {
        let answer = self.machine.apply(command);
        let index = self.applied;
        self.applied += 1;
        let command = Bytes::copy_from_slice(command);
        self.history.lock().apply(index, Applied { command, answer: answer.to_bytes() });
        Indexed { index, answer }
    }

    fn snapshot(&self) -> Frozen {
        let (applied, frozen) = (self.applied, self.machine.snapshot());
        Box::new(move |file| {
            file.write_all(&applied.to_le_bytes())?;
            frozen(file)
        })
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut applied = [0; 8];
        snapshot.read_exact(&mut applied)?;
        self.machine.restore(snapshot)?;
        self.applied = u64::from_le_bytes(applied);
        Ok(())
    }

    fn state_bytes(&self) -> u64 {
        self.machine.state_bytes()
    }
}

/// An answer, and the number of commands that were applied before.
#[derive(Clone)]
pub(super) struct Indexed<A> {
    pub(super) index: u64,
    pub(super) answer: A,
}

impl<A: Answer> Answer for Indexed<A> {
    fn size(&self) -> usize {
        size_of::<u64>() + self.answer.size()
    }

    fn to_bytes(&self) -> Bytes {
        [&self.index.to_le_bytes()[..], &self.answer.to_bytes()].concat().into()
    }

    fn from_bytes(mut bytes: Bytes) -> Option<Self> {
        let index = u64::from_le_bytes(*bytes.first_chunk()?);
        let answer = A::from_bytes(bytes.split_off(size_of::<u64>()))?;
        Some(Self { index, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(command: &'static str, answer: &'static str) -> Applied {
        Applied { command: command.into(), answer: answer.into() }
    }

    /// Returns the history of one command, `a`, applied by one node.
    fn history() -> History {
        let mut history = History::default();
        history.ask("a".into());
        history.apply(0, applied("a", "1"));
        assert_eq!(history.violation, None);
        history
    }

    fn violates(change: impl FnOnce(&mut History)) -> bool {
        let mut history = history();
        change(&mut history);
        history.violation.is_some()
    }

    #[test]
    fn nodes_apply_the_same_commands_with_the_same_answers() {
        assert!(!violates(|history| history.apply(0, applied("a", "1"))));
        assert!(violates(|history| history.apply(0, applied("b", "1"))));
        assert!(violates(|history| history.apply(0, applied("a", "2"))));
    }

    #[test]
    fn a_command_is_applied_as_often_as_it_was_asked_for() {
        assert!(violates(|history| history.apply(1, applied("a", "2"))));
        assert!(violates(|history| history.apply(1, applied("never asked for", "2"))));
        assert!(!violates(|history| {
            history.ask("a".into());
            history.apply(1, applied("a", "2"));
        }));
    }

    #[test]
    fn answers_are_those_of_the_history_and_in_order() {
        let (a, one) = (Bytes::from("a"), Bytes::from("1"));
        assert!(!violates(|history| history.check_answer(0, &a, &one)));
        assert!(violates(|history| history.check_answer(0, &a, &a)));
        assert!(violates(|history| history.check_answer(1, &a, &one)));
        assert!(!violates(|history| history.check_order("a read saw", 1, 1)));
        assert!(violates(|history| history.check_order("a read saw", 0, 1)));
    }
}
