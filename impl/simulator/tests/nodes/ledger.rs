//! A state machine that remembers all commands. Its snapshots can be made to lack some of them.

use std::io::Read;

use bytes::Bytes;
use paxos_node::{Frozen, RestoreError, StateMachine};
use paxos_simulator::nodes::Simulation;

/// Keeps the numbers of all commands in their order. The answer to a command is the number of commands so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) numbers: Vec<u64>,
    /// The number of the last commands that each snapshot lacks.
    pub(crate) unapplied: usize,
}

impl StateMachine for Ledger {
    type Answer = Bytes;

    fn apply(&mut self, command: &[u8]) -> Bytes {
        let number = command.first_chunk().expect("eight bytes and a filling");
        self.numbers.push(u64::from_le_bytes(*number));
        Bytes::copy_from_slice(&(self.numbers.len() as u64).to_le_bytes())
    }

    fn snapshot(&self) -> Frozen {
        let applied = self.numbers.len().saturating_sub(self.unapplied);
        let numbers = self.numbers[..applied].to_vec();
        Box::new(move |file| {
            numbers.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))
        })
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(RestoreError::new("not whole numbers"));
        }
        self.numbers = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        Ok(())
    }
}

/// A command of 40 bytes.
pub(crate) fn command(number: u64) -> Bytes {
    let mut command = number.to_le_bytes().to_vec();
    command.resize(40, 0);
    command.into()
}

pub(crate) fn simulation(seed: u64, nodes: u32) -> Simulation<Ledger> {
    Simulation::new(seed, nodes, Ledger::default)
}
