//! Sessions: a command that is chosen twice is applied once.
//!
//! Whoever asks for a command and hears nothing asks again, perhaps elsewhere; so one command may get
//! into the log more than once, which Paxos does not mind. Here each carries the session of its client
//! and a number, and only the first of a number is applied. What it answered is kept until the client
//! says that it has heard it, in snapshots too, as far as [`ANSWERS_MAX`] and [`ANSWERS_BYTES_MAX`] allow.
//!
//! A session is opened by an entry of the log, and its id is the slot of that entry. When there are
//! more than [`SESSIONS_MAX`], the one that was not used for the longest stretch of the log expires.
//! All of it is decided by the log alone, so that every node decides alike; no clock is asked. A
//! command of an expired session is not applied: whether it ever was cannot be told any more.

mod client;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::client::{ClientSession, Request};
use crate::machine::{Answer, Frozen, RestoreError, StateMachine};
use paxos::types::{Slot, Value};

/// How many sessions there can be at once, over the whole cluster.
pub const SESSIONS_MAX: usize = 4096;

/// How many answers are kept for a session at most. The oldest are forgotten first, as if their client had
/// heard them; if it has not, and asks again, it gets none.
pub const ANSWERS_MAX: usize = 1 << 16;

/// The most bytes that all sessions take: their answers, and [`ANSWER_BYTES`] for each. The answers of the session that
/// was not used for the longest stretch of the log are forgotten first, the oldest before the others. A session remembers
/// that they were given, which takes [`ANSWER_BYTES`] as well. Where that is too much, too, the session forgets all of
/// them, as if its client had heard them.
pub const ANSWERS_BYTES_MAX: usize = 64 << 20;

/// The bytes that it takes to keep an answer, or to remember that there was one, beside the bytes of the answer itself.
pub const ANSWER_BYTES: usize = 64;

/// Names a session. Nobody can name one of another kind of owner by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// Whose it is.
    pub owner: Owner,
    /// The slot of the entry that opened it.
    pub slot: Slot,
}

/// Who numbers the commands of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// A node, for those of its clients that have none.
    Node,
    /// A client, for itself.
    Client,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slot.fmt(f)
    }
}

/// What a command in the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Opens a session.
    Open {
        /// Lets whoever asked recognise its own. Nobody may ever use one twice: a node that starts again
        /// sees its old log once more.
        nonce: u128,
        /// Whose it is to be.
        owner: Owner,
    },
    /// A command for the machine.
    Command {
        /// Whose.
        session: SessionId,
        /// Which of that session's, from 0.
        sequence: u64,
        /// The answers to all below have been heard.
        answered_below: u64,
        /// What the machine gets.
        command: Bytes,
    },
}

impl Entry {
    /// The entry as the bytes of a command.
    pub fn encode(&self) -> Bytes {
        postcard::to_stdvec(self).expect("any entry can be written to memory").into()
    }

    /// The entry that these bytes are, if they are one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// The same, read without a copy of the command.
#[derive(Deserialize)]
enum Borrowed<'a> {
    Open { nonce: u128, owner: Owner },
    Command { session: SessionId, sequence: u64, answered_below: u64, command: &'a [u8] },
}

/// The name of a command: its session, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CommandId {
    pub(crate) session: SessionId,
    pub(crate) sequence: u64,
}

/// Returns the name of the command in an entry, if the entry has one.
pub(crate) fn command_id(entry: &[u8]) -> Option<CommandId> {
    match postcard::from_bytes(entry) {
        Ok(Borrowed::Command { session, sequence, .. }) => Some(CommandId { session, sequence }),
        _ => None,
    }
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied<A = Bytes> {
    /// A session was opened.
    Opened {
        /// As it was asked for.
        nonce: u128,
        /// Its id.
        session: SessionId,
    },
    /// A command was applied, or had been before.
    Answered {
        /// Whose.
        session: SessionId,
        /// Which.
        sequence: u64,
        /// What the machine answered when it was applied.
        answer: A,
    },
    /// A command was applied before, or given up by its client, and its answer is not kept.
    Forgotten {
        /// Whose.
        session: SessionId,
        /// Which.
        sequence: u64,
    },
    /// There is no such session, or none any more: the command is not applied.
    Expired {
        /// Whose.
        session: SessionId,
        /// Which.
        sequence: u64,
    },
    /// Nothing that anybody waits for: a gap filled, or bytes that are no entry.
    Nothing,
}

/// One client's commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session<A = Bytes> {
    /// The slot of its last entry.
    used: Slot,
    answered_below: u64,
    /// Answers that its client has not said to have heard.
    answers: BTreeMap<u64, A>,
    /// Whose answers were too much to keep.
    unkept: BTreeSet<u64>,
}

impl<A: Answer> Session<A> {
    /// The number of bytes that its answers take.
    fn bytes(&self) -> usize {
        self.answers.values().map(kept_bytes).sum::<usize>() + self.unkept.len() * ANSWER_BYTES
    }

    /// Whether it takes any bytes.
    fn keeps(&self) -> bool {
        !(self.answers.is_empty() && self.unkept.is_empty())
    }

    /// Forgets all that is below a number. Returns the bytes that it took.
    fn forget_below(&mut self, answered_below: u64) -> usize {
        self.answered_below = answered_below;
        let answers = self.answers.split_off(&answered_below);
        let unkept = self.unkept.split_off(&answered_below);
        let answers = std::mem::replace(&mut self.answers, answers);
        let unkept = std::mem::replace(&mut self.unkept, unkept);
        answers.values().map(kept_bytes).sum::<usize>() + unkept.len() * ANSWER_BYTES
    }

    /// The same session with its answers in another form.
    fn map<B>(&self, answer: impl Fn(&A) -> Option<B>) -> Option<Session<B>> {
        let Self { used, answered_below, answers, unkept } = self;
        let answers = answers.iter().map(|(&sequence, kept)| Some((sequence, answer(kept)?)));
        let answers = answers.collect::<Option<_>>()?;
        let (used, answered_below, unkept) = (*used, *answered_below, unkept.clone());
        Some(Session { used, answered_below, answers, unkept })
    }
}

/// The number of bytes that it takes to keep an answer.
fn kept_bytes(answer: &impl Answer) -> usize {
    answer.size() + ANSWER_BYTES
}

/// A machine behind sessions: the log is applied to it, entry by entry.
#[derive(Debug)]
pub struct Sessions<M: StateMachine> {
    machine: M,
    /// The first slot that is not applied.
    applied: Slot,
    /// A snapshot that is being written shares them.
    by_id: BTreeMap<SessionId, Arc<Session<M::Answer>>>,
    /// The session of each last use, oldest first. Follows from `by_id`.
    by_use: BTreeMap<Slot, SessionId>,
    /// The same of those that keep answers, or remember that there were some.
    keeping: BTreeMap<Slot, SessionId>,
    /// The bytes that all sessions take. Follows from `by_id`.
    answers_bytes: usize,
    answers_bytes_max: usize,
}

/// The version of the format of snapshots that is written, and the only one that is read.
const VERSION: u8 = 4;

/// What a snapshot begins with. The sessions follow, and then the state of the machine.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u8,
    applied: Slot,
    sessions: u64,
}

/// The longest session in a snapshot, in bytes.
const SESSION_BYTES_MAX: u64 = 1 << 30;

impl<M: StateMachine> Sessions<M> {
    /// A machine to which nothing was applied.
    pub fn new(machine: M) -> Self {
        Self {
            machine,
            applied: Slot(0),
            by_id: BTreeMap::new(),
            by_use: BTreeMap::new(),
            keeping: BTreeMap::new(),
            answers_bytes: 0,
            answers_bytes_max: ANSWERS_BYTES_MAX,
        }
    }

    /// The machine, to be read.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The first slot that is not applied.
    pub fn applied(&self) -> Slot {
        self.applied
    }

    /// How many sessions are open.
    pub fn open(&self) -> usize {
        self.by_id.len()
    }

    /// Applies what was chosen in the next slot.
    pub fn apply(&mut self, slot: Slot, value: &Value) -> Applied<M::Answer> {
        assert_eq!(slot, self.applied, "slots are applied in their order");
        self.applied = slot.plus(1);
        let Value::Command(bytes) = value else { return Applied::Nothing };
        match postcard::from_bytes(bytes) {
            Ok(Borrowed::Open { nonce, owner }) => self.open_session(slot, nonce, owner),
            Ok(Borrowed::Command { session, sequence, answered_below, command }) => {
                self.command(slot, session, sequence, answered_below, command)
            }
            Err(_) => Applied::Nothing,
        }
    }

    /// What became of a command of a session that is open; nothing if it was not applied.
    pub fn became(&self, session: SessionId, sequence: u64) -> Option<Applied<M::Answer>> {
        let open = self.by_id.get(&session)?;
        if sequence < open.answered_below {
            return Some(Applied::Forgotten { session, sequence });
        }
        if open.unkept.contains(&sequence) {
            return Some(Applied::Forgotten { session, sequence });
        }
        let answer = open.answers.get(&sequence)?.clone();
        Some(Applied::Answered { session, sequence, answer })
    }

    /// Whether a session is open.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.by_id.contains_key(&session)
    }

    /// All of it, for a snapshot.
    pub fn snapshot(&self) -> Frozen {
        let head =
            Head { version: VERSION, applied: self.applied, sessions: self.by_id.len() as u64 };
        let (sessions, machine) = (self.by_id.clone(), self.machine.snapshot());
        Box::new(move |file| {
            write(&head, file)?;
            for (id, session) in sessions {
                let in_bytes = session.map(|answer| Some(answer.to_bytes()));
                write(&(id, in_bytes.expect("every answer has bytes")), file)?;
            }
            machine(file)
        })
    }

    /// Replaces all of it by a snapshot, which is to hold all slots below `below`.
    ///
    /// # Errors
    /// Bytes that are no snapshot, or one of other slots, with everything left as it was.
    pub fn restore(&mut self, below: Slot, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let head: Head = read(snapshot)?;
        if head.version != VERSION {
            let reason = format!("it is of version {}, not {VERSION}", head.version);
            return Err(RestoreError::new(reason));
        }
        if head.applied != below {
            let reason = format!("it ends at slot {}, not {below}", head.applied);
            return Err(RestoreError::new(reason));
        }
        let mut by_id = BTreeMap::new();
        for _ in 0..head.sessions {
            let (id, session): (SessionId, Session) = read(snapshot)?;
            let session = session.map(|bytes| M::Answer::from_bytes(bytes.clone()));
            let unreadable = || RestoreError::new("an answer that it keeps is unreadable");
            by_id.insert(id, Arc::new(session.ok_or_else(unreadable)?));
        }
        self.machine.restore(snapshot)?;
        self.applied = head.applied;
        self.by_use = by_id.iter().map(|(&id, session)| (session.used, id)).collect();
        self.answers_bytes = by_id.values().map(|session| session.bytes()).sum();
        let keeping = by_id.iter().filter(|(_, session)| session.keeps());
        self.keeping = keeping.map(|(&id, session)| (session.used, id)).collect();
        self.by_id = by_id;
        Ok(())
    }

    fn open_session(&mut self, slot: Slot, nonce: u128, owner: Owner) -> Applied<M::Answer> {
        if self.by_id.len() == SESSIONS_MAX
            && let Some((_, unused)) = self.by_use.pop_first()
        {
            let expired = self.by_id.remove(&unused).expect("it was used");
            self.keeping.remove(&expired.used);
            self.answers_bytes -= expired.bytes();
        }
        let session = Session {
            used: slot,
            answered_below: 0,
            answers: BTreeMap::new(),
            unkept: BTreeSet::new(),
        };
        let id = SessionId { owner, slot };
        self.by_id.insert(id, Arc::new(session));
        self.by_use.insert(slot, id);
        Applied::Opened { nonce, session: id }
    }

    fn command(
        &mut self,
        slot: Slot,
        id: SessionId,
        sequence: u64,
        answered_below: u64,
        command: &[u8],
    ) -> Applied<M::Answer> {
        let Some(session) = self.by_id.get_mut(&id) else {
            return Applied::Expired { session: id, sequence };
        };
        let session = Arc::make_mut(session);
        self.by_use.remove(&session.used);
        self.keeping.remove(&session.used);
        self.by_use.insert(slot, id);
        session.used = slot;
        if answered_below > session.answered_below {
            self.answers_bytes -= session.forget_below(answered_below);
        }
        if session.keeps() {
            self.keeping.insert(slot, id);
        }
        if let Some(became) = self.became(id, sequence) {
            return became;
        }
        let answer = self.machine.apply(command);
        self.keep(slot, id, sequence, answer.clone());
        Applied::Answered { session: id, sequence, answer }
    }

    /// Keeps an answer of the session that is used now, and forgets older ones if it is too much.
    fn keep(&mut self, slot: Slot, id: SessionId, sequence: u64, answer: M::Answer) {
        let session = Arc::make_mut(self.by_id.get_mut(&id).expect("it is open"));
        self.answers_bytes += kept_bytes(&answer);
        session.answers.insert(sequence, answer);
        self.keeping.insert(slot, id);
        if session.answers.len() + session.unkept.len() > ANSWERS_MAX {
            let firsts = [session.answers.keys().next(), session.unkept.first()];
            let oldest = firsts.into_iter().flatten().copied().min().expect("there are many");
            self.answers_bytes -= session.forget_below(oldest + 1);
        }
        while self.answers_bytes > self.answers_bytes_max
            && let Some(longest_unused) = self.keeping.first_entry()
        {
            let session = self.by_id.get_mut(longest_unused.get()).expect("it keeps answers");
            let session = Arc::make_mut(session);
            if let Some((sequence, answer)) = session.answers.pop_first() {
                session.unkept.insert(sequence);
                self.answers_bytes -= answer.size();
            } else {
                let last = session.unkept.last().copied().expect("it keeps something");
                self.answers_bytes -= session.forget_below(last + 1);
                longest_unused.remove();
            }
        }
    }
}

/// Writes a value behind its length.
fn write(value: &impl Serialize, file: &mut dyn Write) -> io::Result<()> {
    let bytes = postcard::to_stdvec(value).map_err(io::Error::other)?;
    file.write_all(&(bytes.len() as u64).to_le_bytes())?;
    file.write_all(&bytes)
}

/// Reads what [`write`] has written.
fn read<T: DeserializeOwned>(file: &mut dyn Read) -> Result<T, RestoreError> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > SESSION_BYTES_MAX {
        return Err(RestoreError::new(format!("a session of {length} bytes is too long")));
    }
    // Whatever the length says, no more memory is taken than there are bytes.
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes)
        .map_err(|error| RestoreError::new(format!("its sessions are unreadable: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::{Counter, bytes};

    #[test]
    fn answers_that_nobody_hears_are_not_kept_for_ever() {
        let mut sessions = Sessions::new(Counter(0));
        let mut client = ClientSession::new(Slot(0));
        let mut apply = |entry: Entry| {
            let slot = sessions.applied();
            let applied = sessions.apply(slot, &Value::Command(entry.encode()));
            let kept = sessions.by_id.values().map(|session| session.answers.len());
            (applied, kept.max().unwrap_or_default())
        };
        apply(Entry::Open { nonce: 1, owner: Owner::Client });
        let requests: Vec<_> = (0..ANSWERS_MAX as u64 + 3).map(|_| client.request("")).collect();
        let kept = requests.iter().map(|request| apply(request.entry()).1).max();
        assert_eq!(kept, Some(ANSWERS_MAX));
        // Asked for again: what is forgotten is not applied again, and what is kept is answered as before.
        let session = SessionId { owner: Owner::Client, slot: Slot(0) };
        assert_eq!(apply(requests[2].entry()).0, Applied::Forgotten { session, sequence: 2 });
        let answered = Applied::Answered { session, sequence: 3, answer: "4".into() };
        assert_eq!(apply(requests[3].entry()).0, answered);
    }

    fn apply(sessions: &mut Sessions<Counter>, entry: &Entry) -> Applied {
        let slot = sessions.applied();
        let applied = sessions.apply(slot, &Value::Command(entry.encode()));
        assert!(sessions.answers_bytes <= sessions.answers_bytes_max);
        let bytes = sessions.by_id.values().map(|session| session.bytes());
        assert_eq!(sessions.answers_bytes, bytes.sum::<usize>());
        let keeping = sessions.by_id.values().filter(|session| session.keeps());
        assert_eq!(sessions.keeping.len(), keeping.count());
        applied
    }

    /// Two clients with sessions of their own.
    fn two_clients(sessions: &mut Sessions<Counter>) -> [ClientSession; 2] {
        [0_u32, 1].map(|slot| {
            apply(sessions, &Entry::Open { nonce: slot.into(), owner: Owner::Client });
            ClientSession::new(Slot(slot.into()))
        })
    }

    /// What is forgotten for want of room is not applied again; the session in use forgets last. A snapshot has the
    /// same.
    #[test]
    fn answers_have_no_more_bytes_than_allowed() {
        let mut sessions = Sessions::new(Counter(0));
        // Answers have a byte each. Of four, there is room for three.
        let most = 4 * ANSWER_BYTES + 3;
        sessions.answers_bytes_max = most;
        let mut clients = two_clients(&mut sessions);
        let one = [clients[0].request("").entry(), clients[0].request("").entry()];
        let other = [clients[1].request("").entry(), clients[1].request("").entry()];
        for entry in one.iter().chain(&other) {
            apply(&mut sessions, entry);
        }
        let (mut restored, state) = (Sessions::new(Counter(4)), bytes(sessions.snapshot()));
        restored.restore(sessions.applied(), &mut &state[..]).unwrap();
        restored.answers_bytes_max = most;
        for sessions in [&mut sessions, &mut restored] {
            assert!(matches!(apply(sessions, &one[0]), Applied::Forgotten { sequence: 0, .. }));
            assert!(matches!(apply(sessions, &one[1]), Applied::Answered { .. }));
            for entry in &other {
                assert!(matches!(apply(sessions, entry), Applied::Answered { .. }));
            }
            assert_eq!(sessions.machine().0, 4, "each was applied once");
            // Whoever says that it has heard makes room.
            clients[1].forget_all();
            let entry = clients[1].request("").entry();
            apply(sessions, &entry);
            assert_eq!(sessions.answers_bytes, 3 * ANSWER_BYTES + 2);
        }
    }

    /// Sessions that only remember that there were answers take no more bytes than allowed either.
    #[test]
    fn what_is_remembered_of_answers_has_a_limit() {
        let mut sessions = Sessions::new(Counter(0));
        sessions.answers_bytes_max = 3 * ANSWER_BYTES;
        let mut clients = two_clients(&mut sessions);
        let one = [(); 3].map(|()| clients[0].request("").entry());
        let other = [(); 2].map(|()| clients[1].request("").entry());
        for entry in one.iter().chain(&other) {
            apply(&mut sessions, entry);
        }
        assert_eq!(sessions.answers_bytes, 2 * ANSWER_BYTES + 2, "the first forgets everything");
        for entry in &one {
            assert!(matches!(apply(&mut sessions, entry), Applied::Forgotten { .. }));
        }
        assert_eq!(sessions.machine().0, 5, "each was applied once");
    }

    /// A snapshot has what was there when it was taken, and not what came while it was written.
    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut sessions = Sessions::new(Counter(0));
        let mut clients = two_clients(&mut sessions);
        apply(&mut sessions, &clients[0].request("").entry());
        let (frozen, before) = (sessions.snapshot(), bytes(sessions.snapshot()));
        apply(&mut sessions, &clients[0].request("").entry());
        apply(&mut sessions, &clients[1].request("").entry());
        assert_eq!(bytes(frozen), before);
    }

    /// A client that is wrong about its session does not spoil that of a node.
    #[test]
    fn nobody_uses_the_session_of_somebody_else() {
        for (owner, applied) in [(Owner::Client, 1), (Owner::Node, 0)] {
            let mut sessions = Sessions::new(Counter(0));
            let asked = ClientSession::new(Slot(0)).request("").entry();
            for (slot, entry) in [Entry::Open { nonce: 1, owner }, asked].iter().enumerate() {
                sessions.apply(Slot(slot as u64), &Value::Command(entry.encode()));
            }
            assert_eq!(sessions.machine().0, applied, "a session of a {owner:?}");
        }
    }
}
