//! Our replica. The driver keeps the contract of the crate `paxos`: the records of a turn are durable before its
//! messages and its chosen values are released.

use std::path::Path;

use bytes::Bytes;
use paxos::{
    Config, Effects, Envelope, Event, Message, NodeId, Output, Proposal, Record, Replica, Slot,
    Timer, To, Token, Value,
};

use super::turns::{self, Turns};
use crate::{
    disk::{Kind, LogFile},
    workload::{Contestant, Fault, Leadership, Work},
};

struct Node {
    index: usize,
    nodes: usize,
    replica: Replica,
    output: Output,
    file: Option<LogFile>,
}

pub(super) fn start(work: &Work, directory: &Path) -> Result<Box<dyn Contestant>, Fault> {
    let ids = || (0..work.nodes).map(id);
    let node = |index| {
        let config = Config::new(id(index), ids());
        let replica = Replica::new(config).map_err(|error| Fault::Refused(error.to_string()))?;
        let file = LogFile::create(work, directory, index)?;
        Ok(Node { index, nodes: work.nodes, replica, output: Output::default(), file })
    };
    let nodes = (0..work.nodes).map(node).collect::<Result<_, Fault>>()?;
    Ok(Box::new(Turns::led(nodes)?))
}

fn id(index: usize) -> NodeId {
    NodeId(index as u32)
}

/// Passes the chosen commands to `apply`, in the order of the log.
fn release_chosen(effects: &Effects, mut apply: impl FnMut(&[u8])) -> Result<(), Fault> {
    for (slot, value) in effects.chosen_slots() {
        match value {
            Value::Command(command) => apply(command),
            Value::Noop => return Err(Fault::Refused(format!("slot {slot} is a gap"))),
        }
    }
    Ok(())
}

impl turns::Node for Node {
    type Message = Message;

    fn campaign(&mut self) -> Result<(), Fault> {
        self.replica.step(Event::Timer(Timer::Campaign), &mut self.output);
        Ok(())
    }

    fn propose(&mut self, commands: &[Vec<u8>]) -> Result<(), Fault> {
        let proposal = |(token, command): (u64, &Vec<u8>)| Proposal {
            token: Token(token),
            command: Bytes::copy_from_slice(command),
        };
        let proposals = (0..).zip(commands).map(proposal).collect();
        self.replica.step(Event::Propose(proposals), &mut self.output);
        Ok(())
    }

    fn receive(&mut self, from: usize, message: Message) -> Result<(), Fault> {
        self.replica.step(Event::Message { from: id(from), message }, &mut self.output);
        Ok(())
    }

    fn trim(&mut self, entries: u64) -> Result<(), Fault> {
        // The first entry is in slot 0, because there is no gap.
        self.replica.step(Event::Snapshot { below: Slot(entries) }, &mut self.output);
        Ok(())
    }

    fn end_turn(
        &mut self,
        mut send: impl FnMut(usize, Message),
        apply: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        self.output.persist(|records| match &mut self.file {
            Some(file) => persist(file, records),
            None => Ok(()),
        })?;
        let effects = self.output.released();
        if let Some(refused) = effects.refused.first() {
            return Err(Fault::Refused(format!("our replica refused a command: {refused:?}")));
        }
        release_chosen(effects, apply)?;
        for Envelope { to, message } in effects.messages.drain(..) {
            match to {
                To::Node(to) => send(to.0 as usize, message),
                To::Peers => {
                    for to in (0..self.nodes).filter(|to| *to != self.index) {
                        send(to, message.clone());
                    }
                }
            }
        }
        effects.clear();
        Ok(())
    }

    fn leadership(&self) -> Option<Leadership> {
        let ballot = self.replica.parts().acceptor.promised?;
        let leader = self.replica.leader()?;
        Some(Leadership { leader: leader.0.into(), ballot: ballot.round.get() })
    }

    fn syncs(&self) -> u64 {
        turns::syncs_of(self.file.as_ref())
    }
}

/// Makes records durable in a log.
fn persist(file: &mut LogFile, records: &[Record]) -> Result<(), Fault> {
    for record in records {
        write(file, record);
    }
    Ok(file.sync()?)
}

/// Adds a record of the replica to a log.
fn write(file: &mut LogFile, record: &Record) {
    match record {
        Record::Promised(ballot) => {
            file.append(Kind::Promise, ballot.round.get(), ballot.node.0.into(), b"");
        }
        Record::Accepted { ballot, first, values } => {
            for (slot, value) in values.with_slots(*first) {
                let command: &[u8] = match value {
                    Value::Command(command) => command,
                    Value::Noop => b"",
                };
                file.append(Kind::Entry, slot.0, ballot.round.get(), command);
            }
        }
        // If this record is lost, the node has more votes than it needs.
        Record::Trimmed { below } => file.append_lazily(Kind::Trimmed, below.0, 0, b""),
    }
}
