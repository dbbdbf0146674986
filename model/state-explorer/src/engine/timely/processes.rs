//! The connections between the processes of a run, and the detection of a lost one.
//!
//! Each process listens at its address in the list of processes. It connects to the processes before it in the list, and
//! accepts connections from the processes after it. Both sides send a greeting that describes the search. The search begins
//! only if the greetings agree. The connections are plain TCP without authentication, for trusted networks only.
//!
//! timely does not handle a lost connection: one of its threads panics, and others wait for that thread forever. So
//! a [`Link`] reports the loss itself, and parks its thread instead of returning an error.

use std::any::Any;
use std::io::{self, Read, Write, stderr};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use timely::CommunicationConfig;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::zero_copy::stream::Stream;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, networking::MessageHeader};

use super::Shared;
use crate::{Options, Processes, limits::Limits};

/// The longest time that processes wait for each other at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
/// The time limit of a connection attempt, and of the wait for a greeting. A request to end takes effect only afterwards.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// The greatest length of a greeting, in bytes. A longer one is not from this program.
const GREETING_MAX: u32 = 1 << 16;
const FORMAT: &str = "state-explorer 1";

type Net = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

/// The first message on a connection, in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Greeting {
    format: String,
    version: String,
    process: usize,
    /// The addresses of all processes, in the sender's list.
    addresses: Vec<String>,
    threads: usize,
    model: String,
    max_depth: Option<usize>,
    /// The first level of the search.
    level: usize,
}

/// Returns the builders of the workers of this process, connected to each other and to those of all other processes.
///
/// # Errors
/// Returns the reason in words.
pub(super) fn connect(
    options: &Options,
    model: &str,
    level: usize,
    limits: &Limits,
    shared: &Arc<Shared>,
) -> Result<Net, String> {
    let threads = options.threads.get();
    let Some(processes) = &options.cluster else {
        let one = threads == 1;
        let config =
            if one { CommunicationConfig::Thread } else { CommunicationConfig::Process(threads) };
        return config.try_build();
    };
    let greeting = Greeting {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        process: processes.this,
        addresses: processes.addresses.clone(),
        threads,
        model: model.to_owned(),
        max_depth: options.max_depth.map(Into::into),
        level,
    };
    let links = connect_all(options, processes, &greeting, limits, shared)?;
    let hooks = Hooks::default();
    let local = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), None);
    let net = initialize_networking_from_sockets(local, links, processes.this, threads, hooks);
    let (builders, guard) = net.map_err(|error| format!("the network cannot be used: {error}"))?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}

/// Connects to all other processes. Returns the links in the order of the list, with `None` for this process.
fn connect_all(
    options: &Options,
    Processes { addresses, this }: &Processes,
    greeting: &Greeting,
    limits: &Limits,
    shared: &Arc<Shared>,
) -> Result<Vec<Option<Link>>, String> {
    let own = &addresses[*this];
    let listener = TcpListener::bind(own)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| format!("process {this} cannot listen at {own}: {error}"))?;
    let mut links: Vec<Option<Link>> = addresses.iter().map(|_| None).collect();
    let until = Instant::now() + CONNECT_TIMEOUT;
    let mut printed = Instant::now();
    let mut last_error = None;
    loop {
        let missing = |links: &[Option<Link>]| {
            (0..links.len()).filter(|at| at != this && links[*at].is_none()).collect::<Vec<_>>()
        };
        let Some(first) = missing(&links).first().copied() else { return Ok(links) };
        if let Some(limit) = limits.reached(0, 0) {
            return Err(format!("{limit} before all processes were connected"));
        }
        if Instant::now() > until {
            return Err(format!(
                "process {first} at {} did not connect within {} seconds",
                addresses[first],
                CONNECT_TIMEOUT.as_secs()
            ));
        }
        if options.progress && printed.elapsed() > Duration::from_secs(2) {
            printed = Instant::now();
            let because = last_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            // If standard error is closed, the process waits in silence.
            let _ =
                writeln!(stderr(), "waiting for process {first} at {}{because}", addresses[first]);
        }
        // This process connects to those before it in the list. Those after it connect to this one.
        for at in missing(&links).into_iter().filter(|at| at < this) {
            match dial(&addresses[at]) {
                Ok(stream) => links[at] = handshake(stream, greeting, Some(at), addresses, shared)?,
                Err(error) => last_error = Some(error),
            }
        }
        while let Ok((stream, _)) = listener.accept() {
            if let Some(link) = handshake(stream, greeting, None, addresses, shared)? {
                let at = link.process;
                links[at] = Some(link);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Connects to the first address of a name that answers.
fn dial(name: &str) -> io::Result<TcpStream> {
    let mut error = io::Error::other("the name has no address");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, HANDSHAKE_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

/// Exchanges greetings. Returns `None` if the other side sends no valid greeting, because the right process may still
/// connect.
///
/// # Errors
/// Fails if the other side is a process that explores something else, or is not the expected one.
fn handshake(
    mut stream: TcpStream,
    mine: &Greeting,
    expected: Option<usize>,
    addresses: &[String],
    shared: &Arc<Shared>,
) -> Result<Option<Link>, String> {
    let exchange = |stream: &mut TcpStream| -> io::Result<Greeting> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        write_greeting(stream, mine)?;
        let theirs = read_greeting(stream)?;
        stream.set_read_timeout(None)?;
        Ok(theirs)
    };
    let theirs = match exchange(&mut stream) {
        Ok(theirs) if theirs.format == FORMAT => theirs,
        _ => return Ok(None),
    };
    let at = theirs.process;
    let differs = [
        ("version", &theirs.version, &mine.version),
        ("addresses", &theirs.addresses.join(" "), &mine.addresses.join(" ")),
        ("threads", &theirs.threads.to_string(), &mine.threads.to_string()),
        ("model", &theirs.model, &mine.model),
        ("depth limit", &format!("{:?}", theirs.max_depth), &format!("{:?}", mine.max_depth)),
        ("first level", &theirs.level.to_string(), &mine.level.to_string()),
    ];
    if let Some((what, theirs, mine)) = differs.iter().find(|(_, theirs, mine)| theirs != mine) {
        return Err(format!(
            "process {at} has another {what}: {theirs}, but this process has {mine}"
        ));
    }
    let right =
        expected.map_or(at > mine.process && at < addresses.len(), |expected| at == expected);
    if !right {
        return Err(format!(
            "process {at} connected where another was expected; is the same --process given twice?"
        ));
    }
    let name = format!("process {at} at {}", addresses[at]);
    Ok(Some(Link { stream, process: at, name, zeros: 0, shared: Arc::clone(shared) }))
}

fn write_greeting(stream: &mut TcpStream, greeting: &Greeting) -> io::Result<()> {
    let text = serde_json::to_vec(greeting)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&text)
}

fn read_greeting(stream: &mut TcpStream) -> io::Result<Greeting> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > GREETING_MAX {
        return Err(io::Error::other("the greeting is too long"));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// A connection to another process.
struct Link {
    stream: TcpStream,
    process: usize,
    name: String,
    /// The number of zeros at the end of the bytes read so far. A process that has finished sends a header of zeros.
    zeros: usize,
    shared: Arc<Shared>,
}

impl Link {
    /// The length of the header of zeros that closes a connection in good order.
    const CLOSING_BYTES: usize = size_of::<MessageHeader>();

    fn lose(&self) -> ! {
        self.shared.lose(&self.name);
        loop {
            thread::park();
        }
    }
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match self.stream.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Ok(0) | Err(_) if self.zeros >= Self::CLOSING_BYTES => return Ok(0),
            Ok(0) | Err(_) => self.lose(),
            Ok(read) => read,
        };
        let zeros = into[..read].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == read { self.zeros + zeros } else { zeros };
        Ok(read)
    }
}

impl Write for Link {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self.stream.write(from) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Ok(0) | Err(_) => self.lose(),
            Ok(written) => Ok(written),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        let (name, shared) = (self.name.clone(), Arc::clone(&self.shared));
        Ok(Self { stream: self.stream.try_clone()?, process: self.process, name, zeros: 0, shared })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // An error means that the other process has closed the connection already.
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}
