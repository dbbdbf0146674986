//! Runs the example.

#[path = "../examples/agreement.rs"]
mod agreement;

use std::collections::BTreeSet;

use paxos::Value;

#[test]
fn all_nodes_learn_one_of_the_options_despite_losses() {
    agreement::main();
    let mut all = BTreeSet::new();
    for (loss, seed) in
        [0, 10, 50].into_iter().flat_map(|loss| (0..50).map(move |seed| (loss, seed)))
    {
        let chosen = agreement::agree(["tea", "coffee", "water"], loss, seed);
        let [Value::Command(first), ..] = &chosen[..] else { panic!("{chosen:?}") };
        assert!(
            chosen.iter().all(|value| *value == chosen[0]),
            "loss {loss}, seed {seed}: {chosen:?}"
        );
        all.insert(first.clone());
    }
    assert_eq!(
        all,
        BTreeSet::from(["coffee", "tea", "water"].map(|option| option.as_bytes().into()))
    );
}
