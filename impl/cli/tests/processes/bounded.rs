//! Disk and memory are bounded by the size of the state, not by the number of writes.

use std::{fs, thread};

use super::{clients::Reply, cluster::Cluster, process::eventually, storm::seed};

/// A workload of writes, and the limits on the disk and memory of each node.
struct Load {
    flags: &'static [&'static str],
    clients: usize,
    writes_of_each: usize,
    keys: usize,
    value_bytes: usize,
    disk_max: u64,
    memory_max: u64,
}

impl Load {
    fn run(&self) {
        let cluster =
            Cluster::formed(3, seed(), |_| self.flags.iter().copied().map(str::to_owned).collect());
        let leader = cluster.leader().expect("there is one");
        thread::scope(|scope| {
            for client in 0..self.clients {
                let mut node = cluster.connect(leader).expect("it runs");
                scope.spawn(move || {
                    for write in 0..self.writes_of_each {
                        let key = (write * self.clients + client) % self.keys;
                        let value = format!("{write:0width$}", width = self.value_bytes);
                        let reply = node.ask(&["SET", &key.to_string(), &value]);
                        assert_eq!(reply.expect("an answer"), Reply::Simple("OK".to_owned()));
                    }
                });
            }
        });
        let writes = (self.clients * self.writes_of_each) as u64;
        for id in cluster.ids() {
            let number = |name: &str| -> u64 {
                cluster.info(id).and_then(|info| info[name].parse().ok()).unwrap_or(0)
            };
            eventually("it has applied all of it", || number("paxos_applied_below") >= writes);
            let (disk, memory) = (number("paxos_disk_bytes"), memory_peak(number("process_id")));
            println!("node {id} after {writes} writes: disk {disk}, memory {memory}, in bytes");
            assert!(number("paxos_trimmed_below") > writes / 2, "it has trimmed little");
            assert!(disk <= self.disk_max && memory <= self.memory_max);
        }
    }
}

/// Returns the peak memory of a process in bytes.
fn memory_peak(process: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    peak.and_then(|kib| kib.trim().parse::<u64>().ok()).expect("a number of KiB") << 10
}

/// The writes add up to several times the limit of the disk.
#[test]
fn many_writes_leave_little_behind() {
    let flags = &["--snapshot-bytes", "262144"];
    let (clients, writes_of_each, keys, value_bytes) = (16, 1500, 100, 1000);
    let (disk_max, memory_max) = (6 << 20, 100 << 20);
    Load { flags, clients, writes_of_each, keys, value_bytes, disk_max, memory_max }.run();
}

#[test]
#[ignore = "a million entries of the log take about two minutes"]
fn a_million_writes_leave_little_behind() {
    let (clients, writes_of_each, keys, value_bytes) = (64, 15_625, 10_000, 16);
    let (flags, disk_max, memory_max) = (&[], 64 << 20, 256 << 20);
    Load { flags, clients, writes_of_each, keys, value_bytes, disk_max, memory_max }.run();
}
