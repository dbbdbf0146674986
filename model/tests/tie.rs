//! What is explored is what is proved.

use paxos_model::{proof::shipped, synod::{Bounds, Synod}, tie::synod::SynodTie};
#[test]
fn synod_is_its_text() {
    for ballots in [1,2,3] {
        let bounds = Bounds { acceptors: 3, values: 2, ballots, phase1_quorum: None, phase2_quorum: None };
        let synod = Synod::new(bounds).unwrap();
        let text = shipped("synod");
        let t = std::time::Instant::now();
        println!("{:?} {:?}", SynodTie::new(&synod, &text).compare_reachable(), t.elapsed());
    }
}
