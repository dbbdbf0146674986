//! Values of which only equality matters.
//!
//! A step compares values, clones them, and knows the no-op. So a few names stand for all values: a value is the no-op, or one
//! that the case has already, or the next new one.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use paxos_model::cluster::node::unbounded::Value;
use paxos_recording::frame;
use paxos_validation::said::{Slot, Values};

use crate::choices::Choices;

const COMMANDS: [&[u8]; 8] = [b"v0", b"v1", b"v2", b"v3", b"v4", b"v5", b"v6", b"v7"];

/// Shared, because a case has each value many times.
static NAMES: LazyLock<[Arc<[u8]>; 8]> = LazyLock::new(|| COMMANDS.map(Into::into));

/// Returns a command of the model.
pub fn command(number: usize) -> Value {
    Value::Command(NAMES[number].clone())
}

/// Returns a command of the implementation.
pub fn real_command(number: usize) -> Bytes {
    Bytes::from_static(COMMANDS[number])
}

/// Returns the implementation's value.
pub fn real(value: &Value) -> paxos::Value {
    match value {
        Value::Noop => paxos::Value::Noop,
        Value::Command(bytes) => {
            let known = COMMANDS.iter().find(|it| ***it == **bytes);
            let bytes =
                known.map_or_else(|| Bytes::copy_from_slice(bytes), |it| Bytes::from_static(it));
            paxos::Value::Command(bytes)
        }
    }
}

/// Returns the model's value.
pub fn model(value: &paxos::Value) -> Value {
    match value {
        paxos::Value::Noop => Value::Noop,
        paxos::Value::Command(bytes) => of_bytes(bytes),
    }
}

fn of_bytes(bytes: &[u8]) -> Value {
    let known = NAMES.iter().find(|it| ***it == *bytes);
    Value::Command(known.map_or_else(|| bytes.into(), Arc::clone))
}

/// Translates the values of recorded steps.
#[derive(Clone, Copy, Debug)]
pub struct Named;

impl Values for Named {
    fn value(&self, _: Slot, value: &frame::Value) -> Value {
        match value {
            frame::Value::Noop => Value::Noop,
            frame::Value::Command(bytes) => of_bytes(bytes),
            frame::Value::Digest(digest) => {
                unreachable!("the steps here keep commands: {digest:?}")
            }
        }
    }
}

/// The commands of a case so far.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    used: usize,
    most: usize,
}

impl Names {
    /// Returns no commands yet, of which there will be at most `most`.
    pub fn new(most: usize) -> Self {
        assert!(most <= COMMANDS.len(), "there are {} commands", COMMANDS.len());
        Self { used: 0, most }
    }

    /// Chooses a value: the no-op, a command that the case has, or a new one.
    pub fn any(&mut self, choices: &mut impl Choices) -> Value {
        let fresh = usize::from(self.used < self.most);
        match choices.below(1 + self.used + fresh) {
            0 => Value::Noop,
            number => {
                self.used = self.used.max(number);
                command(number - 1)
            }
        }
    }

    /// Chooses a value other than this one.
    pub fn other(value: &Value) -> Value {
        if *value == command(0) { command(1) } else { command(0) }
    }
}
