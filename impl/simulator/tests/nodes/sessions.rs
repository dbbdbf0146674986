//! A client with a session. It moves from node to node while nodes crash.

use std::time::Duration;

use bytes::Bytes;
use paxos::NodeId;
use paxos_node::{
    ProposeError,
    session::{ClientSession, Request},
};
use paxos_simulator::nodes::{Call, Simulation};
use rand::RngExt as _;

use crate::ledger::{Ledger, command, simulation};

type Answered = Result<Bytes, ProposeError>;

/// Returns a node that is up. First starts all nodes if fewer than two are up.
fn any_up(simulation: &mut Simulation<Ledger>) -> NodeId {
    if simulation.up().len() < 2 {
        (1..=3).map(NodeId).for_each(|id| simulation.start(id));
    }
    let up = simulation.up();
    up[simulation.random().random_range(0..up.len())]
}

fn open_session(simulation: &mut Simulation<Ledger>) -> ClientSession {
    loop {
        let node = any_up(simulation);
        let mut opened = simulation.open_session(node).expect("it is up");
        simulation.run(Duration::from_millis(500));
        if let Some(Ok(session)) = opened.poll() {
            return session;
        }
    }
}

/// Sends a request to a random node. That node may crash soon after.
fn request(simulation: &mut Simulation<Ledger>, request: &Request) -> Call<Answered> {
    let node = any_up(simulation);
    let call = simulation.request(node, request.clone()).expect("it is up");
    let time = simulation.random().random_range(0..300);
    simulation.run(Duration::from_millis(time));
    if simulation.random().random_range(0..2) == 0 {
        simulation.crash(node);
    }
    call
}

/// The client sends each command again until it has two answers. The second answer must equal the first, and the
/// command must be applied once.
#[test]
fn a_session_survives_crashes_of_nodes() {
    let mut deaths = 0;
    for seed in 0..10 {
        println!("seed {seed}");
        let mut simulation = simulation(seed, 3);
        let link = &mut simulation.network.link;
        (link.loss, link.duplication) = (0.05, 0.05);
        simulation.run(Duration::from_secs(1));
        let mut session = open_session(&mut simulation);
        let mut answers = Vec::new();
        for number in 1000..1015 {
            let asks = session.request(command(number));
            let (mut asked, mut heard) = (Vec::new(), Vec::new());
            while heard.len() < 2 {
                assert!(asked.len() < 1000, "seed {seed}: no answer to command {number}");
                asked.push(request(&mut simulation, &asks));
                asked.retain_mut(|call| match call.poll() {
                    Some(Ok(answer)) => {
                        heard.push(answer);
                        false
                    }
                    Some(Err(ProposeError::Expired)) => {
                        panic!("seed {seed}: the session is in use")
                    }
                    Some(Err(_)) => {
                        deaths += 1;
                        false
                    }
                    None => true,
                });
            }
            assert!(heard.iter().all(|answer| *answer == heard[0]), "seed {seed}: {heard:?}");
            answers.push((command(number), heard.swap_remove(0)));
            session.heard(&asks);
        }
        simulation.settle();
        let history = simulation.history();
        for (command, answer) in answers {
            let places = (1_u64..).zip(&history).filter(|(_, applied)| **applied == command);
            let places: Vec<_> = places.map(|(place, _)| place.to_le_bytes()).collect();
            assert_eq!(places.len(), 1, "seed {seed}: {command:?} is applied once");
            assert_eq!(answer, places[0][..], "seed {seed}: {command:?}");
        }
    }
    assert!(deaths > 10, "nodes died with a command: {deaths}");
}
