//! x
pub mod cluster;
pub mod explore;
pub mod synod;
