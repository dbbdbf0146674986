//! A recorded run as a trace in the Informal Trace Format, for the tools that read it.
//!
//! Each state follows one frame. Its variable `nodes` has the state of each node, as far as a recording shows it, and its
//! `#meta` names the frame.

use serde_json::{Map, Value, json};

use crate::{
    excerpt::{Recent, describe},
    node::Node,
    order::Validator,
};

/// A trace that grows with each frame.
#[derive(Debug, Default)]
pub struct Trace(Vec<Value>);

impl Trace {
    /// Adds the state after a frame.
    pub fn add(&mut self, recent: &Recent, validator: &Validator) {
        let nodes = validator.nodes().map(|(id, node)| json!([id.0, state(node)]));
        let nodes: Vec<_> = nodes.collect();
        self.0.push(json!({
            "#meta": {
                "index": self.0.len(),
                "node": recent.node.0,
                "start": recent.incarnation,
                "frame": recent.frame.number,
                "does": describe(&recent.frame.body),
            },
            "nodes": { "#map": nodes },
        }));
    }

    /// Returns the trace as text.
    pub fn to_json(&self) -> String {
        let trace = json!({
            "#meta": { "format": "ITF", "description": "a recorded run of a cluster" },
            "vars": ["nodes"],
            "states": self.0,
        });
        trace.to_string() + "\n"
    }
}

fn state(node: &Node) -> Value {
    let big = |number: u64| json!({ "#bigint": number.to_string() });
    let mut state = Map::new();
    state.insert("start".into(), big(node.incarnation()));
    state.insert("does".into(), node.describe().into());
    state.insert("trimmed".into(), big(node.trimmed()));
    state.into()
}
