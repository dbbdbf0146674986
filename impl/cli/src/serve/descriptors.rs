//! The limit of open files, divided between clients, peers and metrics.
//!
//! If clients used up all descriptors, the node could not connect to its peers and would drop out of its cluster.
//! Therefore some descriptors are reserved for the store, the peers and the metrics, and the clients get the rest.

use std::fs;

use paxos_node::tcp::HANDSHAKES_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of descriptors for each peer: a connection in each direction, and for each a new one while the old one ends.
const FOR_EACH_PEER: u64 = 4;
/// The assumed number of open descriptors, without peers and clients, on a system that does not report it.
const OPEN_USUALLY: u64 = 24;
/// The number of descriptors for short uses, such as a snapshot or the look-up of a name.
const SPARE: u64 = 8;

/// The highest number of connections of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) clients: usize,
    /// Connections from peers that have not finished their handshake.
    pub(super) handshakes: usize,
    pub(super) metrics: usize,
}

/// Raises the limit of open files as far as the process may, and divides the free descriptors. Logs a warning if
/// clients get fewer than `clients_wanted`.
pub(super) fn divide(peers: usize, clients_wanted: usize) -> Shares {
    let limit = raised();
    let open = fs::read_dir("/proc/self/fd").map_or(OPEN_USUALLY, |files| files.count() as u64);
    let shares = shares(limit, open, peers as u64, clients_wanted);
    if shares.clients < clients_wanted {
        tracing::warn!(
            open_files_max = limit.unwrap_or_default(),
            clients_max = shares.clients,
            wanted = clients_wanted,
            "the limit of open files allows fewer clients than --clients-max; raise it with `ulimit -n`"
        );
    }
    shares
}

/// Raises the limit of open files and returns it, or `None` if there is no limit.
fn raised() -> Option<u64> {
    let limits = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }) {
        Ok(()) => limits.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            limits.current
        }
    }
}

fn shares(limit: Option<u64>, open: u64, peers: u64, clients_wanted: usize) -> Shares {
    let reserved = open + SPARE + peers * FOR_EACH_PEER;
    let free = limit.unwrap_or(u64::MAX).saturating_sub(reserved);
    // A stranger may hold all connections of these two kinds, so each kind gets a small part.
    let handshakes = (free / 8).clamp(2, HANDSHAKES_MAX as u64);
    let metrics = (free / 16).clamp(1, 16);
    let clients = free.saturating_sub(handshakes + metrics).max(1);
    let clients = usize::try_from(clients).unwrap_or(usize::MAX).min(clients_wanted);
    Shares { clients, handshakes: handshakes as usize, metrics: metrics as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_the_rest() {
        let clients = |limit, peers| shares(limit, 24, peers, 10_000).clients;
        assert_eq!(clients(None, 2), 10_000);
        assert_eq!(clients(Some(1 << 20), 8), 10_000);
        assert_eq!(clients(Some(64), 2), 64 - (24 + 8 + 8) - 3 - 1);
        assert_eq!(clients(Some(10), 2), 1, "a limit that is too low leaves one client");
    }

    #[test]
    fn all_shares_fit_into_the_limit() {
        for (limit, peers) in (48..2000).flat_map(|limit| [(limit, 0), (limit, 2), (limit, 8)]) {
            let Shares { clients, handshakes, metrics } =
                shares(Some(limit), 24, peers, usize::MAX);
            let reserved = 24 + SPARE + peers * FOR_EACH_PEER;
            let all = reserved + (clients + handshakes + metrics) as u64;
            assert!(all <= limit.max(reserved + 4), "{limit} open files, {peers} peers");
        }
    }
}
