//! The Raft of `TiKV`, tuned. A turn has one `Ready` for all its messages. A round of commands is one proposal. Appends
//! are batched, many messages are in flight, and no message is cut. A leader sends appends before its own sync, as the
//! crate allows. The commit index is written and not synced, as the crate allows.

use std::path::Path;

use bytes::Bytes;
use raft::{
    Config, RawNode,
    eraftpb::{Entry, EntryType, HardState, Message, MessageType},
    storage::MemStorage,
};

use super::turns::{self, Turns};
use crate::{
    disk::{Kind, LogFile},
    workload::{Contestant, Fault, Leadership, Work},
};

struct Node {
    core: RawNode<MemStorage>,
    file: Option<LogFile>,
    /// The index of the last entry that the node has applied.
    applied: u64,
}

pub(super) fn start(work: &Work, directory: &Path) -> Result<Box<dyn Contestant>, Fault> {
    let voters: Vec<_> = (0..work.nodes).map(id).collect();
    let node = |index| {
        let config = Config {
            max_size_per_msg: u64::MAX,
            max_inflight_msgs: 4096,
            batch_append: true,
            ..Config::new(id(index))
        };
        let log = MemStorage::new_with_conf_state((voters.clone(), Vec::new()));
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let core = RawNode::new(&config, log, &logger).map_err(refused)?;
        Ok(Node { core, file: LogFile::create(work, directory, index)?, applied: 0 })
    };
    let nodes = (0..work.nodes).map(node).collect::<Result<_, Fault>>()?;
    Ok(Box::new(Turns::led(nodes)?))
}

/// Returns the name of a node, which must not be 0.
fn id(index: usize) -> u64 {
    index as u64 + 1
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn refused(error: raft::Error) -> Fault {
    Fault::Refused(format!("raft-rs: {error}"))
}

impl turns::Node for Node {
    type Message = Message;

    fn campaign(&mut self) -> Result<(), Fault> {
        self.core.campaign().map_err(refused)
    }

    fn propose(&mut self, commands: &[Vec<u8>]) -> Result<(), Fault> {
        let entry =
            |command: &Vec<u8>| Entry { data: Bytes::copy_from_slice(command), ..Entry::default() };
        let mut proposal = Message::default();
        proposal.set_msg_type(MessageType::MsgPropose);
        proposal.from = self.core.raft.id;
        proposal.set_entries(commands.iter().map(entry).collect::<Vec<_>>().into());
        self.core.step(proposal).map_err(refused)
    }

    fn receive(&mut self, _: usize, message: Message) -> Result<(), Fault> {
        self.core.step(message).map_err(refused)
    }

    fn trim(&mut self, _: u64) -> Result<(), Fault> {
        // The last entry stays, because the memory storage takes its index and term from there.
        self.core.store().wl().compact(self.applied).map_err(refused)?;
        if let Some(file) = &mut self.file {
            file.append_lazily(Kind::Trimmed, self.applied, 0, b"");
        }
        Ok(())
    }

    fn end_turn(
        &mut self,
        mut send: impl FnMut(usize, Message),
        mut apply: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        let mut send_all = |messages: Vec<Message>| {
            for message in messages {
                send(message.to as usize - 1, message);
            }
        };
        while self.core.has_ready() {
            let mut ready = self.core.ready();
            send_all(ready.take_messages());
            self.apply(&ready.take_committed_entries(), &mut apply)?;
            self.write(ready.entries(), ready.hs(), ready.must_sync());
            if !ready.entries().is_empty() {
                self.core.store().wl().append(ready.entries()).map_err(refused)?;
            }
            if let Some(state) = ready.hs() {
                self.core.store().wl().set_hardstate(state.clone());
            }
            if let Some(file) = &mut self.file {
                file.sync()?;
            }
            send_all(ready.take_persisted_messages());
            let mut light = self.core.advance(ready);
            if let Some(commit) = light.commit_index() {
                self.core.store().wl().mut_hard_state().set_commit(commit);
            }
            send_all(light.take_messages());
            self.apply(&light.take_committed_entries(), &mut apply)?;
            self.core.advance_apply();
        }
        Ok(())
    }

    fn leadership(&self) -> Option<Leadership> {
        let raft = &self.core.raft;
        Some(Leadership { leader: raft.leader_id.checked_sub(1)?, ballot: raft.term })
    }

    fn syncs(&self) -> u64 {
        turns::syncs_of(self.file.as_ref())
    }
}

impl Node {
    fn apply(&mut self, entries: &[Entry], apply: &mut impl FnMut(&[u8])) -> Result<(), Fault> {
        for entry in entries {
            if entry.get_entry_type() != EntryType::EntryNormal {
                return Err(Fault::Refused("raft-rs changed its members".to_owned()));
            }
            // A new leader commits an empty entry first.
            if !entry.data.is_empty() {
                apply(&entry.data);
            }
            self.applied = entry.index;
        }
        Ok(())
    }

    fn write(&mut self, entries: &[Entry], state: Option<&HardState>, must_sync: bool) {
        let Some(file) = &mut self.file else { return };
        for entry in entries {
            file.append(Kind::Entry, entry.index, entry.term, &entry.data);
        }
        if let Some(state) = state {
            if must_sync {
                file.append(Kind::Promise, state.term, state.vote, b"");
            }
            file.append_lazily(Kind::Chosen, state.commit, 0, b"");
        }
    }
}
