//! Runs the example.

#[path = "../examples/own_store.rs"]
mod own_store;

use std::fs;

use own_store::OwnStore;
use paxos_store::StoreId;

#[test]
fn a_store_of_ones_own_keeps_the_contract() {
    own_store::main();
}

#[test]
fn a_damaged_store_is_not_opened() {
    let directory = tempfile::tempdir().expect("there is room");
    drop(OwnStore::create(directory.path(), StoreId(7)).expect("it can be made"));
    assert!(OwnStore::create(directory.path(), StoreId(8)).is_err(), "there is one already");
    let path = directory.path().join("store");
    let bytes = fs::read(&path).expect("it is there");
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, damaged).expect("there is room");
        assert!(OwnStore::open(directory.path()).is_err(), "bit {bit}");
    }
    fs::remove_file(path).expect("it is there");
    assert!(OwnStore::open(directory.path()).is_err());
}
