//! The process of an adapter: one request, one reply, in bounded time and memory.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    mem,
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, Signal, kill_process_group},
};
use serde::{Deserialize as _, Serialize};
use serde_json::Value as Json;

use crate::protocol::{Hello, PROTOCOL, Request};

/// The pause between two looks at the memory of an adapter.
const LOOK: Duration = Duration::from_millis(100);
/// The bytes that a pipe takes at once, if it takes any.
const PIPE_BYTES: usize = 4096;

/// The limits of an adapter.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest time until a reply.
    pub reply: Duration,
    /// The longest reply, in bytes.
    pub reply_bytes: u64,
    /// The most memory of all processes of the adapter, in bytes.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reply: Duration::from_secs(10), reply_bytes: 16 << 20, memory_bytes: 1 << 30 }
    }
}

/// The reason for which an adapter cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The command cannot be run.
    #[error("{command} cannot be started: {error}")]
    NotStarted {
        /// The program.
        command: String,
        /// The error of the system.
        error: String,
    },
    /// There is no reply in time.
    #[error("the adapter did not reply within {0:?}")]
    Hangs(Duration),
    /// The process ended.
    #[error("the adapter ended instead of a reply")]
    Ended,
    /// A reply is too long.
    #[error("the adapter wrote a line of more than {0} bytes")]
    Floods(u64),
    /// The process takes too much memory.
    #[error("the adapter used more than {0} bytes of memory")]
    Leaks(u64),
    /// A line is no reply.
    #[error("the adapter wrote a line that is no reply: {what}: {line}")]
    Garbage {
        /// The reason.
        what: String,
        /// The beginning of the line.
        line: String,
    },
    /// The subject has something that the judge does not know.
    #[error("the judge cannot judge {0}")]
    Unsupported(String),
    /// The adapter says that a request is no request.
    #[error("the adapter refused {request}: {error}")]
    Refused {
        /// The request.
        request: String,
        /// The error of the adapter.
        error: String,
    },
}

impl Broken {
    /// Returns true if the command or the adapter is bad input, and nothing can be said of the subject.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::NotStarted { .. } | Self::Refused { .. } | Self::Unsupported(_))
    }
}

/// A running adapter.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// The bytes of the output that belong to no reply yet.
    unread: Vec<u8>,
    limits: Limits,
    next_id: u64,
    looked: Instant,
}

impl Process {
    /// Starts an adapter, and greets it.
    pub(crate) fn start(command: &[String], limits: Limits) -> Result<(Self, Hello), Broken> {
        let failed = |error: io::Error| Broken::NotStarted {
            command: command.join(" "),
            error: error.to_string(),
        };
        let [program, arguments @ ..] = command else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        // A group of its own, so that processes that the adapter starts end with it.
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        let (unread, next_id, looked) = (Vec::new(), 0, Instant::now());
        let mut process = Self { child, input, output, unread, limits, next_id, looked };
        let reply = process.ask(&[Request::Hello { proto: PROTOCOL }.json()])?.swap_remove(0);
        let hello = Hello::deserialize(&reply);
        let hello = hello.map_err(|error| garbage(&error, &reply.to_string()))?;
        Ok((process, hello))
    }

    /// Sends requests, one after the other, and then reads their replies. Returns them without their ids.
    ///
    /// The adapter answers each request before it reads the next. So several requests at once only save time.
    pub(crate) fn ask(&mut self, requests: &[Json]) -> Result<Vec<Json>, Broken> {
        let first = self.next_id;
        self.next_id += requests.len() as u64;
        let mut lines = Vec::new();
        for (id, request) in (first..).zip(requests) {
            serde_json::to_writer(&mut lines, &Numbered { id, request })
                .expect("a request is JSON");
            lines.push(b'\n');
        }
        let until = Instant::now() + self.limits.reply;
        self.write(&lines, until)?;
        let replies = (first..).zip(requests).map(|(id, request)| self.reply(id, request));
        replies.collect()
    }

    fn reply(&mut self, id: u64, request: &Json) -> Result<Json, Broken> {
        let line = self.read_line(Instant::now() + self.limits.reply)?;
        let mut reply: Json = serde_json::from_slice(&line)
            .map_err(|error| garbage(&error, &String::from_utf8_lossy(&line)))?;
        let Some(fields) = reply.as_object_mut() else {
            return Err(garbage(&"a reply is an object", &reply.to_string()));
        };
        if fields.remove("id") != Some(id.into()) {
            let what = format!("a reply has the id of its request, {id}");
            return Err(garbage(&what, &String::from_utf8_lossy(&line)));
        }
        match fields.get("error") {
            Some(error) => {
                Err(Broken::Refused { request: request.to_string(), error: error.to_string() })
            }
            None => Ok(reply),
        }
    }

    /// Writes lines. An adapter that does not read has no more time for that than for a reply.
    fn write(&mut self, mut lines: &[u8], until: Instant) -> Result<(), Broken> {
        while !lines.is_empty() {
            let (takes, gives) = self.wait(true);
            if gives {
                // An adapter whose reply is not read may not read either.
                self.read()?;
            }
            if takes {
                // A pipe that is ready has room for that many bytes.
                let part = lines.len().min(PIPE_BYTES);
                match self.input.write(&lines[..part]) {
                    Ok(written) => lines = &lines[written..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Err(Broken::Ended),
                }
            }
            self.look(until)?;
        }
        Ok(())
    }

    /// Returns the next line, without its end.
    fn read_line(&mut self, until: Instant) -> Result<Vec<u8>, Broken> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.unread[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(searched + end + 1);
                let mut line = mem::replace(&mut self.unread, rest);
                line.pop();
                return Ok(line);
            }
            searched = self.unread.len();
            let (_, gives) = self.wait(false);
            if gives {
                self.read()?;
            }
            self.look(until)?;
        }
    }

    /// Reads what the adapter has written.
    fn read(&mut self) -> Result<(), Broken> {
        let mut part = [0; 1 << 13];
        match self.output.read(&mut part) {
            Ok(0) => return Err(Broken::Ended),
            Ok(count) => self.unread.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Broken::Ended),
        }
        let bytes_max = self.limits.reply_bytes;
        if self.unread.len() as u64 > bytes_max { Err(Broken::Floods(bytes_max)) } else { Ok(()) }
    }

    /// Waits until the adapter has written something, or takes something if `writes`. Returns whether it takes and whether it gives.
    /// A pipe whose other end is closed does.
    fn wait(&self, writes: bool) -> (bool, bool) {
        let output = PollFd::new(&self.output, PollFlags::IN);
        let input = PollFd::new(&self.input, PollFlags::OUT);
        let mut pipes = [output, input];
        let pipes = if writes { &mut pipes[..] } else { &mut pipes[..1] };
        let time = Timespec::try_from(LOOK).expect("a short time");
        // An interrupted call leaves the pipes as not ready. The caller tries again.
        let _ = rustix::event::poll(pipes, Some(&time));
        let is_ready = |pipe: Option<&PollFd<'_>>| pipe.is_some_and(|it| !it.revents().is_empty());
        (is_ready(pipes.get(1)), is_ready(pipes.first()))
    }

    /// Fails if the adapter has had its time or its memory.
    fn look(&mut self, until: Instant) -> Result<(), Broken> {
        if self.looked.elapsed() > LOOK {
            self.looked = Instant::now();
            if memory_of_group(self.child.id()) > self.limits.memory_bytes {
                return Err(Broken::Leaks(self.limits.memory_bytes));
            }
        }
        if Instant::now() > until { Err(Broken::Hangs(self.limits.reply)) } else { Ok(()) }
    }
}

/// A request with its number.
#[derive(Serialize)]
struct Numbered<'a> {
    id: u64,
    #[serde(flatten)]
    request: &'a Json,
}

impl Drop for Process {
    fn drop(&mut self) {
        // The adapter may have ended already.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn garbage(what: &impl std::fmt::Display, line: &str) -> Broken {
    let line = line.chars().take(200).collect();
    Broken::Garbage { what: what.to_string(), line }
}

/// Returns the resident memory of all processes of a group, in bytes, or 0 where the system does not tell.
fn memory_of_group(group: u32) -> u64 {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let page = rustix::param::page_size() as u64;
    let pages = processes.flatten().filter_map(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        // The name of the program stands in parentheses, and may have spaces. Behind it, the group is the third field,
        // and the resident pages are the 22nd.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let of_group = fields.get(2)?.parse() == Ok(group);
        of_group.then(|| fields.get(21)?.parse::<u64>().ok()).flatten()
    });
    pages.sum::<u64>() * page
}
