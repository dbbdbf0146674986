//! A client with a session of its own, which goes from node to node while they die under it.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use tokio::sync::oneshot;

use super::{Answer, Simulation};
use crate::{
    ProposeError,
    node::Input,
    session::{ClientSession, Request},
};
use paxos::types::NodeId;

impl Simulation {
    fn any_up(&mut self) -> NodeId {
        let down: Vec<_> =
            self.places.keys().filter(|id| !self.up().contains(id)).copied().collect();
        if down.len() * 2 >= self.places.len() {
            for id in down {
                self.start(id);
            }
        }
        let up = self.up();
        up[self.random.random_range(0..up.len())]
    }

    fn open_session(&mut self) -> ClientSession {
        loop {
            let ((reply, mut opened), node) = (oneshot::channel(), self.any_up());
            self.turn(node, vec![Input::Open(reply)]);
            self.run(Duration::from_millis(500));
            if let Ok(Ok(session)) = opened.try_recv() {
                return ClientSession::new(session.slot);
            }
        }
    }

    /// Asks some node, which may die at once, or a little later.
    fn request(&mut self, request: &Request) -> oneshot::Receiver<Answer> {
        let ((reply, answer), node) = (oneshot::channel(), self.any_up());
        self.turn(node, vec![Input::Request { request: request.clone(), reply }]);
        let time = self.random.random_range(0..300);
        self.run(Duration::from_millis(time));
        if self.random.random_range(0..2) == 0 {
            self.crash(node);
        }
        answer
    }
}

fn command(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

/// Each command is asked for until two nodes have answered, of which the second had nothing more to do.
#[test]
fn a_session_outlives_the_nodes_that_it_is_used_through() {
    let mut deaths = 0;
    for seed in 0..10 {
        println!("seed {seed}");
        let mut simulation = Simulation::new(seed, 3);
        (simulation.loss, simulation.repetition) = (50, 50);
        simulation.run(Duration::from_secs(1));
        let mut session = simulation.open_session();
        let mut answers = Vec::new();
        for number in 1000..1015 {
            let request = session.request(command(number));
            let (mut asked, mut heard) = (Vec::new(), Vec::new());
            while heard.len() < 2 {
                assert!(asked.len() < 1000, "seed {seed}: no answer to command {number}");
                asked.push(simulation.request(&request));
                asked.retain_mut(|answer| match answer.try_recv() {
                    Ok(Ok(answer)) => {
                        heard.push(answer);
                        false
                    }
                    Ok(Err(ProposeError::Expired)) => panic!("seed {seed}: the session is in use"),
                    Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => {
                        deaths += 1;
                        false
                    }
                    Err(oneshot::error::TryRecvError::Empty) => true,
                });
            }
            assert!(heard.iter().all(|answer| *answer == heard[0]), "seed {seed}: {heard:?}");
            answers.push((number, heard[0].clone()));
            simulation.acknowledged.insert(number);
            session.heard(&request);
        }
        simulation.calm_down();
        let ledger = &simulation.ledgers()[&NodeId(1)];
        for (number, answer) in answers {
            let place = ledger.iter().position(|&entry| entry == number).expect("acknowledged");
            assert_eq!(answer, command(place as u64 + 1), "seed {seed}: command {number}");
        }
    }
    assert!(deaths > 10, "nodes died with a command: {deaths}");
}
