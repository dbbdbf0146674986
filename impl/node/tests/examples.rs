//! Runs the examples.

#[path = "../examples/retrying_client.rs"]
mod retrying_client;

use retrying_client::cluster::{self as leader_change, counter::Counter};

use std::error::Error;

use paxos_node::typed::TypedClient;

#[test]
fn a_retrying_client_counts_each_command_once() -> Result<(), Box<dyn Error>> {
    retrying_client::main()
}

#[test]
fn a_change_of_leader_is_noticed() -> Result<(), Box<dyn Error>> {
    leader_change::main()
}

#[tokio::test]
async fn the_counter_is_replicated_and_survives_a_restart_of_all_nodes()
-> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    for expected in [[1, 3, 6], [7, 9, 12]] {
        let nodes = leader_change::three_nodes(directory.path()).await?;
        let mut sums = Vec::new();
        for (node, number) in nodes.iter().zip(1..) {
            leader_change::next_leader(&node.clients, None).await.expect("the node runs");
            let counter = TypedClient::<Counter>::from(node.clients.clone());
            sums.push(counter.propose(&number).await?);
            let read = counter.read(|counter| counter.0).await?;
            assert_eq!(Some(&read), sums.last(), "no other client adds");
        }
        assert_eq!(sums, expected);
        for node in nodes {
            node.clients.stop().await;
            node.stopped.await??;
        }
    }
    Ok(())
}
