//! Whole nodes in virtual time: storms that they survive, and faults that the simulation sees.

mod faults;
mod hand_over;
mod ledger;
mod sessions;
mod storms;
