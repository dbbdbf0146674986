//! Clusters of server processes on loopback, of etcd or of `paxos serve`, for the programs that load them.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    iter,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// The reason for which a cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// A program is not installed or not built.
    #[error("{0} cannot be started: {1}")]
    Missing(String, io::Error),
    /// No node says that it leads.
    #[error("no node of {0} leads")]
    NoLeader(&'static str),
    /// A node goes on after SIGTERM.
    #[error("a node of {0} still ran a minute after it was told to end")]
    Runs(&'static str),
    /// A node has not ended in order.
    #[error("a node of {0} ended with {1}")]
    Failed(&'static str, ExitStatus),
    /// A node does not answer.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A cluster takes no puts.
#[derive(Debug, thiserror::Error)]
#[error("{0} was not ready after a minute")]
pub struct NotReady(&'static str);

/// The processes of a cluster. Dropping it kills them.
#[derive(Debug)]
pub struct Servers {
    /// The name of the program, for reports.
    pub name: &'static str,
    /// The processes, one for each node.
    pub processes: Vec<Child>,
    /// The commands that start the nodes.
    commands: Vec<Command>,
    /// The addresses for clients.
    pub clients: Vec<String>,
    /// The request that asks a node for its role, and a part of the answer that only the leader gives.
    leads: (&'static str, &'static str),
}

impl Servers {
    /// Returns the processor time that each process has taken so far.
    ///
    /// # Errors
    /// A process has ended, or the system does not tell.
    pub fn cpu(&self) -> Result<Vec<Duration>, ServersError> {
        Ok(self.processes.iter().map(|process| cpu(process.id())).collect::<io::Result<_>>()?)
    }

    /// Waits until each process takes puts. Its clients speak the protocol of Redis.
    ///
    /// # Errors
    /// One takes none for a minute.
    pub fn ready(&self) -> Result<(), NotReady> {
        let begun = Instant::now();
        for address in &self.clients {
            while !ask(address, "SET ready 1\r\nQUIT\r\n")
                .is_ok_and(|answer| answer.starts_with("+OK\r\n+OK"))
            {
                if begun.elapsed() > Duration::from_mins(1) {
                    return Err(NotReady(self.name));
                }
                thread::sleep(Duration::from_millis(200));
            }
        }
        Ok(())
    }

    /// Stops all nodes with SIGTERM, one after the other, and waits for each.
    ///
    /// # Errors
    /// The system cannot send the signal, or a node does not end in order within a minute.
    pub fn terminate(&mut self) -> Result<(), ServersError> {
        for process in &mut self.processes {
            let id = Pid::from_child(process);
            kill_process(id, Signal::TERM).map_err(io::Error::from)?;
            let begun = Instant::now();
            let status = loop {
                match process.try_wait()? {
                    Some(status) => break status,
                    None if begun.elapsed() > Duration::from_mins(1) => {
                        return Err(ServersError::Runs(self.name));
                    }
                    None => thread::sleep(Duration::from_millis(20)),
                }
            };
            if !status.success() {
                return Err(ServersError::Failed(self.name, status));
            }
        }
        Ok(())
    }

    /// Kills a node, as `kill -9` does.
    ///
    /// # Errors
    /// The system cannot end the process.
    ///
    /// # Panics
    /// There is no such node.
    pub fn kill(&mut self, node: usize) -> Result<(), ServersError> {
        self.processes[node].kill()?;
        self.processes[node].wait()?;
        Ok(())
    }

    /// Starts a killed node again.
    ///
    /// # Errors
    /// The program cannot be started.
    ///
    /// # Panics
    /// There is no such node.
    pub fn start_again(&mut self, node: usize) -> Result<(), ServersError> {
        self.processes[node] = spawn(&mut self.commands[node])?;
        Ok(())
    }

    /// Returns the leader's address for clients. Passes over a killed node.
    ///
    /// # Errors
    /// No node leads, or one does not answer.
    pub fn leader(&self) -> Result<&str, ServersError> {
        let (question, yes) = self.leads;
        for address in &self.clients {
            match ask(address, question) {
                Ok(answer) if answer.contains(yes) => return Ok(address),
                Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Err(ServersError::NoLeader(self.name))
    }
}

/// Sends a request after which the node closes the connection, and returns the whole answer.
///
/// # Errors
/// The node does not answer.
pub fn ask(address: &str, question: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The process may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Returns the user and system time of a process.
fn cpu(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may contain spaces. Its end is followed by the fields from the third on.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>();
    let ticks = ticks.map_err(io::Error::other)?;
    Ok(Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32)
}

/// Returns addresses that are not in use.
fn addresses(count: usize) -> Result<Vec<String>, ServersError> {
    let listeners: Result<Vec<_>, _> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    listeners?.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

fn start(
    name: &'static str,
    commands: impl Iterator<Item = Command>,
    clients: Vec<String>,
    leads: (&'static str, &'static str),
) -> Result<Servers, ServersError> {
    let (commands, processes) = (commands.collect(), Vec::new());
    let mut servers = Servers { name, processes, commands, clients, leads };
    for command in &mut servers.commands {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        servers.processes.push(spawn(command)?);
    }
    Ok(servers)
}

fn spawn(command: &mut Command) -> Result<Child, ServersError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| ServersError::Missing(program, error))
}

/// Starts three nodes of etcd with its default durability.
///
/// # Errors
/// etcd cannot be started.
pub fn etcd(data: &Path) -> Result<Servers, ServersError> {
    let mut peers = addresses(6)?;
    let clients = peers.split_off(3);
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

/// Starts three nodes of `paxos serve` with the default settings, but for these flags.
///
/// # Errors
/// The program cannot be started.
pub fn paxos(program: &Path, data: &Path, flags: &[&str]) -> Result<Servers, ServersError> {
    paxos_behind(program, data, flags, None).map(|(servers, _)| servers)
}

/// Starts three nodes like [`paxos()`]. If there is a proxy, the others connect to the last node at the address of the
/// proxy. Returns the nodes, and the address at which the last one listens for the others.
///
/// # Errors
/// The program cannot be started.
pub fn paxos_behind(
    program: &Path,
    data: &Path,
    flags: &[&str],
    proxy: Option<String>,
) -> Result<(Servers, String), ServersError> {
    let mut listens = addresses(6)?;
    let clients = listens.split_off(3);
    let mut peers = listens.clone();
    if let Some(proxy) = proxy {
        peers[2] = proxy;
    }
    let commands = (0..3).map(|node| {
        let mut command = Command::new(program);
        command.args(["serve", "--id", &(node + 1).to_string(), "--log-level", "error"]);
        command.arg("--data").arg(data.join(format!("node-{}", node + 1)));
        command.args(["--listen", &listens[node], "--client", &clients[node]]).args(flags);
        for other in (0..3).filter(|&other| other != node) {
            command.args(["--peer", &format!("{}={}", other + 1, peers[other])]);
        }
        command
    });
    let leads = ("INFO\r\nQUIT\r\n", "\npaxos_role:leader\r\n");
    let servers = start("paxos", commands, clients.clone(), leads)?;
    Ok((servers, listens[2].clone()))
}

/// Starts one process of a server that takes its address as the last argument of this command.
///
/// # Errors
/// The program cannot be started.
pub fn single(name: &'static str, mut command: Command) -> Result<Servers, ServersError> {
    let clients = addresses(1)?;
    command.arg(&clients[0]);
    start(name, iter::once(command), clients, ("PING\r\nQUIT\r\n", "PONG"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_counted() {
        let process = std::process::id();
        let before = cpu(process).expect("this process runs");
        let mut number = 1_u64;
        while cpu(process).expect("this process runs") == before {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(cpu(u32::MAX).is_err());
    }
}
