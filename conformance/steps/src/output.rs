//! The parts of an output that the model does not have: timers, tokens, and the division of slots into messages and records.
//!
//! The comparison of the validation looks at each slot by itself, and recordings have neither timers nor tokens of proposals. So
//! these parts are checked here.

use paxos::{
    Config, Envelope, Event, Message, Output, Record, Replica, Timer, Token,
    protocol::acceptor::Acceptor as RealAcceptor,
};
use paxos_model::cluster::node::{
    state::{Live, Role},
    unbounded::Unbounded,
};
use paxos_validation::{
    replica::{Expected, Replica as ModelReplica},
    said::Said,
};

use crate::{
    finding::{Checked, finding, said_finding},
    table::State,
};

/// Timers are no part of the model, because safety does not depend on them. A candidate and a leader must have theirs.
pub(crate) fn same_timers(
    config: &Config,
    state: &State,
    event: &Event,
    expected: &Expected,
    after: &ModelReplica,
    output: &Output,
) -> Checked {
    let leads = |live: &Live<Unbounded>| matches!(live.role, Role::Leader { .. });
    let follows = |live: &Live<Unbounded>| matches!(live.role, Role::Follower);
    let (before, live) = (&state.live, after.live());
    let answers = |said: &Said| matches!(said, Said::Promise(_) | Said::Accepted(..));
    let nacked = |said: &Said| matches!(said, Said::Nack(..));
    let sent = &expected.sent;
    let mut timers = Vec::new();
    match event {
        Event::Timer(Timer::Campaign) if expected.change.promised.is_some() => {
            timers.extend([Timer::Campaign, Timer::Resend]);
        }
        Event::Timer(Timer::Heartbeat) if leads(before) => timers.push(Timer::Heartbeat),
        Event::Timer(Timer::Resend) if !follows(before) => timers.push(Timer::Resend),
        Event::Message { message: Message::Heartbeat { ballot, .. }, from }
            if ballot.node == *from
                && config.nodes.contains(from)
                && *from != config.id
                && !sent.iter().any(|(_, said)| nacked(said)) =>
        {
            timers.push(Timer::Campaign);
        }
        Event::Message { message: Message::Nack { .. }, .. }
            if expected.change.promised.is_some() =>
        {
            timers.push(Timer::Campaign);
        }
        _ if sent.iter().any(|(_, said)| answers(said)) => timers.push(Timer::Campaign),
        _ => {}
    }
    if !leads(before) && leads(live) {
        timers.extend([Timer::Heartbeat, Timer::Resend]);
    }
    if timers == output.held().timers {
        Ok(())
    } else {
        finding("timers", timers, &output.held().timers)
    }
}

/// Each answer must name the request that it answers, and a refused proposal must have its command. Recorded steps have no
/// tokens of proposals, so `compare` does not see them.
pub(crate) fn same_requests(event: &Event, expected: &Expected, output: &Output) -> Checked {
    let proposals: &[_] = if let Event::Propose(proposals) = event { proposals } else { &[] };
    let count = expected.taken.as_ref().map_or(0, |slots| (slots.end - slots.start) as usize);
    let (taken, refused) = proposals.split_at(count.min(proposals.len()));
    let found = output.held().taken.iter().map(|taken| taken.token);
    if !found.clone().eq(taken.iter().map(|proposal| proposal.token)) {
        return finding("proposals that get a slot", taken, found.collect::<Vec<_>>());
    }
    let reads = expected.refused_reads.iter().flat_map(|(tokens, _)| tokens);
    let reads = reads.map(|&read| (Token(read), None));
    let refused = refused.iter().map(|refused| (refused.token, Some(&refused.command)));
    let refused: Vec<_> = refused.chain(reads).collect();
    let found = output.held().refused.iter();
    let found: Vec<_> = found.map(|refused| (refused.token, refused.command.as_ref())).collect();
    if found == refused { Ok(()) } else { finding("requests that are refused", refused, found) }
}

/// Messages about several slots have the slots of one run. A run is divided only where `batch_slots_max` demands it.
/// `compare` looks at each slot by itself, so it does not see this.
pub(crate) fn in_runs(config: &Config, event: &Event, output: &Output) -> Checked {
    let proposes = matches!(event, Event::Propose(_));
    let batch = config.batch_slots_max;
    let run = |envelope: &Envelope| match &envelope.message {
        Message::Accept { first, values, .. } => {
            Some((*first, values.len() as u64, if proposes { u64::MAX } else { batch }))
        }
        Message::Learned { first, values, .. } => Some((*first, values.len() as u64, batch)),
        Message::Accepted { first, count, .. } | Message::Chosen { first, count, .. } => {
            Some((*first, *count, u64::MAX))
        }
        _ => None,
    };
    let mut previous: Option<(&Envelope, paxos::Slot, u64)> = None;
    for envelope in &output.held().messages {
        let Some((first, count, most)) = run(envelope) else {
            previous = None;
            continue;
        };
        if count == 0 || count > most {
            let expected = format!("1 to {most} slots in a message");
            return said_finding("batches", expected, format!("{envelope:?}"));
        }
        let divided = previous.is_some_and(|(before, end, count)| {
            let kind = |it: &Envelope| std::mem::discriminant(&it.message);
            let alike = before.to == envelope.to && kind(before) == kind(envelope);
            alike && end == first && count < most
        });
        if divided {
            return finding("batches", "one message for slots in a row", &output.held().messages);
        }
        previous = Some((envelope, first.plus(count), count));
    }
    Ok(())
}

/// Records have the votes of one run. A run is divided only where `batch_slots_max` demands it.
pub(crate) fn records_in_runs(config: &Config, records: &[Record]) -> Checked {
    let most = config.batch_slots_max;
    let mut last = None;
    for record in records {
        let Record::Accepted { first, values, .. } = record else { continue };
        if last == Some(*first) {
            return finding("runs of slots in records", most, records);
        }
        let count = values.len() as u64;
        last = (count < most).then(|| first.plus(count));
    }
    Ok(())
}

/// The records must turn the acceptor before the step into that after it, and none must be idle.
pub(crate) fn same_records(before: RealAcceptor, replica: &Replica, records: &[Record]) -> Checked {
    let mut durable = before;
    for record in records {
        let previous = durable.clone();
        if let Err(error) = durable.replay(record) {
            return said_finding("records", "records that fit", error.to_string());
        }
        if durable == previous {
            return finding("records", "records that change the disk", record);
        }
    }
    let after = replica.parts().acceptor;
    if durable == *after { Ok(()) } else { finding("acceptor on disk", after, durable) }
}
