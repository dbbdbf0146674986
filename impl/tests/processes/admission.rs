//! Who is let in: nodes of this cluster that have their memory.

use std::fs;

use super::{cluster::Cluster, process::eventually, storm::seed};

#[test]
fn a_node_that_has_lost_its_data_is_refused() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    cluster.kill(2);
    fs::remove_dir_all(cluster.data(2)).expect("it was there");
    let ended = cluster.start_with(2, &[]).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("refuses this node"), "{}", ended.log);
    assert!(ended.log.contains("node 2 was here before with another store"), "{}", ended.log);
    // The others go on without it.
    eventually("the others go on", || {
        cluster.connect(1).is_some_and(|mut node| node.ask(&["SET", "key", "value"]).is_ok())
    });
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let mut cluster = Cluster::new(3, seed(), |id| {
        let name = if id == 3 { "theirs" } else { "ours" };
        vec!["--cluster".to_owned(), name.to_owned()]
    });
    cluster.start_all();
    let reason = "it belongs to cluster `ours`, not `theirs`";
    let line = cluster.process(1).line(reason);
    assert!(line.is_some(), "{}", cluster.process(1).log());
    let reason = "it belongs to cluster `theirs`, not `ours`";
    let line = cluster.process(3).line(reason);
    assert!(line.is_some(), "{}", cluster.process(3).log());
    // Two have met, which is not all: nobody takes part.
    let missing = |id| cluster.info(id).map(|info| info["paxos_role"].clone());
    assert_eq!(missing(1).as_deref(), Some("forming"));
}
