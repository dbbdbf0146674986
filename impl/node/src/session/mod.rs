//! Sessions: a command that is chosen twice is applied once.
//!
//! A client that hears no answer sends its command again, perhaps to another node. So the log may contain a command
//! more than once; Paxos allows that. Each command therefore carries its session and its number in the session, and
//! only the first entry with that number is applied. The client table keeps the answer until the client confirms it, as
//! far as [`ANSWERS_MAX`] and [`ANSWERS_BYTES_MAX`] allow. Snapshots contain the client table.
//!
//! An entry of the log opens a session, and the slot of that entry names the session. When there are more than
//! [`SESSIONS_MAX`], the session that was unused for the longest stretch of the log expires. The log alone decides, and
//! no clock, so that every node decides alike. A command of an expired session is not applied, and its client cannot
//! learn whether the command was applied before.

mod client;
mod entry;
mod snapshot;
mod table;

pub(crate) use self::entry::{CommandId, command_id};
pub use self::{
    client::{ClientSession, Request},
    entry::{Applied, Entry, Owner, SessionId},
};
use self::{entry::BorrowedEntry, table::ClientTable};
use crate::machine::StateMachine;
use paxos::types::{Slot, Value};

/// The most sessions that are open at once, over the whole cluster.
pub const SESSIONS_MAX: usize = 4096;

/// The most answers that are kept for a session. The oldest are forgotten first, as if the client had heard them. If a
/// client has not heard such an answer, and sends the command again, it gets no answer.
pub const ANSWERS_MAX: usize = 1 << 16;

/// The most bytes that all sessions keep: their answers, and [`ANSWER_BYTES`] for each. The answers of the session
/// that was unused for the longest stretch of the log are dropped first, the oldest before the others. The session
/// still keeps the numbers of their commands, which take [`ANSWER_BYTES`] each. If that is too much as well, the
/// session forgets all of them, as if its client had heard them.
pub const ANSWERS_BYTES_MAX: usize = 64 << 20;

/// The bytes that an answer takes beside its own bytes, or that the number of a command takes.
pub const ANSWER_BYTES: usize = 64;

/// A state machine with its client table. The log is applied to it, entry by entry.
#[derive(Debug)]
pub struct Sessions<M: StateMachine> {
    machine: M,
    /// The first slot that is not applied.
    applied: Slot,
    table: ClientTable<M::Answer>,
}

impl<M: StateMachine> Sessions<M> {
    /// Returns a machine to which nothing was applied.
    pub fn new(machine: M) -> Self {
        Self { machine, applied: Slot(0), table: ClientTable::new() }
    }

    /// The state machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The first slot that is not applied.
    pub fn applied(&self) -> Slot {
        self.applied
    }

    /// The number of open sessions.
    pub fn open(&self) -> usize {
        self.table.sessions().len()
    }

    /// Returns true if a session is open.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.table.sessions().contains_key(&session)
    }

    /// Returns the result of a command of an open session, or `None` if the command was not applied.
    pub fn became(&self, session: SessionId, sequence: u64) -> Option<Applied<M::Answer>> {
        self.table.result(CommandId { session, sequence })
    }

    /// Applies the value that was chosen in `slot`, which must be the first slot that is not applied.
    pub fn apply(&mut self, slot: Slot, value: &Value) -> Applied<M::Answer> {
        assert_eq!(slot, self.applied, "slots are applied in their order");
        self.applied = slot.plus(1);
        let Value::Command(bytes) = value else { return Applied::Nothing };
        match postcard::from_bytes(bytes) {
            Ok(BorrowedEntry::Open { nonce, owner }) => {
                let session = SessionId { owner, slot };
                self.table.open(session);
                Applied::Opened { nonce, session }
            }
            Ok(BorrowedEntry::Command { session, sequence, answered_below, command }) => {
                self.command(slot, CommandId { session, sequence }, answered_below, command)
            }
            Err(_) => Applied::Nothing,
        }
    }

    fn command(
        &mut self,
        slot: Slot,
        id: CommandId,
        answered_below: u64,
        command: &[u8],
    ) -> Applied<M::Answer> {
        let CommandId { session, sequence } = id;
        if !self.table.use_session(slot, session, answered_below) {
            return Applied::Expired { session, sequence };
        }
        if let Some(result) = self.table.result(id) {
            return result;
        }
        let answer = self.machine.apply(command);
        self.table.keep(slot, id, answer.clone());
        Applied::Answered { session, sequence, answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::{Counter, bytes};

    #[test]
    fn answers_that_no_client_hears_are_not_kept_for_ever() {
        let mut sessions = Sessions::new(Counter(0));
        let mut client = ClientSession::new(Slot(0));
        let mut apply = |entry: Entry| {
            let slot = sessions.applied();
            let applied = sessions.apply(slot, &Value::Command(entry.encode()));
            (applied, sessions.table.answers())
        };
        apply(Entry::Open { nonce: 1, owner: Owner::Client });
        let requests: Vec<_> = (0..ANSWERS_MAX as u64 + 3).map(|_| client.request("")).collect();
        let kept = requests.iter().map(|request| apply(request.entry()).1).max();
        assert_eq!(kept, Some(ANSWERS_MAX));
        // A forgotten command is not applied again, and one whose answer is kept is answered as before.
        let session = SessionId { owner: Owner::Client, slot: Slot(0) };
        assert_eq!(apply(requests[2].entry()).0, Applied::Forgotten { session, sequence: 2 });
        let answered = Applied::Answered { session, sequence: 3, answer: "4".into() };
        assert_eq!(apply(requests[3].entry()).0, answered);
    }

    fn apply(sessions: &mut Sessions<Counter>, entry: &Entry) -> Applied {
        let slot = sessions.applied();
        let applied = sessions.apply(slot, &Value::Command(entry.encode()));
        sessions.table.bytes(); // Checks the table.
        applied
    }

    /// Two clients with sessions of their own.
    fn two_clients(sessions: &mut Sessions<Counter>) -> [ClientSession; 2] {
        [0_u32, 1].map(|slot| {
            apply(sessions, &Entry::Open { nonce: slot.into(), owner: Owner::Client });
            ClientSession::new(Slot(slot.into()))
        })
    }

    /// A command whose answer was dropped is not applied again. The session that was used last drops its answers last.
    /// Both also hold after a snapshot was restored.
    #[test]
    fn answers_have_no_more_bytes_than_allowed() {
        let mut sessions = Sessions::new(Counter(0));
        // Answers have a byte each. Of four, there is room for three.
        let most = 4 * ANSWER_BYTES + 3;
        sessions.table.limit(most);
        let mut clients = two_clients(&mut sessions);
        let one = [clients[0].request("").entry(), clients[0].request("").entry()];
        let other = [clients[1].request("").entry(), clients[1].request("").entry()];
        for entry in one.iter().chain(&other) {
            apply(&mut sessions, entry);
        }
        let (mut restored, state) = (Sessions::new(Counter(4)), bytes(sessions.snapshot()));
        restored.restore(sessions.applied(), &mut &state[..]).unwrap();
        restored.table.limit(most);
        for sessions in [&mut sessions, &mut restored] {
            assert!(matches!(apply(sessions, &one[0]), Applied::Forgotten { sequence: 0, .. }));
            assert!(matches!(apply(sessions, &one[1]), Applied::Answered { .. }));
            for entry in &other {
                assert!(matches!(apply(sessions, entry), Applied::Answered { .. }));
            }
            assert_eq!(sessions.machine().0, 4, "each was applied once");
            // A client that confirms answers frees their bytes.
            clients[1].forget_all();
            let entry = clients[1].request("").entry();
            apply(sessions, &entry);
            assert_eq!(sessions.table.bytes(), 3 * ANSWER_BYTES + 2);
        }
    }

    /// The limit of bytes also holds for sessions that keep only numbers.
    #[test]
    fn numbers_of_dropped_answers_have_a_limit() {
        let mut sessions = Sessions::new(Counter(0));
        sessions.table.limit(3 * ANSWER_BYTES);
        let mut clients = two_clients(&mut sessions);
        let one = [(); 3].map(|()| clients[0].request("").entry());
        let other = [(); 2].map(|()| clients[1].request("").entry());
        for entry in one.iter().chain(&other) {
            apply(&mut sessions, entry);
        }
        assert_eq!(sessions.table.bytes(), 2 * ANSWER_BYTES + 2, "the first forgets everything");
        for entry in &one {
            assert!(matches!(apply(&mut sessions, entry), Applied::Forgotten { .. }));
        }
        assert_eq!(sessions.machine().0, 5, "each was applied once");
    }

    /// A snapshot has the state at the time at which it was taken, and nothing that was applied while it was written.
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

    /// A client that names the session of a node by mistake does not use that session.
    #[test]
    fn no_owner_uses_the_session_of_another() {
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
