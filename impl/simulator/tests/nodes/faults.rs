//! State machines and disks that are broken on purpose. The simulation finds each fault.

use std::{
    any::Any,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use paxos::NodeId;
use paxos_node::{Fault, Frozen, OptionsBuilder, RestoreError, StateMachine};
use paxos_simulator::nodes::{Simulation, options};

use crate::ledger::{Ledger, command, simulation};

/// Runs `run` until a check fails, and returns the message of the check.
fn violation(run: impl FnOnce()) -> String {
    let panic: Box<dyn Any + Send> = catch_unwind(AssertUnwindSafe(run)).expect_err("it is broken");
    *panic.downcast::<String>().expect("a message with the seed")
}

/// Lets a leader propose a hundred commands, which is enough for several snapshots. Returns a follower.
fn busy<M: StateMachine>(simulation: &mut Simulation<M>) -> NodeId {
    simulation.run(Duration::from_secs(1));
    let leader = simulation.leaders()[0];
    for number in 0..100 {
        simulation.propose(leader, command(number));
        simulation.run(Duration::from_millis(10));
    }
    simulation.run(Duration::from_secs(1));
    assert_eq!(simulation.counts.answers, 100);
    *simulation.up().iter().find(|id| **id != leader).expect("there are two")
}

/// Bug 44 of the catalogue, "trims what is not applied". Only a state machine shows its harm.
///
/// Each snapshot lacks a command that counts as applied, and the node trims its log behind the snapshot. The node trims
/// the same slots as a correct node, and each of them is chosen. So the protocol and its comparison with the model find
/// no fault. After a restart the state of the node lacks the command.
#[test]
fn a_node_that_trims_what_it_has_not_applied_is_seen_after_a_restart() {
    let restarted = |unapplied| {
        let machine = move || Ledger { unapplied, ..Ledger::default() };
        let mut simulation = Simulation::new(1, 3, machine);
        let follower = busy(&mut simulation);
        let states = simulation.history().len();
        assert_eq!(states, 100, "all is well before a restart");
        simulation.crash(follower);
        simulation.start(follower);
        simulation.run(Duration::from_secs(1));
        simulation.propose(follower, command(100));
        simulation.settle();
    };
    restarted(0);
    let seen = violation(|| restarted(1));
    assert!(seen.contains("a node applied") || seen.contains("is not the one to which"), "{seen}");
}

/// A machine whose answer depends on a counter that all machines share.
struct Shared(Arc<AtomicU64>);

impl StateMachine for Shared {
    type Answer = Bytes;

    fn apply(&mut self, _: &[u8]) -> Bytes {
        self.0.fetch_add(1, Ordering::Relaxed).to_string().into()
    }

    fn snapshot(&self) -> Frozen {
        Box::new(|_| Ok(()))
    }

    fn restore(&mut self, _: &mut dyn Read) -> Result<(), RestoreError> {
        Ok(())
    }
}

#[test]
fn a_machine_that_depends_on_more_than_the_commands_is_seen() {
    let seen = violation(|| {
        let count = Arc::default();
        busy(&mut Simulation::new(1, 3, move || Shared(Arc::clone(&count))));
    });
    assert!(seen.starts_with("seed 1, ") && seen.contains("a node applied"), "{seen}");
}

/// Bug 46 of the catalogue, "mixes up answers". Each node applies the same commands with the same results, so that no comparison of
/// nodes shows anything. A client gets the result of another command.
#[test]
fn a_node_that_gives_an_answer_to_another_client_is_seen() {
    let two_at_once = |fault: Option<Fault>| {
        let options = fault.into_iter().fold(options(), OptionsBuilder::fault).build();
        let options = options.expect("a node can work with them");
        let mut simulation = Simulation::with_options(1, 3, options, Ledger::default);
        simulation.run(Duration::from_secs(1));
        let leader = simulation.leaders()[0];
        for number in 0..20 {
            simulation.propose(leader, command(number));
            simulation.run(Duration::from_micros(10));
        }
        simulation.settle();
    };
    two_at_once(None);
    let seen = violation(|| two_at_once(Some(Fault::MixesAnswers)));
    assert!(seen.contains("which is not in the history"), "{seen}");
}

#[test]
fn a_disk_that_says_synced_and_forgets_is_seen() {
    let seen = violation(|| {
        let mut simulation = simulation(1, 3);
        let follower = busy(&mut simulation);
        simulation.disk(follower).forget();
        let leader = simulation.leaders()[0];
        simulation.propose(leader, command(100));
        simulation.run(Duration::from_secs(1));
    });
    assert!(seen.contains("before that was durable"), "{seen}");
}

#[test]
fn a_read_that_panics_is_seen() {
    let mut simulation = simulation(1, 3);
    let follower = busy(&mut simulation);
    simulation.read(follower, |ledger| assert_eq!(ledger.numbers, (0..100).collect::<Vec<_>>()));
    simulation.run(Duration::from_secs(1));
    let seen = violation(|| {
        simulation.read(follower, |ledger| assert!(ledger.numbers.is_empty(), "on purpose"));
        simulation.run(Duration::from_secs(1));
    });
    assert!(seen.contains("a read has panicked"), "{seen}");
}

/// Stops at one command.
struct Fragile {
    ledger: Ledger,
    /// The number of machines that were made before.
    start: usize,
    /// The last machine that has stopped.
    stopped: Arc<AtomicUsize>,
}

impl StateMachine for Fragile {
    type Answer = Bytes;

    fn apply(&mut self, bytes: &[u8]) -> Bytes {
        if bytes == command(7) {
            self.stopped.store(self.start, Ordering::Relaxed);
            panic!("{FRAGILE}, {}", bytes.len());
        }
        self.ledger.apply(bytes)
    }

    fn snapshot(&self) -> Frozen {
        self.ledger.snapshot()
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        self.ledger.restore(snapshot)
    }
}

const FRAGILE: &str = "this command is too much for the machine";

/// Proposes ten commands. The machines of all nodes stop at one of them. Also returns the last machine that has stopped.
fn fragile(fault: Option<Fault>) -> (Simulation<Fragile>, Arc<AtomicUsize>) {
    let (starts, stopped) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let kept = Arc::clone(&stopped);
    let machine = move || {
        let (ledger, stopped) = (Ledger::default(), Arc::clone(&kept));
        Fragile { ledger, start: starts.fetch_add(1, Ordering::Relaxed), stopped }
    };
    let options = fault.into_iter().fold(options(), OptionsBuilder::fault).build();
    let options = options.expect("a node can work with them");
    let mut simulation = Simulation::with_options(1, 3, options, machine);
    simulation.run(Duration::from_secs(1));
    for number in 0..10 {
        simulation.propose(NodeId(1), command(number));
    }
    (simulation, stopped)
}

/// A command at which the machine panics halts the machine on each node.
#[test]
fn a_machine_that_panics_keeps_the_cluster_from_settling() {
    let seen = violation(|| fragile(None).0.settle());
    assert!(seen.contains("does not answer a read"), "{seen}");
}

/// Bug 49 of the catalogue, "applies what stops the process". The simulation ends with the process of any node. The entry stops
/// every node, again after each restart. Without the bug all nodes stay up.
#[test]
fn an_entry_that_stops_each_node_again_is_seen() {
    let (mut simulation, _) = fragile(None);
    for node in simulation.up() {
        simulation.run(Duration::from_secs(2));
        simulation.crash(node);
        simulation.start(node);
    }
    simulation.run(Duration::from_secs(2));
    assert_eq!(simulation.up().len(), 3);

    let (mut simulation, stopped) = fragile(Some(Fault::StopsAtPanic));
    // The nodes of the machines, and the number of times that each node has stopped.
    let (mut machines, mut stops) = (simulation.up(), [0; 3]);
    let mut down = None;
    while stops.iter().any(|count| *count < 2) {
        let seen = violation(|| simulation.run(Duration::from_secs(5)));
        assert!(seen.starts_with(FRAGILE), "{seen}");
        let node = machines[stopped.load(Ordering::Relaxed)];
        stops[node.0 as usize - 1] += 1;
        assert!(stops.iter().sum::<u32>() < 100, "{stops:?}");
        simulation.crash(node);
        // Two nodes are up, which choose the entry again.
        if let Some(before) = down.replace(node) {
            machines.push(before);
            simulation.start(before);
        }
    }
}
