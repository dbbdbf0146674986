//! A bank with three replicas, whose money must neither appear nor vanish.
//!
//! `cargo run -p paxos-simulator --example bank -- 100` runs the seeds 0 to 99.

use std::{collections::BTreeMap, env, error::Error, io::Read};

use bytes::Bytes;
use paxos_node::{Frozen, RestoreError, StateMachine};
use paxos_simulator::nodes::Simulation;

/// The money of all accounts together.
const TOTAL: u64 = 1_000;

/// The balance of each account. In the beginning account 0 has all the money.
struct Bank(BTreeMap<u8, u64>);

impl Default for Bank {
    fn default() -> Self {
        Self([(0, TOTAL)].into())
    }
}

impl StateMachine for Bank {
    type Answer = Bytes;

    /// A command begins with three bytes: the account that pays, the account that gets the money, and the amount. The
    /// answer is 1 if there was enough money, and 0 otherwise.
    fn apply(&mut self, command: &[u8]) -> Bytes {
        let [from, to, amount, ..] = *command else { return Bytes::from_static(&[0]) };
        let amount = u64::from(amount);
        let balance = self.0.entry(from).or_default();
        let enough = *balance >= amount;
        if enough {
            *balance -= amount;
            *self.0.entry(to).or_default() += amount;
        }
        Bytes::copy_from_slice(&[u8::from(enough)])
    }

    fn snapshot(&self) -> Frozen {
        let accounts = self.0.clone();
        Box::new(move |file| {
            accounts.iter().try_for_each(|(account, balance)| {
                file.write_all(&[*account])?;
                file.write_all(&balance.to_le_bytes())
            })
        })
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let (accounts, rest) = bytes.as_chunks::<9>();
        if !rest.is_empty() {
            return Err(RestoreError::new("an account is cut off"));
        }
        let account = |[account, balance @ ..]: &[u8; 9]| (*account, u64::from_le_bytes(*balance));
        self.0 = accounts.iter().map(account).collect();
        Ok(())
    }
}

/// Returns a transfer between two of ten accounts, or within one. The transfer depends only on the number. It ends with the
/// number, so that no two transfers are equal.
fn transfer(number: u64) -> Vec<u8> {
    let [from, to, amount] = [3, 7, 11].map(|factor| (number * factor % 10) as u8);
    [&[from, to, amount * 9][..], &number.to_le_bytes()].concat()
}

fn main() -> Result<(), Box<dyn Error>> {
    run(env::args().nth(1).map_or(Ok(10), |seeds| seeds.parse())?);
    Ok(())
}

/// Runs the seeds from 0 to `seeds - 1`.
pub(crate) fn run(seeds: u64) {
    for seed in 0..seeds {
        let mut simulation = Simulation::new(seed, 3, Bank::default);
        (simulation.network.link.loss, simulation.network.link.duplication) = (0.05, 0.05);
        simulation.stall = 0.02;
        for _ in 0..10 {
            simulation.storm(10, transfer);
            for node in simulation.up() {
                simulation.read(node, |bank| assert_eq!(bank.0.values().sum::<u64>(), TOTAL));
            }
        }
        simulation.settle(); // It waits for the reads.
        println!(
            "seed {seed}: {} transfers, {:?} of virtual time, {:?}",
            simulation.history().len(),
            simulation.now(),
            simulation.counts
        );
    }
}
