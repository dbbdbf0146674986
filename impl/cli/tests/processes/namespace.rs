//! A network of its own for a test, in which packets can be dropped.
//!
//! The test starts itself again in new user, network and process namespaces. When that process ends, for whatever reason, the
//! kernel removes the namespaces with everything in them, so there is nothing to clean up.

use std::{
    env, fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use super::proxy::Direction;

/// Set in the process that runs inside the namespaces.
const INSIDE: &str = "PAXOS_IN_NAMESPACE";

/// The commands that a test needs, beside `unshare`.
const TOOLS: [&str; 2] = ["ip", "nft"];

/// The kernel drops packets to and from these addresses on arrival. The sender does not notice.
const RULES: &str = "
    add table ip cuts
    add set ip cuts to { type ipv4_addr; }
    add set ip cuts from { type ipv4_addr; }
    add chain ip cuts arriving { type filter hook prerouting priority -300; policy accept; }
    add rule ip cuts arriving ip daddr @to drop
    add rule ip cuts arriving ip saddr @from drop
";

/// The network of the namespace: a loopback interface and a packet filter.
pub(crate) struct Namespace(());

#[expect(clippy::unused_self, reason = "only inside a namespace may the network be changed")]
impl Namespace {
    /// Runs the calling test, whose full name is `test`, again in a process inside a new namespace. In the inner process,
    /// returns the namespace, and the caller does its work. In the outer process, returns `None` after the inner process has
    /// succeeded, or if the machine has no such namespaces.
    pub(crate) fn enter(test: &str) -> Option<Self> {
        if env::var_os(INSIDE).is_some() {
            run("ip", &["link", "set", "lo", "up"], "").expect("a loopback interface");
            run("nft", &["-f", "-"], RULES).expect("a packet filter");
            return Some(Self(()));
        }
        if let Err(reason) = available() {
            println!("{test} did NOT run: {reason}");
            return None;
        }
        let mut command = unshare();
        command.arg(env::current_exe().expect("the path of this program"));
        command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
        let output = command.output().expect("unshare was just run");
        print!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{test} has failed in its namespace");
        None
    }

    /// Returns the address at which `from` finds `to` in cluster `cluster`. Each direction has an address of its own, by
    /// which the packet filter recognises its connections.
    pub(crate) fn address(cluster: u8, (from, to): Direction) -> SocketAddr {
        let host = Ipv4Addr::new(127, cluster, from as u8, to as u8);
        SocketAddr::from((host, 7100 + 100 * u16::from(cluster) + to as u16))
    }

    /// Drops all packets from `from` to `to`, on the connections that `from` makes and on the connections that `to` makes.
    pub(crate) fn cut(&self, cluster: u8, direction: Direction) {
        self.change("add", cluster, direction);
    }

    /// Delivers packets from `from` to `to` again.
    pub(crate) fn join(&self, cluster: u8, direction: Direction) {
        self.change("delete", cluster, direction);
    }

    /// Lets all packets pass at this rate, in bytes per second. Fails where the kernel cannot do that.
    pub(crate) fn slow_down(&self, rate: usize) -> Result<(), String> {
        // The greatest packet of a loopback interface is longer than the burst that the filter lets pass.
        run("ip", &["link", "set", "lo", "mtu", "1500"], "")?;
        let rate = format!("{rate}bps");
        let words = ["qdisc", "add", "dev", "lo", "root", "tbf", "rate", &rate];
        run("tc", &[&words[..], &["burst", "16k", "latency", "100ms"]].concat(), "")
    }

    /// Returns the number of connections that were made to a node's port for peers and that the node has not closed. The other
    /// end of such a connection need not exist any more.
    pub(crate) fn received(&self, cluster: u8, node: u32) -> usize {
        let port = Self::address(cluster, (node, node)).port();
        let table = fs::read_to_string("/proc/self/net/tcp").expect("a table of connections");
        // A row has a number, the local address, the other address and the state. A process holds the connections in state 01
        // (established) and 08 (closed by the other end only). The kernel removes the others by itself.
        let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
        let own = rows.filter(|row| row[1].ends_with(&format!(":{port:04X}")));
        own.filter(|row| ["01", "08"].contains(&row[3])).count()
    }

    fn change(&self, verb: &str, cluster: u8, (from, to): Direction) {
        let there = Self::address(cluster, (from, to)).ip();
        let back = Self::address(cluster, (to, from)).ip();
        let rules = format!(
            "{verb} element ip cuts to {{ {there} }}\n{verb} element ip cuts from {{ {back} }}\n"
        );
        run("nft", &["-f", "-"], &rules).expect("the packet filter can be changed");
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]);
    command.stdin(Stdio::null());
    command
}

/// Checks that tests can enter a namespace on this machine. Fails with the reason if they cannot.
fn available() -> Result<(), String> {
    for tool in TOOLS {
        let found = Command::new(tool).arg("-V").output();
        found.map_err(|error| format!("the command `{tool}` cannot be run: {error}"))?;
    }
    let mut command = unshare();
    command.args(["sh", "-c", "ip link set lo up && nft add table ip cuts"]);
    let output = command.output();
    let output = output.map_err(|error| format!("the command `unshare` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("this system gives no namespace with a packet filter: {}", said.trim()))
}

/// Runs a command with some input.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).map_err(|error| format!("{program}: {error}"))?;
    drop(stdin);
    let output = child.wait_with_output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}
