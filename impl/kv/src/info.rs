//! The reply to `INFO`: the status of a node, in the form that clients of Redis read.

use std::fmt::Write as _;

use bytes::Bytes;
use itertools::Itertools as _;

use paxos_node::Status;

/// The version of Redis with whose answers the tests compare those of this store.
const REDIS_VERSION: &str = "7.0.15";

/// Returns the text of these sections, or of all sections if the list is empty.
pub(super) fn text(status: &Status, state_max: u64, sections: &[Bytes]) -> String {
    let wanted = |name: &str| {
        let is = |section: &Bytes| {
            section.eq_ignore_ascii_case(name.as_bytes())
                || [&b"all"[..], b"default", b"everything"]
                    .iter()
                    .any(|all| section.eq_ignore_ascii_case(all))
        };
        sections.is_empty() || sections.iter().any(is)
    };
    let mut text = String::new();
    let mut section = |name: &str, lines: &[(&str, String)]| {
        if wanted(name) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            write!(text, "{gap}# {name}\r\n").expect("memory");
            for (key, value) in lines {
                write!(text, "{key}:{value}\r\n").expect("memory");
            }
        }
    };
    let number = |value: u64| value.to_string();
    section(
        "Server",
        &[
            // Clients derive from it which commands exist.
            ("redis_version", REDIS_VERSION.to_owned()),
            ("redis_mode", "standalone".to_owned()),
            ("paxos_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("process_id", std::process::id().to_string()),
        ],
    );
    section(
        "Memory",
        &[
            ("paxos_state_bytes", number(status.state_bytes)),
            ("paxos_state_max", number(state_max)),
        ],
    );
    section(
        "Replication",
        &[
            ("role", "master".to_owned()), // Every node accepts writes.
            ("paxos_node", status.node.to_string()),
            ("paxos_role", status.role.name().to_owned()),
            ("paxos_leader", status.leader.map_or("unknown".to_owned(), |node| node.to_string())),
            (
                "paxos_ballot",
                status.promised.map_or("none".to_owned(), |ballot| ballot.to_string()),
            ),
            ("paxos_chosen_below", number(status.chosen_below.0)),
            ("paxos_applied_below", number(status.applied_below.0)),
            ("paxos_trimmed_below", number(status.trimmed_below.0)),
            ("paxos_log_end", number(status.log_end.0)),
            ("paxos_sessions", status.sessions.to_string()),
            ("paxos_missing", status.missing.iter().join(",")),
            ("paxos_halted", status.halted.map_or("no".to_owned(), |slot| slot.to_string())),
        ],
    );
    section(
        "Persistence",
        &[
            ("paxos_disk_bytes", number(status.disk_bytes)),
            ("paxos_snapshot_in_progress", number(status.snapshot_under_way.into())),
        ],
    );
    section(
        "Stats",
        &[
            ("paxos_proposals", number(status.counts.proposals)),
            ("paxos_batches", number(status.counts.batches)),
            ("paxos_syncs", number(status.counts.syncs)),
            ("paxos_applied", number(status.counts.applied)),
            ("paxos_campaigns", number(status.counts.campaigns)),
            ("paxos_snapshots", number(status.counts.snapshots)),
            ("paxos_installed", number(status.counts.installed)),
            ("paxos_waiting_proposals", status.waiting_proposals.to_string()),
            ("paxos_waiting_reads", status.waiting_reads.to_string()),
        ],
    );
    text
}
