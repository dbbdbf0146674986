//! The process of an adapter: one request, one reply, in bounded time and memory.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value as Json;

use crate::protocol::{Hello, PROTOCOL, Request};

/// The pause between two looks at the memory of an adapter.
const LOOK: Duration = Duration::from_millis(100);

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
    /// The adapter says that a request is no request.
    #[error("the adapter refused {request}: {error}")]
    Refused {
        /// The request.
        request: String,
        /// The error of the adapter.
        error: String,
    },
}

/// A running adapter.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    requests: Sender<String>,
    lines: Receiver<Result<String, Broken>>,
    limits: Limits,
    next_id: u64,
    looked: Instant,
}

impl Process {
    /// Starts an adapter, and greets it.
    pub(crate) fn start(command: &[String], limits: Limits) -> Result<(Self, Hello), Broken> {
        let failed = |error: std::io::Error| Broken::NotStarted {
            command: command.join(" "),
            error: error.to_string(),
        };
        let [program, arguments @ ..] = command else {
            return Err(failed(std::io::ErrorKind::InvalidInput.into()));
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
        // One line may wait. So an adapter that floods is stopped by its pipe.
        let (sender, lines) = sync_channel(1);
        thread::spawn(move || read_lines(output, limits.reply_bytes, &sender));
        // An adapter that does not read blocks this thread, and not the judge.
        let (requests, waiting) = channel();
        thread::spawn(move || write_lines(input, &waiting));
        let (next_id, looked) = (0, Instant::now());
        let mut process = Self { child, requests, lines, limits, next_id, looked };
        let reply = process.ask(&Request::Hello { proto: PROTOCOL })?;
        let hello = serde_json::from_value(reply.clone());
        let hello = hello.map_err(|error| garbage(&error, &reply.to_string()))?;
        Ok((process, hello))
    }

    /// Sends a request, and returns the reply without its id.
    pub(crate) fn ask(&mut self, request: &Request<'_>) -> Result<Json, Broken> {
        let id = self.next_id;
        self.next_id += 1;
        let request = serde_json::to_value(request).expect("a request is JSON");
        let mut sent = request.clone();
        sent["id"] = id.into();
        let mut line = sent.to_string();
        line.push('\n');
        if self.requests.send(line).is_err() {
            return Err(Broken::Ended);
        }
        let line = self.line()?;
        let mut reply: Json =
            serde_json::from_str(&line).map_err(|error| garbage(&error, &line))?;
        let Some(fields) = reply.as_object_mut() else {
            return Err(garbage(&"a reply is an object", &line));
        };
        if fields.remove("id") != Some(id.into()) {
            return Err(garbage(&format_args!("a reply has the id of its request, {id}"), &line));
        }
        match fields.get("error") {
            Some(error) => {
                Err(Broken::Refused { request: request.to_string(), error: error.to_string() })
            }
            None => Ok(reply),
        }
    }

    /// Returns the next line, in the time and memory that an adapter has.
    fn line(&mut self) -> Result<String, Broken> {
        let until = Instant::now() + self.limits.reply;
        loop {
            if self.looked.elapsed() > LOOK {
                self.looked = Instant::now();
                if memory_of_group(self.child.id()) > self.limits.memory_bytes {
                    return Err(Broken::Leaks(self.limits.memory_bytes));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(LOOK)) {
                Ok(line) => return line,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(Broken::Hangs(self.limits.reply));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Broken::Ended),
            }
        }
    }
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

fn write_lines(mut input: ChildStdin, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        // The adapter has ended. Then there is no reply either, and the judge notices that.
        if input.write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}

fn read_lines(output: ChildStdout, bytes_max: u64, lines: &SyncSender<Result<String, Broken>>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let read = (&mut output).take(bytes_max + 1).read_until(b'\n', &mut line);
        let line = match read {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() as u64 > bytes_max => Err(Broken::Floods(bytes_max)),
            Ok(_) => String::from_utf8(line).map_err(|error| {
                garbage(&"it is not UTF-8", &String::from_utf8_lossy(error.as_bytes()))
            }),
        };
        let last = line.is_err();
        if lines.send(line).is_err() || last {
            return;
        }
    }
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
