//! Short constructors for messages and values, and short names for the steps of a replica.

use paxos::{
    Ballot, Batch, Config, Envelope, Event, Message, NodeId, Output, Proposal, Record, Refusal,
    Replica, Report, Slot, Timer, To, Token, Value, protocol::proposer::Role,
};

pub(crate) fn ballot(round: u64, node: u32) -> Ballot {
    Ballot::new(round, NodeId(node)).expect("rounds begin with 1")
}

pub(crate) fn value(command: &'static str) -> Value {
    Value::Command(command.into())
}

pub(crate) fn batch(commands: &[&'static str]) -> Batch {
    commands.iter().map(|command| value(command)).collect()
}

/// Returns the chosen values that a step releases.
pub(crate) fn released(output: &Output) -> Vec<(Slot, Value)> {
    output.held().chosen_slots().map(|(slot, value)| (slot, value.clone())).collect()
}

pub(crate) fn report(slot: u64, ballot: Ballot, command: &'static str) -> Report {
    Report { slot: Slot(slot), ballot, value: value(command) }
}

pub(crate) fn vote(ballot: Ballot, first: u64, commands: &[&'static str]) -> Record {
    Record::Accepted { ballot, first: Slot(first), values: batch(commands) }
}

pub(crate) fn config(id: u32, nodes: u32) -> Config {
    Config::new(NodeId(id), (1..=nodes).map(NodeId))
}

pub(crate) fn replica(id: u32, nodes: u32) -> Replica {
    Replica::new(config(id, nodes)).expect("the configuration is valid")
}

/// Returns a node that leads in its first ballot, to which nothing was reported.
pub(crate) fn leader(id: u32, nodes: u32) -> Replica {
    let mut leader = replica(id, nodes);
    campaign(&mut leader);
    for other in (1..=nodes).filter(|&other| other != id).take(nodes as usize / 2) {
        promise(&mut leader, other, ballot(1, id), []);
    }
    assert!(matches!(leader.parts().role, Role::Leader(_)));
    leader
}

pub(crate) fn step(replica: &mut Replica, event: Event) -> Output {
    let mut output = Output::default();
    replica.step(event, &mut output);
    output
}

pub(crate) fn hear(replica: &mut Replica, from: u32, message: Message) -> Output {
    step(replica, Event::Message { from: NodeId(from), message })
}

pub(crate) fn hear_timer(replica: &mut Replica, timer: Timer) -> Output {
    step(replica, Event::Timer(timer))
}

pub(crate) fn campaign(replica: &mut Replica) -> Output {
    hear_timer(replica, Timer::Campaign)
}

pub(crate) fn propose(replica: &mut Replica, command: &'static str) -> Output {
    let proposal = Proposal { token: Token(0), command: command.into() };
    step(replica, Event::Propose(vec![proposal]))
}

pub(crate) fn prepare(replica: &mut Replica, from: u32, ballot: Ballot) -> Output {
    hear(replica, from, Message::Prepare { ballot, first: Slot(0) })
}

pub(crate) fn promise<const N: usize>(
    replica: &mut Replica,
    from: u32,
    ballot: Ballot,
    reports: [Report; N],
) -> Output {
    promise_trimmed(replica, from, ballot, 0, reports)
}

pub(crate) fn promise_trimmed<const N: usize>(
    replica: &mut Replica,
    from: u32,
    ballot: Ballot,
    trimmed: u64,
    reports: [Report; N],
) -> Output {
    let (trimmed, reports) = (Slot(trimmed), reports.into());
    hear(replica, from, Message::Promise { ballot, trimmed, reports })
}

pub(crate) fn snapshot(replica: &mut Replica, below: u64) -> Output {
    step(replica, Event::Snapshot { below: Slot(below) })
}

pub(crate) fn trimmed(below: u64) -> Record {
    Record::Trimmed { below: Slot(below) }
}

pub(crate) fn read<const N: usize>(replica: &mut Replica, tokens: [u64; N]) -> Output {
    step(replica, Event::Read(tokens.map(Token).into()))
}

pub(crate) fn confirm(replica: &mut Replica, from: u32, ballot: Ballot, round: u64) -> Output {
    hear(replica, from, Message::Confirm { ballot, round })
}

pub(crate) fn confirmed(replica: &mut Replica, from: u32, ballot: Ballot, round: u64) -> Output {
    hear(replica, from, Message::Confirmed { ballot, round })
}

/// Returns the token of each read that may be answered, and the first slot that it need not see.
pub(crate) fn ready(output: &Output) -> Vec<(u64, u64)> {
    output.held().reads.iter().map(|read| (read.token.0, read.at.0)).collect()
}

pub(crate) fn refusals(output: &Output) -> Vec<(u64, Refusal)> {
    output.held().refused.iter().map(|refused| (refused.token.0, refused.refusal)).collect()
}

pub(crate) fn accept(
    replica: &mut Replica,
    from: u32,
    ballot: Ballot,
    first: u64,
    commands: &[&'static str],
) -> Output {
    hear(replica, from, Message::Accept { ballot, first: Slot(first), values: batch(commands) })
}

pub(crate) fn accepted(
    replica: &mut Replica,
    from: u32,
    ballot: Ballot,
    first: u64,
    count: u64,
) -> Output {
    hear(replica, from, Message::Accepted { ballot, first: Slot(first), count })
}

pub(crate) fn learned(first: u64, commands: &[&'static str]) -> Message {
    Message::Learned { first: Slot(first), values: batch(commands), more: false }
}

pub(crate) fn sent(output: &Output) -> Vec<(To, Message)> {
    output.held().messages.iter().map(|Envelope { to, message }| (*to, message.clone())).collect()
}

pub(crate) fn promise_to<const N: usize>(
    to: u32,
    ballot: Ballot,
    reports: [Report; N],
) -> (To, Message) {
    (To::Node(NodeId(to)), Message::Promise { ballot, trimmed: Slot(0), reports: reports.into() })
}

pub(crate) fn accept_all(ballot: Ballot, first: u64, commands: &[&'static str]) -> (To, Message) {
    (To::Peers, Message::Accept { ballot, first: Slot(first), values: batch(commands) })
}

pub(crate) fn accepted_by(to: u32, ballot: Ballot, first: u64, count: u64) -> (To, Message) {
    (To::Node(NodeId(to)), Message::Accepted { ballot, first: Slot(first), count })
}

pub(crate) fn nack(to: u32, ballot: Ballot, promised: Ballot) -> (To, Message) {
    (To::Node(NodeId(to)), Message::Nack { ballot, promised })
}

pub(crate) fn refusal(output: &Output) -> Option<Refusal> {
    output.held().refused.first().map(|refused| refused.refusal)
}

/// Returns the value that a leader has proposed in a slot.
pub(crate) fn leads_with(replica: &Replica, slot: u64) -> Option<Value> {
    let parts = replica.parts();
    let vote = parts.acceptor.vote(Slot(slot))?;
    let leads = matches!(parts.role, Role::Leader(_));
    (leads && Some(vote.ballot) == parts.acceptor.promised).then(|| vote.value.clone())
}

/// Lets a node campaign, with the promise of one other node, until its ballot is high enough and the other node
/// accepts its proposal. Returns the value that it proposed in slot 0.
pub(crate) fn lead_with(nodes: &mut [Replica; 3], proposer: u32, helper: u32) -> Option<Value> {
    for _ in 0..10 {
        let (me, other) = (proposer as usize - 1, helper as usize - 1);
        if matches!(nodes[me].parts().role, Role::Leader(_)) {
            // It still leads. Either its ballot is the highest, or the other node refuses.
            let (ballot, value) = {
                let vote = nodes[me].parts().acceptor.vote(Slot(0))?;
                (vote.ballot, vote.value.clone())
            };
            let message = Message::Accept { ballot, first: Slot(0), values: [value].into() };
            let answer = hear(&mut nodes[other], proposer, message);
            match answer.held().messages[0].message.clone() {
                Message::Accepted { .. } => return leads_with(&nodes[me], 0),
                refused => hear(&mut nodes[me], helper, refused),
            };
        }
        let begun = campaign(&mut nodes[me]);
        let (_, Message::Prepare { ballot, .. }) = sent(&begun)[0] else { unreachable!() };
        let answer = prepare(&mut nodes[other], proposer, ballot);
        hear(&mut nodes[me], helper, answer.held().messages[0].message.clone());
    }
    panic!("node {proposer} does not get its proposal accepted by node {helper}");
}
