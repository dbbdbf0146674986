//! The commands of `beside-spin` and `beside-etcd` in all documents are accepted. They run for minutes, and need Spin or etcd.

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

#[test]
fn every_command_parses() {
    for binary in [BESIDE_SPIN, BESIDE_ETCD] {
        assert!(binary.parse_everywhere() >= 1, "the documents do not show {}", binary.path);
        assert!(binary.parse("--repeat 3").is_ok() && binary.parse("--repeats 3").is_err());
    }
}
