//! Snapshots for a node that was down while its peers trimmed the slots that it lacks.

use super::{cluster::Cluster, process::eventually, storm::seed};

fn number(cluster: &Cluster, id: u32, name: &str) -> u64 {
    let info = cluster.info(id);
    info.and_then(|info| info.get(name)?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_node_that_was_down_for_long_gets_a_snapshot() {
    let flags = |_| ["--snapshot-bytes", "2048"].map(str::to_owned).to_vec();
    let mut cluster = Cluster::formed(3, seed(), flags);
    cluster.kill(3);
    let behind = number(&cluster, 1, "paxos_applied_below");
    let mut key = 0;
    eventually("the others have trimmed slots that the third lacks", || {
        for _ in 0..20 {
            key += 1;
            let _ =
                cluster.connect(1).map(|mut node| node.ask(&["SET", &key.to_string(), "value"]));
        }
        [1, 2].iter().all(|&id| number(&cluster, id, "paxos_trimmed_below") > behind)
    });
    cluster.start(3);
    eventually("it has a snapshot of another", || number(&cluster, 3, "paxos_installed") > 0);
    let last = cluster.connect(1).expect("it runs").ask(&["GET", &key.to_string()]);
    eventually("it answers as the others do", || {
        cluster.connect(3).and_then(|mut node| node.ask(&["GET", &key.to_string()]).ok())
            == last.as_ref().ok().cloned()
    });
}
