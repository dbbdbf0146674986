//! The nodes and the values of a cluster.

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::protocol::{Setup, Topology, ValueForm};

/// The numbers of nodes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The number of acceptors.
    pub acceptors: usize,
    /// The number of proposers.
    pub proposers: usize,
}

/// Returns the cluster of a size, with names for its nodes.
pub(super) fn setup(size: Size, topology: Topology) -> Setup {
    let names =
        |letter: char, count: usize| (1..=count).map(|it| format!("{letter}{it}")).collect();
    let (acceptors, proposers, learners): (Vec<String>, _, _) = match topology {
        Topology::Split => (names('a', size.acceptors), names('p', size.proposers), names('l', 1)),
        // All ids stand in all lists. The number of proposers limits the nodes that clients ask.
        Topology::Combined => {
            let nodes: Vec<String> = names('n', size.acceptors);
            (nodes.clone(), nodes.clone(), nodes)
        }
    };
    let mut host = acceptors.clone();
    if topology == Topology::Split {
        host.extend(proposers.iter().chain(&learners).cloned());
    }
    Setup { acceptors, proposers, learners, host, seed: 1, store: Map::new() }
}

/// Returns the value of a client in the form of the subject. Values are counted from 0.
pub(super) fn client_value(number: usize, form: ValueForm) -> Json {
    match form {
        ValueForm::String => json!(format!("v{}", number + 1)),
        ValueForm::Int => json!(number + 1),
        ValueForm::Char => {
            let letter = u8::try_from(number % 26).expect("less than 26") + b'a';
            json!(char::from(letter).to_string())
        }
    }
}
