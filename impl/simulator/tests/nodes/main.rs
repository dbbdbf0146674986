//! Whole nodes in virtual time: storms that the nodes survive, and faults that the simulation finds.

mod faults;
mod hand_over;
mod ledger;
mod sessions;
mod slow_link;
mod storms;
