//! The processes of a run: how they find each other, and how they notice that one is gone.
//!
//! Each process listens where the list of hosts says, calls those before it in the list, and is called by
//! those after it. Both sides say what they are about to explore, and only go on if that is the same.
//! Plain TCP, without authentication: for networks that are trusted.
//!
//! timely is not made to lose a connection: a thread panics, and whoever waits for it waits for
//! ever. So a connection that is lost says so itself, once, and its thread rests.

use std::any::Any;
use std::io::{self, Read, Write};
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

/// How long processes wait for each other at the start.
const PATIENCE: Duration = Duration::from_mins(1);
/// The time that a caller may take to say who it is, and a called process to answer. Signals wait meanwhile.
const MANNERS: Duration = Duration::from_secs(2);
/// No greeting is as long as this.
const GREETING_MAX: u32 = 1 << 16;
const FORMAT: &str = "state-explorer 1";

type Net = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

/// What a process says when it calls, or is called.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Greeting {
    format: String,
    version: String,
    process: usize,
    /// Where each is, as this one believes.
    addresses: Vec<String>,
    threads: usize,
    model: String,
    max_depth: Option<usize>,
    /// The level at which it begins.
    level: usize,
}

/// Threads that can talk to each other, and to those of all other processes.
///
/// # Errors
/// Why not, in words.
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
    let links = meet(options, processes, &greeting, limits, shared)?;
    let hooks = Hooks::default();
    let local = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), None);
    let net = initialize_networking_from_sockets(local, links, processes.this, threads, hooks);
    let (builders, guard) = net.map_err(|error| format!("the network cannot be used: {error}"))?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}

/// A connection to each other process, by its place in the list.
fn meet(
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
    let until = Instant::now() + PATIENCE;
    let mut told = Instant::now();
    let mut refused = None;
    loop {
        let missing = |links: &[Option<Link>]| {
            (0..links.len()).filter(|at| at != this && links[*at].is_none()).collect::<Vec<_>>()
        };
        let Some(first) = missing(&links).first().copied() else { return Ok(links) };
        if let Some(limit) = limits.reached(0, 0) {
            return Err(format!("{limit} before all processes had met"));
        }
        if Instant::now() > until {
            return Err(format!(
                "process {first} at {} did not come within {} seconds",
                addresses[first],
                PATIENCE.as_secs()
            ));
        }
        if options.progress && told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            let because = refused.as_ref().map_or(String::new(), |error| format!(": {error}"));
            eprintln!("waiting for process {first} at {}{because}", addresses[first]);
        }
        // Those before this one are called, those after it call.
        for at in missing(&links).into_iter().filter(|at| at < this) {
            match call(&addresses[at]) {
                Ok(stream) => links[at] = introduce(stream, greeting, Some(at), addresses, shared)?,
                Err(error) => refused = Some(error),
            }
        }
        while let Ok((stream, _)) = listener.accept() {
            if let Some(link) = introduce(stream, greeting, None, addresses, shared)? {
                let at = link.process;
                links[at] = Some(link);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Connects to the first of the addresses that a name stands for and that answers.
fn call(name: &str) -> io::Result<TcpStream> {
    let mut error = io::Error::other("the name stands for no address");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, MANNERS) {
            Ok(stream) => return Ok(stream),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

/// Exchanges greetings. Nothing if the other side is a stranger, or leaves: the right one may still come.
///
/// # Errors
/// If it is the right one, and about to do something else.
fn introduce(
    mut stream: TcpStream,
    mine: &Greeting,
    expected: Option<usize>,
    addresses: &[String],
    shared: &Arc<Shared>,
) -> Result<Option<Link>, String> {
    let exchange = |stream: &mut TcpStream| -> io::Result<Greeting> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(MANNERS))?;
        say(stream, mine)?;
        let theirs = hear(stream)?;
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
        return Err(format!("process {at} has another {what}: {theirs}, and this one {mine}"));
    }
    let right =
        expected.map_or(at > mine.process && at < addresses.len(), |expected| at == expected);
    if !right {
        return Err(format!(
            "process {at} came where another was expected; is --process given twice?"
        ));
    }
    let name = format!("process {at} at {}", addresses[at]);
    Ok(Some(Link { stream, process: at, name, zeros: 0, shared: Arc::clone(shared) }))
}

fn say(stream: &mut TcpStream, greeting: &Greeting) -> io::Result<()> {
    let text = serde_json::to_vec(greeting)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&text)
}

fn hear(stream: &mut TcpStream) -> io::Result<Greeting> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > GREETING_MAX {
        return Err(io::Error::other("too long a greeting"));
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
    /// How many zeros were read last: a process that is done says so by a header of zeros.
    zeros: usize,
    shared: Arc<Shared>,
}

impl Link {
    /// The length of what ends a connection in good order.
    const FAREWELL: usize = size_of::<MessageHeader>();

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
            Ok(0) | Err(_) if self.zeros >= Self::FAREWELL => return Ok(0),
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
        // A process that has left already needs no farewell.
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}
