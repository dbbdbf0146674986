//! Known bugs of drivers. Tests inject them into a node, to show that recordings give them away.
//!
//! Only the feature `faults` has a way to inject one ([`OptionsBuilder::fault`](crate::OptionsBuilder::fault)). Without it, no node
//! has a fault.

use crate::session::Applied;

/// Gives the answer of a command to the command before or after it.
pub(crate) fn mixed_up<A>(applied: Applied<A>) -> Applied<A> {
    match applied {
        Applied::Answered { session, sequence, answer } => {
            Applied::Answered { session, sequence: sequence ^ 1, answer }
        }
        other => other,
    }
}

/// A bug of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "faults"),
    allow(dead_code, unreachable_pub, reason = "no fault can be injected")
)]
pub enum Fault {
    /// The node sends messages before the records on which they depend are durable.
    SendsBeforeSync,
    /// The node notes that all its votes are for chosen values.
    NotesTooMuch,
    /// A snapshot names a slot that its node has not applied.
    NamesTooMuch,
    /// A snapshot does not contain the client table.
    ForgetsClients,
    /// The answers of two commands of one session go to each other's clients.
    MixesAnswers,
    /// A command at which the state machine panics stops the process, in place of the machine alone.
    StopsAtPanic,
    /// The node runs reads before it has applied the slots that they must see.
    ReadsTooEarly,
    /// The node takes the first part of a promise for the whole.
    ForgetsMore,
}
