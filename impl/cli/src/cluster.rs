//! `paxos cluster`: a whole cluster in one terminal. Each node is a process of its own, so that a user can kill one node.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Write as _},
    iter,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, Signal, kill_process},
};

use crate::{complain, serve::Log};

/// Run a whole cluster in one terminal, for trying
///
/// Each node is a process of its own. When a node ends, the command prints how to start it again. With --restart it
/// starts the node again after a second, unless the node refused its arguments. Ctrl-C stops all nodes, and a second
/// Ctrl-C kills them. The nodes also stop when the reader of the output is gone, as in
/// `paxos cluster --data trying | head -1`.
///
/// Exit codes: 0 stopped by a signal or a closed output; 2 bad input, or no node runs any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  paxos cluster --nodes 3 --data trying
  redis-cli -p 7001 set greeting hello
  redis-cli -p 7002 get greeting")]
pub(crate) struct Args {
    /// The number of nodes
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// The directory in which each node has its data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Node N listens for clients on port PORT + N
    #[arg(long, default_value_t = 7000, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65000))]
    client_port: u16,
    /// Node N listens for other nodes on port PORT + N
    #[arg(long, default_value_t = 7100, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65000))]
    listen_port: u16,
    /// Start a node again when it has ended
    #[arg(long)]
    restart: bool,
    /// Record each step of the nodes in this directory, for `paxos-conformance validate`
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// The form of the log of each node
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log: Log,
}

/// A node: the arguments with which it is started, and its process while it runs.
struct Node {
    id: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// Runs the cluster until a signal stops it, its output is closed, or no node runs any more. Returns the exit code.
pub(crate) fn main(args: &Args) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let stop = Stop::default();
    let counted = stop.clone();
    let count = move || {
        counted.signals.fetch_add(1, Ordering::Relaxed);
    };
    ctrlc::set_handler(count).map_err(io::Error::other)?;
    let mut nodes: Vec<_> = (1..=args.nodes).map(|id| Node::new(id, args)).collect();
    let ran = watch(args, &mut nodes, &stop);
    // The nodes are stopped even if `watch` has failed.
    let terminated = nodes.iter().map(Node::terminate).fold(Ok(()), Result::and);
    let ended = nodes.iter_mut().map(|node| node.wait_or_kill(&stop)).fold(Ok(()), Result::and);
    ran.and(terminated).and(ended)
}

/// Starts the nodes, and reports each node that ends. Returns when the nodes are to be stopped. Fails if no node runs any more.
fn watch(args: &Args, nodes: &mut [Node], stop: &Stop) -> io::Result<()> {
    for node in &mut *nodes {
        node.start(stop)?;
        let (port, pid) = (args.client_port + node.id, node.pid());
        stop.print(format_args!("node {}: process {pid}, redis-cli -p {port}", node.id))?;
    }
    while !stop.is_due() {
        thread::sleep(Duration::from_millis(100));
        stop.look_for_readers()?;
        for node in &mut *nodes {
            let Some(status) = node.ended()? else { continue };
            // Ctrl-C reaches the nodes as well. They may end before the handler of this process has run.
            thread::sleep(Duration::from_millis(100));
            if stop.is_due() {
                break;
            }
            stop.print(format_args!("node {} has ended: {status}. To start it again:", node.id))?;
            stop.print(format_args!("  {}", node.command()))?;
            // Exit code 2: the node refused its arguments, and would refuse them again.
            if args.restart && status.code() != Some(2) {
                thread::sleep(Duration::from_secs(1));
                node.start(stop)?;
                stop.print(format_args!("node {}: process {}", node.id, node.pid()))?;
            }
        }
        if !stop.is_due() && nodes.iter().all(|node| node.child.is_none()) {
            return Err(io::Error::other("no node is running any more"));
        }
    }
    Ok(())
}

/// The reasons to stop the nodes.
#[derive(Clone, Default)]
struct Stop {
    /// The number of signals that asked this process to stop.
    signals: Arc<AtomicUsize>,
    /// True if the reader of standard output or of standard error is gone.
    output_closed: Arc<AtomicBool>,
}

impl Stop {
    fn is_due(&self) -> bool {
        self.signals.load(Ordering::Relaxed) > 0 || self.output_closed.load(Ordering::Relaxed)
    }

    /// Returns true after the second signal.
    fn asks_to_kill(&self) -> bool {
        self.signals.load(Ordering::Relaxed) > 1
    }

    /// Sets `output_closed` if standard output or standard error has no reader any more.
    fn look_for_readers(&self) -> io::Result<()> {
        let (output, log) = (io::stdout(), io::stderr());
        // `poll` reports `ERR` without a request for it. `ERR` means that the pipe has no reader.
        let mut pipes =
            [PollFd::new(&output, PollFlags::empty()), PollFd::new(&log, PollFlags::empty())];
        retry_on_intr(|| poll(&mut pipes, Some(&Timespec::default())))?;
        if pipes.iter().any(|pipe| pipe.revents().contains(PollFlags::ERR)) {
            self.output_closed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Prints a line on standard output. If the output is closed, sets `output_closed` and does not fail.
    fn print(&self, line: fmt::Arguments<'_>) -> io::Result<()> {
        self.unless_closed(writeln!(io::stdout(), "{line}"))
    }

    fn unless_closed(&self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.output_closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            written => written,
        }
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
        if let Some(directory) = &args.record {
            arguments.extend(["--record".to_owned(), directory.display().to_string()]);
        }
        if args.log == Log::Json {
            arguments.extend(["--log", "json"].map(str::to_owned));
        }
        Self { id, arguments, child: None }
    }

    fn start(&mut self, stop: &Stop) -> io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (id, log, stop) = (self.id, child.stderr.take(), stop.clone());
        thread::spawn(move || {
            let lines = log.into_iter().flat_map(|log| BufReader::new(log).lines());
            // This thread reads the log to its end even if it cannot print it, so that the node never waits for a reader.
            for line in lines.map_while(Result::ok) {
                // Another error loses this line only.
                let _ = stop.unless_closed(writeln!(io::stderr(), "{id} | {line}"));
            }
        });
        self.child = Some(child);
        Ok(())
    }

    /// Returns the command for a shell that starts this node.
    fn command(&self) -> String {
        let paxos = std::env::args().next().unwrap_or_else(|| "paxos".to_owned());
        let words = iter::once(paxos.as_str()).chain(self.arguments.iter().map(String::as_str));
        shlex::try_join(words).expect("no argument of a command holds a NUL")
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Returns the exit status if the process has ended since the last call.
    fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Sends SIGTERM to the process. Ctrl-C reaches all processes of the terminal, but a SIGTERM to this process does not reach
    /// its nodes.
    fn terminate(&self) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        // The process id is valid even if the process has ended, because it was not waited for.
        Ok(kill_process(Pid::from_child(child), Signal::TERM)?)
    }

    /// Waits until the process ends. Kills it after 3 seconds, or after the second signal.
    fn wait_or_kill(&mut self, stop: &Stop) -> io::Result<()> {
        for _ in 0..300 {
            if self.child.is_none() || self.ended()?.is_some() {
                return Ok(());
            }
            if stop.asks_to_kill() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if let Some(child) = &mut self.child {
            let reason = if stop.asks_to_kill() { "a second signal" } else { "3 seconds" };
            stop.print(format_args!(
                "node {} has not ended, and is killed after {reason}",
                self.id
            ))?;
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}
