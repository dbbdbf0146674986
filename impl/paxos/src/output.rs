//! The output of a replica: the records of its steps, and the effects that wait for them.
//!
//! An [`Output`] is a queue between a replica and its driver. Steps append to it, and it gives up effects only once their
//! records are durable. So a driver cannot send a message too early, unless it copies the message from [`Output::held`].
//! There are two ways to make records durable:
//!
//! - [`Output::persist`] does it at once, for a driver that waits for its disk.
//! - [`Output::write`] takes the records as a [`Write`], which becomes a [`Durable`] token. [`Output::durable`] takes the token.
//!   Several writes may be under way, and the driver may step the replica in the meantime.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    event::{Effects, Record},
    message::{Envelope, Message},
    types::{Ballot, Slot, Value},
};

/// The records and effects of the steps of one replica, in their order.
///
/// Invariant: an effect leaves when the records of its step and of all earlier steps are durable. The only exception is the
/// Accept messages of [`take_early`](Self::take_early).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output<B = Ballot, V = Value> {
    /// The records that are in no write.
    pub(crate) records: Vec<Record<B, V>>,
    /// The effects that depend on `records`. If there are no such records, they depend on the last write only.
    pub(crate) effects: Effects<B, V>,
    /// The writes that are not durable, or behind one that is not. Oldest first.
    writes: VecDeque<Unsynced<B, V>>,
    /// The effects whose records are durable.
    released: Effects<B, V>,
    /// The number of the next write.
    next_write: u64,
}

/// A write under way, and the effects that wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unsynced<B, V> {
    /// The ballots of its own that the replica promises with these records.
    promised: Vec<B>,
    effects: Effects<B, V>,
    is_durable: bool,
}

/// Records to make durable, all or none.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the effects of these records wait until they are durable"]
pub struct Write<B = Ballot, V = Value> {
    number: u64,
    records: Vec<Record<B, V>>,
}

/// The proof that the records of one [`Write`] are durable.
#[derive(Debug)]
#[must_use = "the output does not know that the records are durable"]
pub struct Durable<B = Ballot, V = Value> {
    number: u64,
    /// An empty list, whose memory serves again.
    spare: Vec<Record<B, V>>,
}

impl<B, V> Default for Output<B, V> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            effects: Effects::default(),
            writes: VecDeque::new(),
            released: Effects::default(),
            next_write: 0,
        }
    }
}

impl<B, V> Write<B, V> {
    /// The records, in their order.
    pub fn records(&self) -> &[Record<B, V>] {
        &self.records
    }

    /// Makes the records durable by `persist`, and returns the proof. `persist` must return `Ok` only once all records are
    /// durable. After a crash the store must have all records of a write or none, and none without those of the writes
    /// before.
    ///
    /// # Errors
    /// The error of `persist`. The effects that depend on the records then never leave.
    pub fn persist<E>(
        self,
        persist: impl FnOnce(&[Record<B, V>]) -> Result<(), E>,
    ) -> Result<Durable<B, V>, E> {
        let Self { number, mut records } = self;
        persist(&records)?;
        records.clear();
        Ok(Durable { number, spare: records })
    }
}

impl<B, V> Output<B, V> {
    /// The records of the steps since the last [`write`](Self::write).
    pub fn records(&self) -> &[Record<B, V>] {
        &self.records
    }

    /// The effects of the steps since the last [`write`](Self::write), for a driver or a check to look at. Without records,
    /// these are the effects of the last step.
    pub fn held(&self) -> &Effects<B, V> {
        &self.effects
    }

    /// Returns true while a write is under way.
    pub fn is_writing(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Makes the records since the last write durable by `persist`, and returns once they are. `persist` must return `Ok`
    /// only once all records are durable. After a crash the store must have all of them or none.
    ///
    /// # Errors
    /// The error of `persist`. The effects that depend on the records then never leave.
    ///
    /// # Panics
    /// A write is under way.
    pub fn persist<E>(
        &mut self,
        persist: impl FnOnce(&[Record<B, V>]) -> Result<(), E>,
    ) -> Result<(), E> {
        assert!(self.writes.is_empty(), "the writes before are durable");
        if !self.records.is_empty() {
            persist(&self.records)?;
            self.records.clear();
        }
        Ok(())
    }

    /// Takes the records since the last write. Returns `None` if there are none. The driver must write them in this order,
    /// and may begin a write before the earlier ones are durable.
    pub fn write(&mut self) -> Option<Write<B, V>>
    where
        B: Copy,
    {
        if self.records.is_empty() {
            return None;
        }
        let promised = promised(&self.records).collect();
        let effects = std::mem::take(&mut self.effects);
        self.writes.push_back(Unsynced { promised, effects, is_durable: false });
        let number = self.next_write;
        self.next_write += 1;
        Some(Write { number, records: std::mem::take(&mut self.records) })
    }

    /// Notes that a write of this output is durable.
    ///
    /// # Panics
    /// No write of this number is under way, because the token belongs to another output. If both outputs have a write of
    /// this number, nothing notices it.
    pub fn durable(&mut self, durable: Durable<B, V>) {
        let Durable { number, spare } = durable;
        let oldest = self.next_write - self.writes.len() as u64;
        let place = number.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
        let write = place.and_then(|place| self.writes.get_mut(place));
        write.expect("a write of this output").is_durable = true;
        while self.writes.front().is_some_and(|write| write.is_durable)
            && let Some(mut write) = self.writes.pop_front()
        {
            self.released.append(&mut write.effects);
        }
        if self.records.capacity() == 0 {
            self.records = spare;
        }
    }

    /// Returns the effects that may leave now. The caller takes them out.
    pub fn released(&mut self) -> &mut Effects<B, V> {
        if self.writes.is_empty() && self.records.is_empty() {
            if self.released.is_empty() {
                // Spares the copy to the other list.
                return &mut self.effects;
            }
            self.released.append(&mut self.effects);
        }
        &mut self.released
    }

    /// Removes and returns the messages that may leave before the records of their step are durable. These are the
    /// [`Message::Accept`] messages of the steps since the last write, if their ballot was promised in records that are
    /// durable. If they leave early, the sync of this node overlaps with the syncs of its peers. No driver has to call this
    /// function. [Early Accepts](crate::protocol::safety#early-accepts) has the reason why this is safe.
    pub fn take_early(&mut self) -> impl Iterator<Item = Envelope<B, V>>
    where
        B: Copy + Ord,
    {
        let under_way = self.writes.iter().flat_map(|write| write.promised.iter().copied());
        let promised: BTreeSet<B> = promised(&self.records).chain(under_way).collect();
        self.effects.messages.extract_if(.., move |envelope| match envelope.message {
            Message::Accept { ballot, .. } => !promised.contains(&ballot),
            _ => false,
        })
    }

    /// Removes the chosen values of the slots below `below`. A driver that installed a peer's snapshot of these slots must
    /// not apply them.
    pub fn drop_chosen(&mut self, below: Slot) {
        let waiting = self.writes.iter_mut().map(|write| &mut write.effects);
        for effects in waiting.chain([&mut self.effects, &mut self.released]) {
            effects.drop_chosen(below);
        }
    }

    /// Moves the output of later steps to the end of this one.
    ///
    /// # Panics
    /// A write of `later` has been taken.
    pub fn append(&mut self, mut later: Self) {
        assert_eq!(later.next_write, 0, "the records of the later steps are in no write");
        self.settle();
        self.records.append(&mut later.records);
        later.released.append(&mut later.effects);
        self.effects.append(&mut later.released);
    }

    /// Lets the effects of steps without records wait for the last write only, and not for the records of the next step.
    /// [`Replica::step`](crate::Replica::step) does this first.
    pub fn settle(&mut self) {
        if self.records.is_empty() && !self.effects.is_empty() {
            let last = self.writes.back_mut().map(|write| &mut write.effects);
            last.unwrap_or(&mut self.released).append(&mut self.effects);
        }
    }
}

/// The output of steps, changed by a check.
#[cfg(feature = "checks")]
impl<B, V> Output<B, V> {
    /// Returns the output of steps with these records and effects.
    pub fn of(records: Vec<Record<B, V>>, effects: Effects<B, V>) -> Self {
        Self { records, effects, ..Self::default() }
    }

    /// The records since the last write. A driver that changes them breaks its contract.
    pub fn records_mut(&mut self) -> &mut Vec<Record<B, V>> {
        &mut self.records
    }

    /// The effects since the last write. A driver that takes them breaks its contract.
    pub fn held_mut(&mut self) -> &mut Effects<B, V> {
        &mut self.effects
    }
}

/// Returns the ballots that a replica promises with these records, but for those that it accepts in.
fn promised<B: Copy, V>(records: &[Record<B, V>]) -> impl Iterator<Item = B> {
    records.iter().filter_map(|record| match record {
        Record::Promised(ballot) => Some(*ballot),
        Record::Accepted { .. } | Record::Trimmed { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};

    use super::*;
    use crate::types::NodeId;

    /// An action of a driver or a replica on an output. Each step sends one message, which has the number of the step.
    #[derive(Clone, Debug)]
    enum Action {
        /// A step that promises a ballot of its own.
        Promise(u64),
        /// A step that accepts a value in a ballot of its own, and sends an Accept message.
        Propose(u64),
        /// A step without records that sends an Accept message again.
        Resend(u64),
        /// A step without records.
        Answer,
        Write,
        /// Waits for its records, if no write is under way.
        Persist,
        /// One of the writes under way is durable.
        Durable(usize),
        TakeEarly,
        Release,
    }

    fn actions() -> impl Strategy<Value = Action> {
        prop_oneof![
            (0u64..4).prop_map(Action::Promise),
            (0u64..4).prop_map(Action::Propose),
            (0u64..4).prop_map(Action::Resend),
            Just(Action::Answer),
            Just(Action::Write),
            Just(Action::Persist),
            (0usize..4).prop_map(Action::Durable),
            Just(Action::TakeEarly),
            Just(Action::Release),
        ]
    }

    /// A step, as the rule sees it.
    struct Step {
        promises: Option<u64>,
        /// The ballot of the Accept message that the step sends, if it sends one.
        accepts: Option<u64>,
        has_records: bool,
        is_durable: bool,
        has_left: bool,
    }

    /// The number of steps whose records and earlier records are all durable.
    fn durable(steps: &[Step]) -> usize {
        let waits = |step: &Step| step.has_records && !step.is_durable;
        steps.iter().position(waits).unwrap_or(steps.len())
    }

    fn number(envelope: &Envelope<u64, u64>) -> usize {
        match envelope.message {
            Message::Accept { first, .. } | Message::Learn { from: first } => first.0 as usize,
            _ => panic!("no step sends {envelope:?}"),
        }
    }

    fn step(action: &Action, number: usize, output: &mut Output<u64, u64>) -> Option<Step> {
        let (promises, accepts) = match *action {
            Action::Promise(ballot) => (Some(ballot), None),
            Action::Propose(ballot) | Action::Resend(ballot) => (None, Some(ballot)),
            Action::Answer => (None, None),
            _ => return None,
        };
        output.settle();
        let first = Slot(number as u64);
        let has_records = matches!(action, Action::Promise(_) | Action::Propose(_));
        if has_records {
            output.records.push(match *action {
                Action::Promise(ballot) => Record::Promised(ballot),
                _ => Record::Trimmed { below: first },
            });
        }
        output.effects.broadcast(match accepts {
            Some(ballot) => Message::Accept { ballot, first, values: [0].into() },
            None => Message::Learn { from: first },
        });
        Some(Step { promises, accepts, has_records, is_durable: false, has_left: false })
    }

    fn persistent() -> ProptestConfig {
        let beside = FileFailurePersistence::WithSource("regressions");
        ProptestConfig { failure_persistence: Some(Box::new(beside)), ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(persistent())]

        /// The rule, step by step: a message leaves if the records of its step and of all earlier steps are durable. An Accept
        /// message may leave before, if no promise of its ballot waits. No message leaves twice.
        #[test]
        fn effects_leave_as_soon_as_their_records_are_durable(actions in vec(actions(), 0..60)) {
            let mut output = Output::<u64, u64>::default();
            let mut steps: Vec<Step> = Vec::new();
            let mut writes: Vec<(Write<u64, u64>, std::ops::Range<usize>)> = Vec::new();
            let mut written = 0;
            for action in actions {
                if let Some(step) = step(&action, steps.len(), &mut output) {
                    steps.push(step);
                    continue;
                }
                match action {
                    Action::Write => {
                        let write = output.write();
                        let records = steps[written..].iter().filter(|step| step.has_records);
                        prop_assert_eq!(
                            write.as_ref().map_or(0, |write| write.records().len()),
                            records.count()
                        );
                        if let Some(write) = write {
                            writes.push((write, written..steps.len()));
                            written = steps.len();
                        }
                    }
                    Action::Persist if writes.is_empty() => {
                        output.persist(|_| Ok::<(), ()>(())).expect("it is durable");
                        steps[written..].iter_mut().for_each(|step| step.is_durable = true);
                        written = steps.len();
                    }
                    Action::Durable(index) if !writes.is_empty() => {
                        let (write, range) = writes.remove(index % writes.len());
                        output.durable(write.persist(|_| Ok::<(), ()>(())).expect("it is durable"));
                        steps[range].iter_mut().for_each(|step| step.is_durable = true);
                    }
                    Action::TakeEarly => {
                        let durable = durable(&steps);
                        let promised = steps[durable..].iter().filter_map(|step| step.promises);
                        let promised: Vec<u64> = promised.collect();
                        for early in output.take_early() {
                            let step = &mut steps[number(&early)];
                            let ballot = step.accepts.expect("only Accept messages leave early");
                            prop_assert!(!promised.contains(&ballot) && !step.has_left);
                            step.has_left = true;
                        }
                        // The last step is always one of those since the last write.
                        let last = steps.last().filter(|_| written < steps.len());
                        let stays = last.filter(|step| !step.has_left).and_then(|step| step.accepts);
                        prop_assert!(stays.is_none_or(|ballot| promised.contains(&ballot)));
                    }
                    Action::Release => {
                        let effects = std::mem::take(output.released());
                        let durable = durable(&steps);
                        let leaves = (0..durable).filter(|number| !steps[*number].has_left);
                        let sent = effects.messages.iter().map(number);
                        prop_assert_eq!(sent.collect::<Vec<_>>(), leaves.collect::<Vec<_>>());
                        steps[..durable].iter_mut().for_each(|step| step.has_left = true);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a write of this output")]
    fn a_token_of_another_output_is_refused() {
        let mut outputs = [(); 2].map(|()| Output::<u64, u64>::default());
        outputs[0].records.push(Record::Promised(1));
        let durable = outputs[0].write().expect("a record").persist(|_| Ok::<(), ()>(()));
        outputs[1].durable(durable.expect("it is durable"));
    }

    #[test]
    fn what_fails_releases_nothing() {
        let mut output = Output::<u64, u64>::default();
        output.records.push(Record::Promised(1));
        output.effects.send(NodeId(2), Message::Learn { from: Slot(0) });
        assert_eq!(output.persist(|_| Err("full")), Err("full"));
        assert!(output.released().is_empty());
        let write = output.write().expect("a record");
        assert_eq!(write.persist(|_| Err("full")).map(|_| ()), Err("full"));
        assert!(output.released().is_empty() && output.is_writing());
    }
}
