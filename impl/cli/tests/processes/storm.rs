//! A storm: random faults in a cluster under load, and the checks after it.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rand::{
    RngExt as _, SeedableRng as _,
    seq::{IndexedRandom as _, IteratorRandom as _},
};
use rand_chacha::ChaCha8Rng;

use super::{
    check,
    clients::{Connection, History, Reply, Workload},
    cluster::Cluster,
    history::{Answer, Clock, Operation, Request},
    process::{PATIENCE, PAUSE, eventually},
    proxy::{Direction, Weather},
};

/// A fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A node is killed, and started again later.
    Kill,
    /// All nodes are killed at once.
    KillAll,
    /// A node is stopped in order, and started again later.
    Stop,
    /// A node is killed, and stays away until all others have trimmed slots that it lacks. A storm with it has one fault at a time.
    Absence,
    /// A node is paused for some time.
    Pause,
    /// All links to and from a node fail.
    Isolate(Weather),
    /// The link from one node to another fails, in one direction.
    OneWay(Weather),
    /// A link flips bits.
    Damage,
}

/// The end of a fault.
enum Remedy {
    Start(Vec<u32>),
    Resume(u32),
    Restore(Vec<Direction>),
}

pub(crate) struct Storm {
    pub(crate) nodes: u32,
    /// The number of nodes that are down all the time.
    pub(crate) down: u32,
    pub(crate) faults: &'static [Fault],
    /// The highest number of faults at once.
    pub(crate) at_once: usize,
    pub(crate) flags: fn(u32) -> &'static [&'static str],
}

impl Default for Storm {
    fn default() -> Self {
        Self { nodes: 3, down: 0, faults: &[], at_once: 1, flags: |_| &[] }
    }
}

/// Timeouts that are short enough for several elections within a test, and long enough for a busy machine.
const FLAGS: [&str; 4] = ["--election-timeout-ms", "400", "--request-timeout-ms", "2000"];

/// Returns the seed of a test and prints it. With the same seed a test makes the same random choices, but processes
/// may be scheduled differently.
pub(crate) fn seed() -> u64 {
    let given = env::var("PAXOS_SEED").ok();
    let seed =
        given.map_or_else(rand_from_system, |seed| seed.parse().expect("PAXOS_SEED is a number"));
    println!("PAXOS_SEED={seed} repeats this");
    seed
}

fn rand_from_system() -> u64 {
    getrandom::u64().expect("the system has randomness")
}

fn duration() -> Duration {
    let given = env::var("PAXOS_STORM_SECONDS").ok();
    let given = given.map(|seconds| seconds.parse().expect("PAXOS_STORM_SECONDS is a number"));
    Duration::from_secs(given.unwrap_or(6))
}

/// Returns the flags with which the nodes of this test record, if the environment has a directory for recordings.
fn recording() -> Vec<String> {
    let Some(directory) = env::var_os("PAXOS_RECORDINGS") else { return Vec::new() };
    let test = thread::current().name().unwrap_or("storm").replace("::", "-");
    let directory = Path::new(&directory).join(test);
    vec!["--record".to_owned(), directory.display().to_string()]
}

impl Storm {
    /// Runs the storm, and checks the cluster and the histories afterwards.
    pub(crate) fn rage(&self) {
        let has_absence = self.faults.iter().any(|fault| matches!(fault, Fault::Absence));
        assert!(!has_absence || self.at_once == 1, "the others must be able to go on");
        let seed = seed();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut cluster = Cluster::formed(self.nodes, seed, |id| {
            // A flag may be given only once, so the storm's own flags replace the usual ones.
            let own = (self.flags)(id);
            let usual = FLAGS.chunks(2).filter(|flag| !own.contains(&flag[0])).flatten();
            usual.chain(own).map(|&word| word.to_owned()).chain(recording()).collect()
        });
        let workload = Workload::start(&cluster.addresses, 4, seed);
        for id in cluster.ids().sample(&mut random, self.down as usize) {
            cluster.kill(id);
        }
        let start = Instant::now();
        let mut remedies = Vec::new();
        while start.elapsed() < duration() {
            thread::sleep(Duration::from_millis(random.random_range(50..800)));
            cluster.assert_no_node_has_ended();
            let full = remedies.len() >= self.at_once;
            if full || !remedies.is_empty() && random.random() {
                let chosen = random.random_range(0..remedies.len());
                apply(remedies.swap_remove(chosen), &mut cluster);
            } else if let Some(fault) = self.faults.choose(&mut random) {
                remedies.extend(begin(*fault, &mut cluster, &mut random));
            }
        }
        cluster.heal();
        // The clients continue until every node answers, so that they also ask the nodes that come back.
        eventually("every node answers", || {
            cluster.ids().all(|id| cluster.connect(id).is_some_and(|mut node| answers(&mut node)))
        });
        let clock = workload.clock.clone();
        let history = workload.finish();
        cluster.assert_no_node_has_ended();
        verify(&cluster, &clock, history);
    }
}

fn answers(node: &mut Connection) -> bool {
    matches!(node.ask(&["SET", "healed", "yes"]), Ok(Reply::Simple(_)))
}

fn begin(fault: Fault, cluster: &mut Cluster, random: &mut ChaCha8Rng) -> Option<Remedy> {
    let up: Vec<_> = cluster.ids().filter(|&id| cluster.is_up(id)).collect();
    // Faults of leaders have more effect, so the leader is chosen half of the time.
    let victim = cluster.leader().filter(|_| random.random());
    let victim = victim.or_else(|| up.choose(random).copied())?;
    println!("{fault:?}, of node {victim} if it is about one");
    let over = |cluster: &mut Cluster, directions: Vec<Direction>, weather| {
        for &direction in &directions {
            cluster.network.set(direction, weather);
        }
        Some(Remedy::Restore(directions))
    };
    match fault {
        Fault::Kill => {
            cluster.kill(victim);
            Some(Remedy::Start(vec![victim]))
        }
        Fault::KillAll => {
            for &id in &up {
                cluster.kill(id);
            }
            Some(Remedy::Start(up))
        }
        Fault::Stop => {
            let ended = cluster.stop(victim);
            assert_eq!(ended.code, Some(0), "node {victim} was stopped:\n{}", ended.log);
            Some(Remedy::Start(vec![victim]))
        }
        Fault::Absence => {
            let below = |cluster: &Cluster, id, name: &str| {
                cluster.info(id).map(|info| info[name].parse::<u64>().expect("a slot"))
            };
            let known = below(cluster, victim, "paxos_chosen_below")?;
            cluster.kill(victim);
            let cluster = &*cluster;
            let trimmed =
                |id| below(cluster, id, "paxos_trimmed_below").is_some_and(|it| it > known);
            eventually("all others have trimmed what it lacks", || {
                up.iter().filter(|id| **id != victim).all(|id| trimmed(*id))
            });
            Some(Remedy::Start(vec![victim]))
        }
        Fault::Pause => {
            cluster.pause(victim);
            Some(Remedy::Resume(victim))
        }
        Fault::Isolate(weather) => {
            let directions = cluster.network.around(victim).collect();
            over(cluster, directions, weather)
        }
        Fault::OneWay(weather) => {
            let direction = cluster.network.around(victim).choose(random)?;
            over(cluster, vec![direction], weather)
        }
        Fault::Damage => {
            let direction = cluster.network.around(victim).choose(random)?;
            over(cluster, vec![direction], Weather::Damaging { one_of: 10 })
        }
    }
}

fn apply(remedy: Remedy, cluster: &mut Cluster) {
    match remedy {
        Remedy::Start(nodes) => nodes.into_iter().for_each(|id| cluster.start(id)),
        Remedy::Resume(id) => cluster.resume(id),
        Remedy::Restore(directions) => {
            for direction in directions {
                cluster.network.set(direction, Weather::Fair);
            }
        }
    }
}

/// Checks that all nodes have the same values, and that the history of each key is linearizable.
fn verify(cluster: &Cluster, clock: &Clock, mut history: History) {
    let answered =
        history.values().flatten().filter(|operation| operation.returned.is_some()).count();
    let asked = history.values().map(Vec::len).sum::<usize>();
    println!("{answered} of {asked} operations on {} keys were answered", history.len());
    assert!(answered > 0, "nothing was answered");

    let keys: Vec<String> = history.keys().cloned().collect();
    let mut values = BTreeMap::new();
    for id in cluster.ids() {
        let invoked = clock.tick();
        let found = contents(cluster, id, &keys);
        let returned = clock.tick();
        for (key, value) in keys.iter().zip(found) {
            let answer = Answer::Value(value.clone());
            let read =
                Operation { request: Request::Get, invoked, returned: Some((returned, answer)) };
            history.get_mut(key).expect("asked about").push(read);
            let first = values.entry(key).or_insert_with(|| value.clone());
            assert_eq!(*first, value, "node {id} holds another value of {key}");
        }
    }
    let applied = || cluster.ids().map(|id| Some(cluster.info(id)?["paxos_applied_below"].clone()));
    eventually("all have applied as much", || {
        let mut all = applied();
        let first = all.next().flatten();
        first.is_some() && all.all(|applied| applied == first)
    });

    for (key, operations) in &history {
        if key.starts_with("text") {
            assert_each_once(key, operations, values[key].as_deref().unwrap_or_default());
        }
        assert!(check::is_linearizable(operations), "{key} is not linearizable: {operations:#?}");
    }
}

/// Returns the values of these keys at a node. Waits if the node has to catch up.
fn contents(cluster: &Cluster, id: u32, keys: &[String]) -> Vec<Option<String>> {
    let start = Instant::now();
    let request: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    loop {
        let reply = cluster.connect(id).map(|mut node| node.ask(&request));
        if let Some(Ok(Reply::Array(values))) = reply {
            let value = |reply| match reply {
                Reply::Bulk(value) => Some(value),
                _ => None,
            };
            return values.into_iter().map(value).collect();
        }
        assert!(start.elapsed() < PATIENCE, "node {id} does not answer: {reply:?}");
        thread::sleep(PAUSE);
    }
}

/// Asserts that each acknowledged append is there once, and that no append is there twice.
fn assert_each_once(key: &str, operations: &[Operation], value: &str) {
    let mut count = BTreeMap::<&str, usize>::new();
    for token in value.split_inclusive(';') {
        *count.entry(token).or_default() += 1;
    }
    for operation in operations {
        let Request::Append(token) = &operation.request else { continue };
        let times = count.remove(token.as_str()).unwrap_or(0);
        assert!(times <= 1, "{token} was applied {times} times: {key} is {value}");
        let acknowledged = operation.returned.is_some();
        assert!(
            times == 1 || !acknowledged,
            "{token} was acknowledged, and is lost: {key} is {value}"
        );
    }
    assert!(count.is_empty(), "no client has asked for {count:?}: {key} is {value}");
}
