//! Storms of faults: one kind at a time, and then all kinds at once.

use super::{
    proxy::Weather,
    storm::{Fault, Storm},
};

#[test]
fn nodes_are_killed() {
    Storm { faults: &[Fault::Kill], at_once: 2, ..Storm::default() }.rage();
}

#[test]
fn all_nodes_are_killed_at_once() {
    Storm { faults: &[Fault::KillAll], ..Storm::default() }.rage();
}

#[test]
fn nodes_stand_still() {
    Storm { faults: &[Fault::Pause], at_once: 2, ..Storm::default() }.rage();
}

#[test]
fn links_are_cut() {
    let faults = &[
        Fault::Isolate(Weather::Silent),
        Fault::Isolate(Weather::Broken),
        Fault::OneWay(Weather::Silent),
        Fault::OneWay(Weather::Broken),
    ];
    Storm { faults, at_once: 2, ..Storm::default() }.rage();
}

#[test]
fn links_flip_bits() {
    Storm { faults: &[Fault::Damage], at_once: 4, ..Storm::default() }.rage();
}

/// The nodes have different timeouts, as if their clocks ran at different speeds: one node gives up a leader before
/// another sends a heartbeat.
#[test]
fn clocks_run_at_different_speeds() {
    let flags: fn(u32) -> &'static [&'static str] = |id| match id {
        1 => &["--election-timeout-ms", "150", "--heartbeat-ms", "15"],
        2 => &["--election-timeout-ms", "600", "--heartbeat-ms", "300"],
        _ => &["--election-timeout-ms", "1500", "--heartbeat-ms", "400"],
    };
    let faults = &[Fault::Kill, Fault::Pause];
    Storm { faults, flags, ..Storm::default() }.rage();
}

#[test]
fn three_of_five_nodes_are_enough() {
    let faults = &[Fault::Pause, Fault::OneWay(Weather::Broken)];
    Storm { nodes: 5, down: 2, faults, ..Storm::default() }.rage();
}

#[test]
fn snapshots_are_taken_meanwhile() {
    let faults = &[Fault::Kill, Fault::Isolate(Weather::Broken), Fault::KillAll];
    let flags: fn(u32) -> &'static [&'static str] = |_| &["--snapshot-bytes", "4096"];
    Storm { faults, flags, at_once: 2, ..Storm::default() }.rage();
}

/// A node that was away needs the snapshot of another.
#[test]
fn nodes_are_away_while_others_trim() {
    let faults = &[Fault::Absence, Fault::Absence, Fault::Stop];
    let flags: fn(u32) -> &'static [&'static str] = |_| &["--snapshot-bytes", "4096"];
    Storm { faults, flags, ..Storm::default() }.rage();
}

#[test]
fn everything_happens() {
    let faults = &[
        Fault::Kill,
        Fault::Kill,
        Fault::KillAll,
        Fault::Stop,
        Fault::Pause,
        Fault::Isolate(Weather::Silent),
        Fault::Isolate(Weather::Broken),
        Fault::OneWay(Weather::Silent),
        Fault::OneWay(Weather::Broken),
        Fault::Damage,
    ];
    let flags: fn(u32) -> &'static [&'static str] = |_| &["--snapshot-bytes", "4096"];
    Storm { nodes: 5, faults, flags, at_once: 3, ..Storm::default() }.rage();
}
