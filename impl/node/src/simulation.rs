//! One node in virtual time, turn by turn, among peers that a test plays. The crate `paxos-simulator` simulates
//! clusters of nodes. These tests use its disk.

mod absurd;
mod outbox;
mod restoring;
mod serving;
mod turns;

use std::{cell::Cell, io::Read, time::Duration};

use bytes::Bytes;

use super::Options;
use crate::machine::{Frozen, RestoreError, StateMachine};
use paxos::event::Record;

/// A machine that keeps the numbers of all commands in their order. The answer is the count of these numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger(Vec<u64>);

impl StateMachine for Ledger {
    type Answer = Bytes;

    fn apply(&mut self, command: &[u8]) -> Bytes {
        assert!(!(FRAGILE.get() && command == POISON), "this command is too much for the machine");
        self.0
            .push(u64::from_le_bytes(command[..8].try_into().expect("eight bytes and a filling")));
        Bytes::copy_from_slice(&(self.0.len() as u64).to_le_bytes())
    }

    fn snapshot(&self) -> Frozen {
        let numbers = self.0.clone();
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
        self.0 = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        Ok(())
    }
}

/// A command that makes a fragile machine panic.
const POISON: &[u8] = &[0xff; 8];

thread_local! {
    /// True if the machines of this test are fragile.
    static FRAGILE: Cell<bool> = const { Cell::new(false) };
}

const STEP: Duration = Duration::from_millis(1);

fn quick() -> Options {
    Options {
        election_timeout: Duration::from_millis(150),
        heartbeat: Duration::from_millis(20),
        resend: Duration::from_millis(40),
        request_timeout: Duration::from_secs(3),
        snapshot_slots: 20,
        ..Options::default()
    }
}

/// The number of votes in these records.
fn slots(records: &[Record]) -> usize {
    let slots = records.iter().map(|record| match record {
        Record::Accepted { values, .. } => values.len(),
        Record::Promised(_) | Record::Trimmed { .. } => 0,
    });
    slots.sum()
}
