//! Cuts of the network in which packets are dropped and no connection is reset, as by a broken switch or a firewall.
//! Service has to be back soon after the end of a cut, however long the cut was.

use std::{
    env,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use paxos::{NodeId, To};
use paxos_node::{Packet, Transport as _, tcp::Addresses};

use super::{
    clients::Reply,
    cluster::Cluster,
    member::{Member, addresses, listen},
    namespace::Namespace,
    process::{PATIENCE, PAUSE, eventually},
    proxy::Direction,
    storm::seed,
};

/// The length of a cut, unless `PAXOS_CUT_SECONDS` sets another. TCP by itself sends a lost segment again after about 0.2,
/// 0.5, 1.5, 3, 6.5, 13 and 26 seconds. A connection that is left to TCP is therefore back 12 seconds after such a cut.
const CUT: Duration = Duration::from_secs(14);

/// The time within which service has to be back. On an idle machine it is back in less than 2 seconds. A machine that is busy
/// with other tests gets more time, but less than TCP by itself would need.
const BACK_WITHIN: Duration = Duration::from_secs(10);

fn length() -> Duration {
    let given = env::var("PAXOS_CUT_SECONDS").ok();
    let given = given.map(|seconds| seconds.parse().expect("PAXOS_CUT_SECONDS is a number"));
    given.map_or(CUT, Duration::from_secs_f64)
}

/// The directions between the two ends of a cut in which packets are dropped.
#[derive(Clone, Copy, Debug)]
enum Dropped {
    There,
    Back,
    Both,
}

/// The nodes of three whose link is cut. The killed node is the third.
#[derive(Clone, Copy, Debug)]
enum Ends {
    LeaderAndFollower,
    Followers,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    ends: Ends,
    dropped: Dropped,
    kills_third: bool,
}

const CASES: [Case; 9] = {
    use Dropped::{Back, Both, There};
    use Ends::{Followers, LeaderAndFollower};
    [
        Case { ends: LeaderAndFollower, dropped: Both, kills_third: false },
        Case { ends: LeaderAndFollower, dropped: There, kills_third: false },
        Case { ends: LeaderAndFollower, dropped: Back, kills_third: false },
        Case { ends: LeaderAndFollower, dropped: Both, kills_third: true },
        Case { ends: LeaderAndFollower, dropped: There, kills_third: true },
        Case { ends: LeaderAndFollower, dropped: Back, kills_third: true },
        Case { ends: Followers, dropped: Both, kills_third: true },
        Case { ends: Followers, dropped: There, kills_third: true },
        Case { ends: Followers, dropped: Back, kills_third: true },
    ]
};

/// All cases run at once, because they wait for most of the time.
#[test]
fn service_is_back_soon_after_a_silent_cut() {
    let test = "cuts::service_is_back_soon_after_a_silent_cut";
    let Some(namespace) = Namespace::enter(test) else { return };
    let (seed, length) = (seed(), length());
    let run = |(number, case): (usize, Case)| case.run(&namespace, number as u8 + 1, seed, length);
    let times = thread::scope(|scope| {
        let runs: Vec<_> =
            CASES.into_iter().enumerate().map(|case| scope.spawn(move || run(case))).collect();
        runs.into_iter().map(|run| run.join().expect("no case panics")).collect::<Vec<_>>()
    });
    for (case, time) in CASES.iter().zip(&times) {
        println!("{time:.2?} after a cut of {length:?}: {case:?}");
    }
    let slowest = times.iter().max().expect("there are cases");
    assert!(
        *slowest < BACK_WITHIN,
        "service was back only {slowest:.2?} after a cut of {length:?}"
    );
}

impl Case {
    /// Returns the time from the end of the cut until each running node has answered a write.
    fn run(self, namespace: &Namespace, number: u8, seed: u64, length: Duration) -> Duration {
        let listen = |id| format!("0.0.0.0:{}", Namespace::address(number, (id, id)).port());
        let address = |direction| Namespace::address(number, direction);
        let mut cluster =
            Cluster::without_proxies(3, seed + u64::from(number), listen, address, |_| Vec::new());
        cluster.form();
        let leader = cluster.leader().expect("a leader was just seen");
        let followers: Vec<_> = cluster.ids().filter(|&id| id != leader).collect();
        let (one, other, third) = match self.ends {
            Ends::LeaderAndFollower => (leader, followers[0], followers[1]),
            Ends::Followers => (followers[0], followers[1], leader),
        };
        let (there, back) = ((one, other), (other, one));
        let directions: &[Direction] = match self.dropped {
            Dropped::There => &[there],
            Dropped::Back => &[back],
            Dropped::Both => &[there, back],
        };
        for id in cluster.ids() {
            write(&cluster, id, "before");
        }
        for &direction in directions {
            namespace.cut(number, direction);
        }
        thread::sleep(length / 2);
        if self.kills_third {
            cluster.kill(third);
        }
        thread::sleep(length / 2);
        for &direction in directions {
            namespace.join(number, direction);
        }
        let end = Instant::now();
        let living: Vec<_> = cluster.ids().filter(|&id| cluster.is_up(id)).collect();
        let cluster_ref = &cluster;
        thread::scope(|scope| {
            for &id in &living {
                scope.spawn(move || write(cluster_ref, id, "after"));
            }
        });
        let time = end.elapsed();
        let peers = living.len() - 1;
        eventually("no half-open connection is left", || {
            living.iter().all(|&id| namespace.received(number, id) == peers)
        });
        cluster.assert_no_node_has_ended();
        time
    }
}

/// Writes at a node until a write is confirmed.
fn write(cluster: &Cluster, id: u32, value: &str) {
    let start = Instant::now();
    loop {
        let reply =
            cluster.connect(id).map(|mut node| node.ask(&["SET", &format!("key of {id}"), value]));
        if let Some(Ok(Reply::Simple(_))) = reply {
            return;
        }
        assert!(start.elapsed() < 3 * PATIENCE, "node {id} does not serve: {reply:?}");
        thread::sleep(PAUSE);
    }
}

/// A large frame on a slow link takes much longer than the acknowledgement timeout. It arrives nevertheless, on the
/// connection on which it was sent.
#[test]
fn a_slow_link_is_no_cut() {
    const BYTES_PER_SECOND: usize = 256 << 10;
    let Some(namespace) = Namespace::enter("cuts::a_slow_link_is_no_cut") else { return };
    if let Err(reason) = namespace.slow_down(BYTES_PER_SECOND) {
        println!(
            "cuts::a_slow_link_is_no_cut did NOT run: the link cannot be slowed down: {reason}"
        );
        return;
    }
    let [(sender, sends_from), (receiver, receives_at)] = [listen(), listen()];
    let quick = |addresses| Addresses { ack_timeout: Duration::from_secs(1), ..addresses };
    let mut sender = Member::start(quick(addresses(1, [(2, receives_at)])), sender);
    let receiver = Member::start(quick(addresses(2, [(1, sends_from)])), receiver);
    let status = |member: &Member| member.runtime.block_on(member.handle.status());
    let formed = |member: &Member| status(member).is_some_and(|status| status.missing.is_empty());
    eventually("both have met", || formed(&sender) && formed(&receiver));
    // The receiver does not lead, so that it drops a forwarded command.
    let frame = Packet::Forward(vec![Bytes::from(vec![7; 8 * BYTES_PER_SECOND])]);
    let kind = frame.kind();
    let start = Instant::now();
    sender.transport.send(To::Node(NodeId(2)), frame);
    eventually("the frame has arrived", || {
        status(&receiver).is_some_and(|status| status.counts.received[kind] == 1)
    });
    println!("arrived after {:.2?}", start.elapsed());
    assert!(start.elapsed() > Duration::from_secs(4), "the link is not slow");
    for member in [&sender, &receiver] {
        assert_eq!(member.traffic.connected.load(Ordering::Relaxed), 1);
        assert_eq!(member.traffic.unacknowledged.load(Ordering::Relaxed), 0);
    }
}
