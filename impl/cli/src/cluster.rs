//! `paxos cluster`: a whole cluster in one terminal, each node a process of its own, so that one can
//! be killed.

use std::{
    io::{self, BufRead as _, BufReader},
    iter,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::serve::Log;

/// A whole cluster in one terminal, for trying
///
/// Each node is a process of its own. Kill one, and the command that starts it again is shown, or with
/// --restart it is started again after a second. Ctrl-C stops all of them, and a second one kills them.
///
/// Exit codes: 0 it was told to stop; 2 what it was given cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  paxos cluster --nodes 3 --data trying
  redis-cli -p 7001 set greeting hello
  redis-cli -p 7002 get greeting")]
pub(crate) struct Args {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Where the nodes have their directories
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Node N listens for clients on this port and N
    #[arg(long, default_value_t = 7000, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65000))]
    client_port: u16,
    /// Node N listens for other nodes on this port and N
    #[arg(long, default_value_t = 7100, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65000))]
    listen_port: u16,
    /// Start a node again that has died
    #[arg(long)]
    restart: bool,
    /// How the nodes log
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log: Log,
}

/// A node, and how it is started.
struct Node {
    id: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// Runs the cluster until it is told to stop.
pub(crate) fn main(args: &Args) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let told = Told::default();
    let counted = told.clone();
    let count = move || {
        counted.0.fetch_add(1, Ordering::Relaxed);
    };
    ctrlc::set_handler(count).map_err(io::Error::other)?;
    let mut nodes: Vec<_> = (1..=args.nodes).map(|id| Node::new(id, args)).collect();
    for node in &mut nodes {
        node.start()?;
        let (port, pid) = (args.client_port + node.id, node.pid());
        println!("node {}: process {pid}, redis-cli -p {port}", node.id);
    }
    while !told.to_stop() {
        thread::sleep(Duration::from_millis(100));
        for node in &mut nodes {
            let Some(status) = node.ended()? else { continue };
            // Ctrl-C reaches the nodes as well, and they may be quicker to end than this to hear of it.
            thread::sleep(Duration::from_millis(100));
            if told.to_stop() {
                break;
            }
            println!("node {} has ended: {status}. To start it again:", node.id);
            println!("  {}", node.command());
            // One that refuses what it is given would refuse it again.
            if args.restart && status.code() != Some(2) {
                thread::sleep(Duration::from_secs(1));
                node.start()?;
                println!("node {}: process {}", node.id, node.pid());
            }
        }
        if !told.to_stop() && nodes.iter().all(|node| node.child.is_none()) {
            return Err(io::Error::other("no node is running any more"));
        }
    }
    nodes.iter().try_for_each(Node::tell_to_stop)?;
    nodes.iter_mut().try_for_each(|node| node.stop(&told))
}

/// The number of times the command was told to stop.
#[derive(Clone, Default)]
struct Told(Arc<AtomicUsize>);

impl Told {
    fn to_stop(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// True if it was told so twice.
    fn at_once(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

impl Node {
    fn new(id: u16, args: &Args) -> Self {
        let client = |id| format!("127.0.0.1:{}", args.client_port + id);
        let listen = |id| format!("127.0.0.1:{}", args.listen_port + id);
        let data = args.data.join(format!("node-{id}"));
        let mut arguments: Vec<String> = ["serve", "--id"].map(str::to_owned).to_vec();
        arguments.push(id.to_string());
        arguments.extend(["--data".to_owned(), data.display().to_string()]);
        arguments.extend(["--listen".to_owned(), listen(id), "--client".to_owned(), client(id)]);
        for peer in (1..=args.nodes).filter(|&peer| peer != id) {
            arguments.extend(["--peer".to_owned(), format!("{peer}={}", listen(peer))]);
        }
        if args.log == Log::Json {
            arguments.extend(["--log", "json"].map(str::to_owned));
        }
        Self { id, arguments, child: None }
    }

    fn start(&mut self) -> io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (id, log) = (self.id, child.stderr.take());
        thread::spawn(move || {
            let lines = log.into_iter().flat_map(|log| BufReader::new(log).lines());
            for line in lines.map_while(Result::ok) {
                eprintln!("{id} | {line}");
            }
        });
        self.child = Some(child);
        Ok(())
    }

    /// How a shell starts it.
    fn command(&self) -> String {
        let paxos = std::env::args().next().unwrap_or_else(|| "paxos".to_owned());
        let words = iter::once(paxos.as_str()).chain(self.arguments.iter().map(String::as_str));
        shlex::try_join(words).expect("no argument of a command holds a NUL")
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Ctrl-C has reached all processes of a terminal already, and SIGTERM only this one.
    fn tell_to_stop(&self) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        // One that was not waited for is still there, even if it has ended.
        Ok(kill_process(Pid::from_child(child), Signal::TERM)?)
    }

    /// Waits for it. One that does not stop is killed; at once, if the command was told to stop twice.
    fn stop(&mut self, told: &Told) -> io::Result<()> {
        for _ in 0..300 {
            if self.child.is_none() || self.ended()?.is_some() {
                return Ok(());
            }
            if told.at_once() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if let Some(child) = &mut self.child {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}
