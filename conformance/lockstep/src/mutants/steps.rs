//! The steps of mutants. The number at a function is the number of its bug in the catalogue.
//!
//! To change the votes or the promise of a replica, a mutant recovers the replica from other records. The recovered replica
//! is a follower, and learns again the chosen values that it knew.

use paxos::{
    Ballot, Envelope, Event, Message, NodeId, Output, Record, Replica, Report, Slot, Timer, To,
    Value,
    protocol::{
        NodeSet,
        acceptor::Vote,
        proposer::{Candidate, Role},
    },
};
use paxos_model::cluster::Bug;

use super::{TestedReplica, snapshots_and_reads};

impl TestedReplica {
    /// Takes a step with this bug.
    pub(super) fn mutated_step(&mut self, bug: Bug, event: Event, output: &mut Output) {
        let replica = &mut self.replica;
        if is_nonsense(replica, &event) {
            return replica.step(event, output);
        }
        let mut out = Output::default();
        match bug {
            Bug::RepliesBeforePersisting => {
                replica.step(event, &mut out);
                lose_records(&mut out);
            }
            Bug::AcceptsBelowPromise => accept_below(replica, event, &mut out),
            Bug::PromisesBelowPromise => promise_below(replica, event, &mut out),
            Bug::AcceptDoesNotPromise => {
                obey_prepared(replica, &mut self.prepared, event, &mut out);
            }
            Bug::PromiseClearsVotes => {
                clear_votes(replica, &event);
                replica.step(event, &mut out);
            }
            Bug::HalfIsQuorum => {
                replica.step(event, &mut out);
                fill_up_quorum(replica, &mut out);
            }
            Bug::ProposesUnprepared => {
                replica.step(event, &mut out);
                renumber(replica, &mut out);
            }
            Bug::VotesOnlyOnce => vote_only_once(replica, event, &mut out),
            Bug::PromisesBelowKeptPromise | Bug::PromisesAgain => {
                let asked = prepared(&event);
                replica.step(event, &mut out);
                promise_anyway(bug, replica, asked, &mut out);
            }
            Bug::OneBallotVariable => {
                let voted = votes(replica);
                let asked = prepared(&event);
                let event = altered(bug, replica, event);
                replica.step(event, &mut out);
                if let Some(asked) = asked {
                    renew_votes(replica, asked, voted, &mut out);
                }
            }
            Bug::MatchesByValue => {
                let event = vote_by_value(replica, &self.proposed, event);
                replica.step(event, &mut out);
                remember_proposals(&mut self.proposed, &out);
            }
            Bug::ChangesValue => {
                let last = open_slots(replica).last().copied();
                let asks = matches!(event, Event::Propose(_));
                replica.step(event, &mut out);
                if let Some(last) = last.filter(|_| asks) {
                    put_in_place_of(last, &mut out);
                }
            }
            Bug::ReportsNothing | Bug::HidesOvertakenVotes => {
                let before = promised(replica).filter(|_| bug == Bug::HidesOvertakenVotes);
                replica.step(event, &mut out);
                hide_reports(bug, before, &mut out);
            }
            Bug::AsksBehindGap => ask_behind_gap(replica, event, &mut out),
            Bug::AcceptsOnlyPromised | Bug::AcceptsOnlyAbovePromise => {
                refuse_to_vote(bug, replica, event, &mut out);
            }
            Bug::ClaimsVote => {
                let claimed = claimed(&event);
                replica.step(event, &mut out);
                if let Some(claimed) = claimed {
                    instead_of_nack(&claimed, &mut out);
                }
            }
            // These bugs change the records after a crash, or the messages that leave early.
            Bug::ReusesBallot
            | Bug::UnreadableIsEmpty
            | Bug::ProposesTooEarly
            | Bug::CountsOwnVoteEarly => replica.step(event, &mut out),
            Bug::HidesTrimmed
            | Bug::TrimsUnchosen
            | Bug::ReadsUnconfirmed
            | Bug::ReadsBelowBarrier
            | Bug::ReadsBelowGap => {
                snapshots_and_reads::mutated_step(bug, replica, event, &mut out);
            }
            Bug::IgnoresReports
            | Bug::AdoptsLowest
            | Bug::CountsOldPromise
            | Bug::CountsPromiseTwice
            | Bug::CountsVoteTwice
            | Bug::AddsUpBallots
            | Bug::FillsGapUnasked
            | Bug::LeadsBehind
            | Bug::CountsOldConfirmation
            | Bug::AdoptsWholeLog => {
                let event = altered(bug, replica, event);
                replica.step(event, &mut out);
            }
        }
        output.append(out);
    }
}

/// Returns true for a message that every replica and every mutant ignores. Such a message comes from outside the cluster or
/// from the replica itself, names a ballot that its sender does not own, has no values, or is too far beyond the log.
fn is_nonsense(replica: &Replica, event: &Event) -> bool {
    let Event::Message { from, message } = event else { return false };
    let parts = replica.parts();
    let end = parts.acceptor.votes.end().max(parts.learner.chosen.end());
    let limit = end.plus(parts.config.slots_ahead_max);
    let peer = *from != parts.config.id && parts.config.nodes.contains(from);
    let sound = match message {
        Message::Prepare { ballot, .. } => ballot.node == *from,
        Message::Accept { ballot, first, values } => {
            let held = first.plus(values.len() as u64) <= limit;
            ballot.node == *from && !values.is_empty() && held
        }
        Message::Promise { reports, .. } => reports.iter().all(|report| report.slot < limit),
        _ => true,
    };
    !(peer && sound)
}

/// Alters an event before it reaches the replica.
fn altered(bug: Bug, replica: &Replica, event: Event) -> Event {
    let Event::Message { mut from, mut message } = event else { return event };
    match (bug, &mut message) {
        (Bug::IgnoresReports, Message::Promise { reports, .. }) => reports.clear(),
        (Bug::AdoptsLowest, Message::Promise { ballot, reports, .. }) => {
            lowest(replica, *ballot, reports);
        }
        (Bug::FillsGapUnasked, Message::Promise { reports, .. }) => drop_gaps(replica, reports),
        (Bug::OneBallotVariable, Message::Promise { ballot, reports, .. }) => {
            keep_first(replica, *ballot, reports);
        }
        (Bug::AdoptsWholeLog, Message::Promise { ballot, reports, .. }) => {
            whole_log(replica, *ballot, reports);
        }
        (Bug::LeadsBehind, Message::Promise { trimmed, .. }) => *trimmed = Slot(0),
        (Bug::CountsOldConfirmation, Message::Confirmed { round, .. }) => {
            if let Role::Leader(leader) = replica.parts().role {
                *round = leader.reader.round;
            }
        }
        (Bug::CountsOldPromise, Message::Promise { ballot, .. })
        | (Bug::AddsUpBallots, Message::Accepted { ballot, .. }) => renew(replica, ballot),
        (Bug::CountsPromiseTwice, Message::Promise { ballot, .. }) => {
            if let Some(candidate) = candidate_in(replica, *ballot) {
                from = stand_in(replica, candidate.heard, from);
            }
        }
        (Bug::CountsVoteTwice, Message::Accepted { ballot, first, .. }) => {
            if let Some(voters) = voters(replica, *ballot, *first) {
                from = stand_in(replica, voters, from);
            }
        }
        _ => {}
    }
    Event::Message { from, message }
}

/// 1: the records that messages depend on never reach the disk.
fn lose_records(out: &mut Output) {
    if !out.held().messages.is_empty() {
        out.records_mut().clear();
    }
}

/// 3: the replica votes for a proposal below its promise. The promise stays.
fn accept_below(replica: &mut Replica, event: Event, out: &mut Output) {
    match event {
        Event::Message { message: Message::Accept { ballot, .. }, .. }
            if Some(ballot) < promised(replica) =>
        {
            as_if_promised_less(replica, ballot, event, out);
        }
        _ => replica.step(event, out),
    }
}

/// 4: the replica promises a ballot below its promise, unless it voted in a higher one. Its promise falls.
fn promise_below(replica: &mut Replica, event: Event, out: &mut Output) {
    if let Event::Message { message: Message::Prepare { ballot, .. }, .. } = event
        && Some(ballot) < promised(replica)
        && votes(replica).iter().all(|(_, vote)| vote.ballot <= ballot)
    {
        *replica = rebuilt(replica, votes(replica), None);
    }
    replica.step(event, out);
}

/// 4b and 21: the replica answers a Prepare with a promise. In 4b it should refuse the Prepare, and in 21 it should not answer.
/// Nothing else changes.
fn promise_anyway(bug: Bug, replica: &Replica, asked: Option<(Ballot, Slot)>, out: &mut Output) {
    let Some((ballot, first)) = asked else { return };
    let message = Message::Promise { ballot, trimmed: Slot(0), reports: reports(replica, first) };
    match bug {
        Bug::PromisesBelowKeptPromise => instead_of_nack(&message, out),
        _ if out.held().messages.is_empty() => {
            out.held_mut().messages.push(Envelope { to: To::Node(ballot.node), message });
        }
        _ => {}
    }
}

/// 5: a promise binds only if it was made for a Prepare or a campaign, and not if only a vote implies it.
fn obey_prepared(
    replica: &mut Replica,
    prepared: &mut Option<Ballot>,
    event: Event,
    out: &mut Output,
) {
    let ballot = match event {
        Event::Message {
            message: Message::Prepare { ballot, .. } | Message::Accept { ballot, .. },
            ..
        } => Some(ballot),
        Event::Timer(Timer::Campaign) => Ballot::next(replica.parts().config.id, *prepared),
        _ => None,
    };
    match ballot {
        Some(ballot) if Some(ballot) >= *prepared && Some(ballot) < promised(replica) => {
            as_if_promised_less(replica, ballot, event, out);
        }
        _ => replica.step(event, out),
    }
    for record in out.records() {
        if let Record::Promised(ballot) = record {
            *prepared = Some(*ballot);
        }
    }
}

/// 6: the votes are dropped before a new promise reports them.
fn clear_votes(replica: &mut Replica, event: &Event) {
    if let Event::Message { message: Message::Prepare { ballot, .. }, .. } = event
        && Some(*ballot) > promised(replica)
        && !votes(replica).is_empty()
    {
        *replica = rebuilt(replica, Vec::new(), promised(replica));
    }
}

/// 7: a promise gives the votes its own ballot. When the node campaigns, its promise to itself keeps the old ballots; its
/// next vote renews them.
fn renew_votes(
    replica: &mut Replica,
    (ballot, first): (Ballot, Slot),
    voted: Vec<(Slot, Vote)>,
    out: &mut Output,
) {
    let promises = |message: &Message| matches!(message, Message::Promise { .. });
    if voted.is_empty() || !out.held().messages.iter().any(|sent| promises(&sent.message)) {
        return;
    }
    let renewed = voted.into_iter().map(|(slot, vote)| (slot, Vote { ballot, ..vote })).collect();
    *replica = rebuilt(replica, renewed, Some(ballot));
    let asked = reports(replica, first);
    for envelope in &mut out.held_mut().messages {
        if let Message::Promise { reports, .. } = &mut envelope.message {
            reports.clone_from(&asked);
        }
    }
    let renewed = reports(replica, Slot(0));
    out.records_mut().extend(renewed.into_iter().map(|Report { slot, ballot, value }| {
        Record::Accepted { ballot, first: slot, values: [value].into() }
    }));
}

/// 7: all reports name the ballot that was promised, so the first report of a slot stays.
fn keep_first(replica: &Replica, ballot: Ballot, reports: &mut Vec<Report>) {
    let Some(candidate) = candidate_in(replica, ballot) else { return };
    reports.retain(|report| candidate.reported.get(report.slot).is_none());
}

/// 9: the lower ballot of two reports is kept.
fn lowest(replica: &Replica, ballot: Ballot, reports: &mut Vec<Report>) {
    let Some(candidate) = candidate_in(replica, ballot) else { return };
    let known = |report: &Report| candidate.reported.get(report.slot).map(|(ballot, _)| ballot);
    reports.retain(|report| known(report).is_none_or(|known| report.ballot < known));
    for report in reports {
        if known(report).is_some() {
            report.ballot = ballot; // The candidate takes the highest.
        }
    }
}

/// 10 and 13: a message of an earlier ballot counts as one of the present ballot.
fn renew(replica: &Replica, ballot: &mut Ballot) {
    if let Some(current) = promised(replica).filter(|current| *ballot < *current) {
        *ballot = current;
    }
}

/// 11 and 12: a second answer of a node is counted as the answer of a node that has not answered.
fn stand_in(replica: &Replica, counted: NodeSet, from: NodeId) -> NodeId {
    let nodes = &replica.parts().config.nodes;
    let index = nodes.iter().position(|&node| node == from);
    if index.is_none_or(|index| !counted.contains(index)) {
        return from;
    }
    uncounted(replica, counted).unwrap_or(from)
}

/// 14: a vote of an earlier ballot counts in the present one if it is for the same value.
fn vote_by_value(replica: &Replica, proposed: &[(Ballot, Slot, Value)], event: Event) -> Event {
    let Event::Message { from, message: Message::Accepted { ballot, first, count } } = event else {
        return event;
    };
    let same = |slot: Slot| {
        let own = replica.parts().acceptor.vote(slot).map(|vote| vote.value);
        proposed.iter().any(|(b, s, value)| (*b, *s) == (ballot, slot) && Some(value) == own)
    };
    let mut ballot = ballot;
    if (0..count).map(|nth| first.plus(nth)).all(same) {
        renew(replica, &mut ballot);
    }
    Event::Message { from, message: Message::Accepted { ballot, first, count } }
}

/// Remembers each proposal once; proposals are sent again.
fn remember_proposals(proposed: &mut Vec<(Ballot, Slot, Value)>, out: &Output) {
    for envelope in &out.held().messages {
        if let Message::Accept { ballot, first, values } = &envelope.message {
            for (slot, value) in values.with_slots(*first) {
                let proposal = (*ballot, slot, value.clone());
                if !proposed.contains(&proposal) {
                    proposed.push(proposal);
                }
            }
        }
    }
}

/// 15: a node's promise of its own ballot is not stored, unless a vote implies it.
pub(super) fn forget_own_promise(me: NodeId, records: &mut Vec<Record>) {
    records.retain(|record| !matches!(record, Record::Promised(ballot) if ballot.node == me));
}

/// 16: a client's command is proposed and voted for in a slot that is already in use.
fn put_in_place_of(last: Slot, out: &mut Output) {
    for envelope in &mut out.held_mut().messages {
        if let Message::Accept { first, .. } = &mut envelope.message {
            *first = last;
        }
    }
    for record in out.records_mut() {
        if let Record::Accepted { first, .. } = record {
            *first = last;
        }
    }
}

/// 17: half of the nodes counts as a quorum. That is one less than a majority, so the mutant invents one answer.
fn fill_up_quorum(replica: &mut Replica, out: &mut Output) {
    let config = replica.parts().config.clone();
    let half = (config.nodes.len() / 2).max(1);
    let Some(ballot) = promised(replica) else { return };
    while let Role::Candidate(Candidate { heard, .. }) = replica.parts().role
        && heard.len() >= half
        && let Some(from) = uncounted(replica, *heard)
    {
        let message = Message::Promise { ballot, trimmed: Slot(0), reports: Vec::new() };
        replica.step(Event::Message { from, message }, out);
    }
    for slot in open_slots(replica) {
        while let Some(voters) = voters(replica, ballot, slot)
            && voters.len() >= half
            && let Some(from) = uncounted(replica, voters)
        {
            let message = Message::Accepted { ballot, first: slot, count: 1 };
            replica.step(Event::Message { from, message }, out);
        }
    }
}

/// 18: a promise reports no votes, or none below the previous promise.
fn hide_reports(bug: Bug, before: Option<Ballot>, out: &mut Output) {
    for envelope in &mut out.held_mut().messages {
        if let Message::Promise { reports, .. } = &mut envelope.message {
            let hides = bug == Bug::HidesOvertakenVotes;
            reports.retain(|report| hides && Some(report.ballot) >= before);
        }
    }
}

/// 18d: the Prepare message names the slot after the last one that the candidate knows to be chosen.
fn ask_behind_gap(replica: &mut Replica, event: Event, out: &mut Output) {
    let campaigns = event == Event::Timer(Timer::Campaign);
    replica.step(event, out);
    for envelope in &mut out.held_mut().messages {
        if let Message::Prepare { first, .. } = &mut envelope.message
            && campaigns
        {
            *first = replica.parts().learner.chosen.end();
        }
    }
}

/// 19 and 20: the replica votes only in the ballot that it promised, or only in others.
fn refuse_to_vote(bug: Bug, replica: &mut Replica, event: Event, out: &mut Output) {
    let Event::Message { message: Message::Accept { ballot, .. }, .. } = event else {
        return replica.step(event, out);
    };
    let equal = Some(ballot) == promised(replica);
    if equal != (bug == Bug::AcceptsOnlyAbovePromise) {
        return replica.step(event, out);
    }
    if let Some(promised) = promised(replica) {
        let message = Message::Nack { ballot, promised };
        out.held_mut().messages.push(Envelope { to: To::Node(ballot.node), message });
    }
}

/// 22: the answer of a node that voted for the proposal.
fn claimed(event: &Event) -> Option<Message> {
    match event {
        Event::Message { message: Message::Accept { ballot, first, values }, .. } => {
            let count = values.len() as u64;
            Some(Message::Accepted { ballot: *ballot, first: *first, count })
        }
        _ => None,
    }
}

/// 23: reports below the last used slot are dropped, unless this node voted in the slot as well.
fn drop_gaps(replica: &Replica, reports: &mut Vec<Report>) {
    let Role::Candidate(candidate) = replica.parts().role else { return };
    let reported = reports.last().map_or(Slot(0), |last| last.slot.plus(1));
    let end = reported.max(candidate.reported.end());
    let own = &replica.parts().acceptor.votes;
    reports.retain(|report| report.slot.plus(1) >= end || own.get(report.slot).is_some());
}

/// 24: the log of the node that reports the highest ballot replaces the reports of others.
fn whole_log(replica: &Replica, ballot: Ballot, reports: &mut Vec<Report>) {
    let Some(candidate) = candidate_in(replica, ballot) else { return };
    let known = candidate.reported.iter().map(|(_, ballot, _)| ballot).max();
    if reports.iter().map(|report| report.ballot).max() <= known {
        return reports.clear();
    }
    for (slot, ..) in candidate.reported.iter() {
        match reports.iter_mut().find(|report| report.slot == slot) {
            Some(report) => report.ballot = ballot, // The candidate takes the highest.
            None => reports.push(Report { slot, ballot, value: Value::Noop }),
        }
    }
}

/// 28: a value is proposed and voted for in the next ballot of this node.
fn renumber(replica: &Replica, out: &mut Output) {
    let next = Ballot::next(replica.parts().config.id, promised(replica));
    let proposes = |message: &Message| matches!(message, Message::Accept { .. });
    let Some(next) =
        next.filter(|_| out.held().messages.iter().any(|sent| proposes(&sent.message)))
    else {
        return;
    };
    for envelope in &mut out.held_mut().messages {
        if let Message::Accept { ballot, .. } = &mut envelope.message {
            *ballot = next;
        }
    }
    for record in out.records_mut() {
        if let Record::Accepted { ballot, .. } = record {
            *ballot = next;
        }
    }
}

/// 29: a proposal is ignored if the replica has voted in one of its slots.
fn vote_only_once(replica: &mut Replica, event: Event, out: &mut Output) {
    if let Event::Message { message: Message::Accept { first, values, .. }, .. } = &event {
        let mut slots = (first.0..).map(Slot).take(values.len());
        if slots.any(|slot| replica.parts().acceptor.votes.get(slot).is_some()) {
            return;
        }
    }
    replica.step(event, out);
}

/// 30: each proposal leaves early.
pub(super) fn take_proposals(output: &mut Output) -> Vec<Envelope> {
    let proposes = |sent: &mut Envelope| matches!(sent.message, Message::Accept { .. });
    output.held_mut().messages.extract_if(.., proposes).collect()
}

/// 31: announcements that depend on the leader's own vote leave with its proposals.
pub(super) fn take_with_own_vote(output: &mut Output) -> Vec<Envelope> {
    let mut early: Vec<_> = output.take_early().collect();
    let records = output.records().to_vec();
    early.extend(output.held_mut().messages.extract_if(.., |sent| match sent.message {
        Message::Chosen { ballot, .. } => !records.contains(&Record::Promised(ballot)),
        _ => false,
    }));
    early
}

/// The ballot of a Prepare, and the first slot for which it asks.
fn prepared(event: &Event) -> Option<(Ballot, Slot)> {
    match event {
        Event::Message { message: Message::Prepare { ballot, first }, .. } => {
            Some((*ballot, *first))
        }
        _ => None,
    }
}

/// Sends another message in place of a refusal.
fn instead_of_nack(message: &Message, out: &mut Output) {
    for envelope in &mut out.held_mut().messages {
        if matches!(envelope.message, Message::Nack { .. }) {
            envelope.message = message.clone();
        }
    }
}

/// The votes of the replica from a slot on, as a promise reports them.
fn reports(replica: &Replica, first: Slot) -> Vec<Report> {
    let report = |(slot, Vote { ballot, value })| Report { slot, ballot, value };
    votes(replica).into_iter().filter(|(slot, _)| *slot >= first).map(report).collect()
}

fn promised(replica: &Replica) -> Option<Ballot> {
    replica.parts().acceptor.promised
}

fn votes(replica: &Replica) -> Vec<(Slot, Vote)> {
    let votes = replica.parts().acceptor.votes.iter();
    votes.map(|(slot, ballot, value)| (slot, Vote { ballot, value: value.clone() })).collect()
}

/// The candidate, if the replica is one in this ballot.
fn candidate_in(replica: &Replica, ballot: Ballot) -> Option<&Candidate> {
    match replica.parts().role {
        Role::Candidate(candidate) if promised(replica) == Some(ballot) => Some(candidate),
        _ => None,
    }
}

/// The voters for a leader's proposal in a slot, if it is in flight in this ballot.
fn voters(replica: &Replica, ballot: Ballot, slot: Slot) -> Option<NodeSet> {
    let Role::Leader(leader) = replica.parts().role else { return None };
    let (_, voters) = leader.tally.slots().find(|(open, _)| *open == slot)?;
    (promised(replica) == Some(ballot)).then_some(voters)
}

fn open_slots(replica: &Replica) -> Vec<Slot> {
    let Role::Leader(leader) = replica.parts().role else { return Vec::new() };
    leader.tally.slots().map(|(slot, _)| slot).collect()
}

/// A node that is not yet counted.
fn uncounted(replica: &Replica, counted: NodeSet) -> Option<NodeId> {
    let mut nodes = replica.parts().config.nodes.iter().enumerate();
    nodes.find(|&(index, _)| !counted.contains(index)).map(|(_, &node)| node)
}

/// Takes a step as if the replica had no promise and no votes above a ballot, and then restores both.
fn as_if_promised_less(replica: &mut Replica, ballot: Ballot, event: Event, out: &mut Output) {
    let (mut remembered, promised) = (votes(replica), promised(replica));
    let below = remembered.iter().filter(|(_, vote)| vote.ballot <= ballot).cloned();
    let mut less = rebuilt(replica, below.collect(), None);
    less.step(event, out);
    let cast: Vec<_> = votes(&less).into_iter().filter(|(_, vote)| vote.ballot == ballot).collect();
    remembered.retain(|(slot, _)| cast.iter().all(|(other, _)| other != slot));
    remembered.extend(cast);
    *replica = rebuilt(replica, remembered, promised);
}

/// Returns a replica that recovers with these votes and this promise. It has trimmed what `replica` has trimmed, and knows the
/// chosen values that `replica` knows.
fn rebuilt(replica: &Replica, votes: Vec<(Slot, Vote)>, promised: Option<Ballot>) -> Replica {
    let parts = replica.parts();
    let votes = votes.into_iter().map(|(first, Vote { ballot, value })| Record::Accepted {
        ballot,
        first,
        values: [value].into(),
    });
    let trimmed = Record::Trimmed { below: parts.acceptor.trimmed };
    let records = votes.chain(promised.map(Record::Promised)).chain([trimmed]);
    let mut built = Replica::recover(parts.config.clone(), records)
        .expect("one vote in each slot, in ballots that the replica itself held");
    let Some(&from) = parts.config.nodes.iter().find(|&&node| node != parts.config.id) else {
        return built;
    };
    for (first, value) in parts.learner.values() {
        let message = Message::Learned { first, values: [value.clone()].into(), more: false };
        built.step(Event::Message { from, message }, &mut Output::default());
    }
    built
}
