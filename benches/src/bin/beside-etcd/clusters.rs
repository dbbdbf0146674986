//! A cluster of three processes on loopback, of etcd or of `paxos serve`. Dropping it kills the processes.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::Unusable;

pub(crate) struct Cluster {
    pub(crate) name: &'static str,
    processes: Vec<Child>,
    /// The addresses for clients.
    pub(crate) clients: Vec<String>,
    /// The request that asks a node for its role, and a part of the answer that only the leader gives.
    leads: (&'static str, &'static str),
}

impl Cluster {
    /// Returns the leader's address for clients.
    pub(crate) fn leader(&self) -> Result<&str, Unusable> {
        let (question, yes) = self.leads;
        for address in &self.clients {
            if ask(address, question)?.contains(yes) {
                return Ok(address);
            }
        }
        Err(Unusable::NoLeader(self.name))
    }
}

/// Sends a request after which the node closes the connection, and returns the whole answer.
fn ask(address: &str, question: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The process may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Returns three addresses that are not in use.
fn addresses() -> Result<Vec<String>, Unusable> {
    let listeners: Result<Vec<_>, _> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    listeners?.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

fn start(
    name: &'static str,
    commands: impl Iterator<Item = Command>,
    clients: Vec<String>,
    leads: (&'static str, &'static str),
) -> Result<Cluster, Unusable> {
    let mut cluster = Cluster { name, processes: Vec::new(), clients, leads };
    for mut command in commands {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| Unusable::Missing(program, error))?;
        cluster.processes.push(child);
    }
    Ok(cluster)
}

/// Starts etcd with its default durability.
pub(crate) fn etcd(data: &Path) -> Result<Cluster, Unusable> {
    let (peers, clients) = (addresses()?, addresses()?);
    let names = ["one", "two", "three"];
    let members = names.iter().zip(&peers).map(|(name, peer)| format!("{name}=http://{peer}"));
    let members = members.collect::<Vec<_>>().join(",");
    let commands = (0..3).map(|node| {
        let (peer, client) =
            (format!("http://{}", peers[node]), format!("http://{}", clients[node]));
        let mut command = Command::new("etcd");
        command.args(["--name", names[node], "--data-dir"]).arg(data.join(names[node]));
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--initial-cluster", &members, "--initial-cluster-state", "new"]);
        command
    });
    let leads = ("GET /metrics HTTP/1.0\r\n\r\n", "\netcd_server_is_leader 1\n");
    start("etcd", commands, clients.clone(), leads)
}

/// Starts `paxos serve` with its default settings.
pub(crate) fn paxos(program: &Path, data: &Path) -> Result<Cluster, Unusable> {
    let (peers, clients) = (addresses()?, addresses()?);
    let commands = (0..3).map(|node| {
        let mut command = Command::new(program);
        command.args(["serve", "--id", &(node + 1).to_string(), "--log-level", "error"]);
        command.arg("--data").arg(data.join(format!("node-{}", node + 1)));
        command.args(["--listen", &peers[node], "--client", &clients[node]]);
        for other in (0..3).filter(|&other| other != node) {
            command.args(["--peer", &format!("{}={}", other + 1, peers[other])]);
        }
        command
    });
    start("paxos", commands, clients.clone(), ("INFO\r\nQUIT\r\n", "\npaxos_role:leader\r\n"))
}
