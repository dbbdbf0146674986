//! A network that loses, repeats, delays and damages frames, and links that are cut, in one direction or both.
//!
//! A frame is bytes, so that it can be damaged. All random numbers come from the generator that the caller passes. The
//! order in which [`Network::send`] draws them is fixed: if it changed, a seed would lead to another run.

use std::{collections::BTreeSet, ops::RangeInclusive};

use paxos::NodeId;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// The generator of all random numbers of a run.
pub type Random = ChaCha8Rng;

/// The highest number of bits that damage flips. The checksum of a frame detects up to so many for certain.
const FLIPS_MAX: usize = 3;

/// The faults of a link. The probabilities lie between 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The probability that a copy is lost.
    pub loss: f64,
    /// The probability that a frame is sent twice.
    pub duplication: f64,
    /// The probability that bits of a copy flip.
    pub damage: f64,
    /// The range of the number of ticks that a copy takes. Copies may overtake each other if it has more than one
    /// number.
    pub delay: RangeInclusive<u64>,
}

impl Link {
    /// Returns a link without faults.
    pub fn calm(delay: RangeInclusive<u64>) -> Self {
        Self { loss: 0.0, duplication: 0.0, damage: 0.0, delay }
    }
}

/// One copy of a frame that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The number of ticks after which the copy arrives, or would have arrived.
    pub delay: u64,
    /// True for the second copy of a frame.
    pub again: bool,
    /// The bytes that arrive, damaged or not.
    pub frame: Result<Vec<u8>, Loss>,
}

/// The reason why a copy does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The copy was lost at random.
    Lost,
    /// The link was cut when the frame was sent.
    Cut,
}

/// All links between all nodes.
#[derive(Clone, Debug)]
pub struct Network {
    /// The faults that each link has.
    pub link: Link,
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Network {
    /// Returns a network without cuts.
    pub fn new(link: Link) -> Self {
        Self { link, cut: BTreeSet::new() }
    }

    /// Cuts the direction from one node to another.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Cuts all directions between nodes of different groups.
    pub fn partition(&mut self, groups: &[Vec<NodeId>]) {
        for (index, group) in groups.iter().enumerate() {
            let others = groups.iter().enumerate().filter(|(other, _)| *other != index);
            for other in others.flat_map(|(_, others)| others) {
                self.cut.extend(group.iter().map(|node| (*node, *other)));
            }
        }
    }

    /// Ends all cuts.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Returns true unless the direction is cut.
    pub fn connects(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// Sends a frame. Returns all copies, including those that do not arrive.
    ///
    /// The first draw decides the duplication. Then each copy draws its delay and its loss, and its damage if it
    /// arrives.
    pub fn send(
        &self,
        random: &mut Random,
        from: NodeId,
        to: NodeId,
        frame: &[u8],
    ) -> impl Iterator<Item = Copy> {
        let copies = if random.random_bool(self.link.duplication) { 2 } else { 1 };
        (0..copies).map(move |copy| {
            let delay = random.random_range(self.link.delay.clone());
            let lost = random.random_bool(self.link.loss);
            let frame = if !self.connects(from, to) {
                Err(Loss::Cut)
            } else if lost {
                Err(Loss::Lost)
            } else {
                Ok(self.carry(random, frame))
            };
            Copy { delay, again: copy > 0, frame }
        })
    }

    fn carry(&self, random: &mut Random, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        if random.random_bool(self.link.damage) {
            let flips = random.random_range(1..=FLIPS_MAX);
            let bits = 0..frame.len() * 8;
            // A bit that is drawn twice flips once, so that damage is never undone.
            let bits: BTreeSet<usize> =
                (0..flips).map(|_| random.random_range(bits.clone())).collect();
            for bit in bits {
                frame[bit / 8] ^= 1 << (bit % 8);
            }
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn send(network: &Network, seed: u64) -> Vec<Copy> {
        let random = &mut Random::seed_from_u64(seed);
        network.send(random, NODES[0], NODES[1], b"frame").collect()
    }

    fn network(loss: f64, duplication: f64, damage: f64) -> Network {
        Network::new(Link { loss, duplication, damage, delay: 2..=9 })
    }

    #[test]
    fn each_fault_happens_when_it_is_certain_and_not_when_it_is_impossible() {
        for seed in 0..100 {
            let [copy] = &send(&network(0.0, 0.0, 0.0), seed)[..] else { panic!("one copy") };
            assert!((2..=9).contains(&copy.delay) && !copy.again);
            assert_eq!(copy.frame.as_deref(), Ok(&b"frame"[..]));
            let twice = send(&network(0.0, 1.0, 0.0), seed);
            assert_eq!(twice.iter().map(|copy| copy.again).collect::<Vec<_>>(), [false, true]);
            assert_eq!(send(&network(1.0, 0.0, 0.0), seed)[0].frame, Err(Loss::Lost));
            let damaged = send(&network(0.0, 0.0, 1.0), seed).remove(0).frame.expect("it arrives");
            let flipped =
                damaged.iter().zip(b"frame").map(|(one, other)| (one ^ other).count_ones());
            assert!((1..=3).contains(&flipped.sum::<u32>()));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_copies() {
        let network = network(0.3, 0.3, 0.3);
        let all = || (0..100).map(|seed| send(&network, seed)).collect::<Vec<_>>();
        assert_eq!(all(), all());
        let mut kinds = all().concat().into_iter().map(|copy| copy.frame.is_ok());
        assert!(kinds.clone().any(|arrives| arrives) && kinds.any(|arrives| !arrives));
    }

    #[test]
    fn cuts_have_a_direction_and_partitions_have_both() {
        let [one, two, three] = NODES;
        let mut network = network(0.0, 0.0, 0.0);
        network.cut(one, two);
        assert!(!network.connects(one, two) && network.connects(two, one));
        assert_eq!(send(&network, 0)[0].frame, Err(Loss::Cut));
        network.heal();
        network.partition(&[vec![one], vec![two, three]]);
        for (from, to) in [(one, two), (one, three)] {
            assert!(!network.connects(from, to) && !network.connects(to, from));
        }
        assert!(network.connects(two, three) && network.connects(three, two));
    }
}
