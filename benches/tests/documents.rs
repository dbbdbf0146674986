//! The commands in all documents that compare and measure servers and Spin are accepted. They run for minutes, and need
//! Spin, etcd or redis-benchmark.

#[path = "../../model/paxos-model/tests/support/documents.rs"]
mod support;

use support::Binary;

const BESIDE_SPIN: Binary = Binary {
    path: env!("CARGO_BIN_EXE_beside-spin"),
    starts: &[
        ("cargo run --profile dist -p paxos-benches --bin beside-spin -- ", ""),
        ("target/dist/beside-spin ", ""),
        ("beside-spin ", ""),
    ],
    only_parsed: &[],
};
const BESIDE_ETCD: Binary = Binary {
    path: env!("CARGO_BIN_EXE_beside-etcd"),
    starts: &[
        ("cargo run --profile dist -p paxos-benches --bin beside-etcd -- ", ""),
        ("target/dist/beside-etcd ", ""),
        ("beside-etcd ", ""),
    ],
    only_parsed: &[],
};
const BESIDE_CEILING: Binary = Binary {
    path: env!("CARGO_BIN_EXE_beside-ceiling"),
    starts: &[("target/dist/beside-ceiling ", ""), ("beside-ceiling ", "")],
    only_parsed: &[],
};
const BESIDE_RECORDING: Binary = Binary {
    path: env!("CARGO_BIN_EXE_beside-recording"),
    starts: &[("target/dist/beside-recording ", ""), ("beside-recording ", "")],
    only_parsed: &[],
};
const SNAPSHOT_PAUSE: Binary = Binary {
    path: env!("CARGO_BIN_EXE_snapshot-pause"),
    starts: &[("target/dist/snapshot-pause ", ""), ("snapshot-pause ", "")],
    only_parsed: &[],
};

const CATCH_UP: Binary = Binary {
    path: env!("CARGO_BIN_EXE_catch-up"),
    starts: &[("target/dist/catch-up ", ""), ("catch-up ", "")],
    only_parsed: &[],
};

#[test]
fn every_command_parses() {
    for (binary, option) in [
        (BESIDE_SPIN, "--repeat"),
        (BESIDE_ETCD, "--repeat"),
        (BESIDE_CEILING, "--repeat"),
        (BESIDE_RECORDING, "--repeat"),
        (SNAPSHOT_PAUSE, "--snapshots"),
        (CATCH_UP, "--link"),
    ] {
        assert!(binary.parse_everywhere() >= 1, "the documents do not show {}", binary.path);
        assert!(binary.parse(&format!("{option} 3")).is_ok());
        assert!(binary.parse(&format!("{option}x 3")).is_err());
    }
}
