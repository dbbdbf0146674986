//! Admission: a node may take part if it belongs to the cluster and still has its store.

use std::{fs, path::Path};

use super::{
    cluster::Cluster,
    process::{eventually, run},
    storm::seed,
};

#[test]
fn a_node_that_has_lost_its_data_is_refused() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    cluster.kill(2);
    fs::remove_dir_all(cluster.data(2)).expect("it was there");
    let ended = cluster.start_with(2, &[]).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("refuses this node"), "{}", ended.log);
    assert!(ended.log.contains("node 2 was here before with another store"), "{}", ended.log);
    the_others_go_on(&cluster);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory for a copy");
    for file in fs::read_dir(from).expect("a directory") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}

fn has_met_the_others(cluster: &Cluster, id: u32) {
    eventually("it has met the others again", || {
        let info = cluster.info(id).unwrap_or_default();
        info.get("paxos_leader").is_some_and(|leader| leader != "unknown")
    });
}

/// The copy of a store is made between the first and the second start of its node. The node is refused however often it is
/// started with the copy, both while the other nodes run and after starts without them.
#[test]
fn a_node_with_an_older_copy_of_its_data_is_refused() {
    for away in [false, true] {
        let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
        cluster.kill(2);
        let data = cluster.data(2).clone();
        let kept = data.with_extension("kept");
        copy(&data, &kept);
        cluster.start(2);
        has_met_the_others(&cluster, 2);
        cluster.kill(2);
        fs::remove_dir_all(&data).expect("it was there");
        copy(&kept, &data);
        if away {
            for id in [1, 3] {
                cluster.kill(id);
            }
            for _ in 0..3 {
                cluster.start(2);
                cluster.kill(2);
            }
            for id in [1, 3] {
                cluster.start(id);
            }
        }
        let ended = cluster.start_with(2, &[]).wait();
        assert_eq!(ended.code, Some(2), "{}", ended.log);
        let reason = "node 2 was here before in start 2 of its store, of which it does not know";
        assert!(ended.log.contains(reason), "{}", ended.log);
        for _ in 0..3 {
            let ended = cluster.start_with(2, &[]).wait();
            assert_eq!(ended.code, Some(2), "{}", ended.log);
            assert!(ended.log.contains("this node may not come back with this store"));
        }
        the_others_go_on(&cluster);
    }
}

/// Of two nodes with copies of one store, the node that starts later is admitted, and the other node ends.
#[test]
fn a_node_ends_when_a_second_one_starts_with_a_copy_of_its_store() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    has_met_the_others(&cluster, 2);
    let data = cluster.data(2).clone();
    let second = data.with_extension("second");
    copy(&data, &second);
    let _second = cluster.start_copy(2, &second);
    let ended = cluster.ended(2);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("node 2 was here before in start 2 of its store"), "{}", ended.log);
    the_others_go_on(&cluster);
}

fn the_others_go_on(cluster: &Cluster) {
    eventually("the others go on", || {
        cluster.connect(1).is_some_and(|mut node| node.ask(&["SET", "key", "value"]).is_ok())
    });
}

#[test]
fn a_node_with_the_data_of_another_one_does_not_start() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    cluster.kill(1);
    cluster.kill(2);
    let others = cluster.data(1).clone();
    for (ended, remedy) in [
        (cluster.start_copy(2, &others).wait(), "start it with --id 1, or choose another --data"),
        (cluster.start_with(1, &["--cluster", "b"]).wait(), "start it with --cluster paxos, or"),
    ] {
        assert_eq!(ended.code, Some(2), "{}", ended.log);
        assert!(ended.log.contains(remedy), "{}", ended.log);
    }
}

#[test]
fn a_node_with_other_members_in_its_settings_does_not_start() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    cluster.kill(1);
    let ended = cluster.start_with(1, &["--peer", "4=127.0.0.1:1"]).wait();
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    let reason =
        "the store is of a cluster of nodes 1, 2, 3; this node was told that they are 1, 2, 3, 4";
    assert!(ended.log.contains(reason), "{}", ended.log);
    // As a cluster of one it would lead at once.
    let data = cluster.data(1).display().to_string();
    let address = "127.0.0.1:0";
    let alone = ["serve", "--id", "1", "--data", &data, "--listen", address, "--client", address];
    let ended = run(alone);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("this node was told that they are 1. Members"), "{}", ended.log);
    cluster.start(1);
    the_others_go_on(&cluster);
}

/// New nodes with different members in their settings form no cluster until the settings are corrected.
#[test]
fn nodes_with_different_members_in_their_settings_do_not_meet() {
    let mut cluster = Cluster::new(3, seed(), |id| {
        let more = if id == 3 { &["--peer", "4=127.0.0.1:1"][..] } else { &[] };
        more.iter().map(ToString::to_string).collect()
    });
    cluster.start_all();
    let reason =
        "node 3 was told that the members are 1, 2, 3, 4, and node 1 that they are 1, 2, 3";
    let line = cluster.process(1).line(reason);
    assert!(line.is_some(), "{}", cluster.process(1).log());
    eventually("it has still to meet the third", || {
        cluster.info(1).is_some_and(|info| info["paxos_missing"] == "3")
    });
    cluster.kill(3);
    cluster.forget(3, &["--peer", "4=127.0.0.1:1"]);
    cluster.start(3);
    cluster.wait_for_leader();
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
    // Only two of three have met, so no node takes part.
    let missing = |id| cluster.info(id).map(|info| info["paxos_role"].clone());
    assert_eq!(missing(1).as_deref(), Some("forming"));
}
