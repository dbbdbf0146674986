//! One worker: expands its own part of the states, level by level.

use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stateright::{Expectation, Property};
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator as _;
use timely::dataflow::operators::probe::Probe as _;
use timely::dataflow::{InputHandle, ProbeHandle, Stream};
use timely::worker::Worker;
use verdict::memory::doubling_bytes;

use super::{
    Job, Shared,
    checkpoint::{self, Part},
    note::{Found, Merged, Note, Totals, merge},
};
use crate::{
    Explorable,
    engine::panic_message,
    packing::{Key, KeySet},
};

/// The number of states that a worker expands before it receives states again. timely's queues have no bounds, so
/// waiting longer would take more memory.
const BATCH: usize = 1 << 13;

/// The result of a search. It is the same at each worker.
pub(super) struct Ended {
    pub(super) totals: Totals,
    /// The deepest level with a state.
    pub(super) level: usize,
    /// The reason why the search was cut short, if it was.
    pub(super) stop: Option<String>,
    pub(super) found: Vec<Found>,
}

/// The reached states that belong to one worker.
struct Shard<const N: usize> {
    /// All reached states. For a graded model, only those of the next level.
    reached: KeySet<N>,
    /// The states of the next level. Empty for a graded model, whose next level is `reached`.
    next: Vec<Key<N>>,
    graded: bool,
    /// True while the states of earlier levels arrive, from a checkpoint.
    old: bool,
    /// The epoch of this worker. It increases at each barrier.
    epoch: u64,
    /// The states from workers that are one epoch ahead.
    ahead: Vec<Key<N>>,
}

impl<const N: usize> Shard<N> {
    fn arrive(&mut self, epoch: u64, keys: &mut Vec<Key<N>>) {
        if epoch > self.epoch {
            self.ahead.append(keys);
        } else {
            keys.drain(..).for_each(|key| self.insert(key));
        }
    }

    #[inline]
    fn insert(&mut self, key: Key<N>) {
        if self.reached.insert(key) && !self.graded && !self.old {
            self.next.push(key);
        }
    }

    /// Inserts the states that arrived one epoch early.
    fn catch_up(&mut self) {
        for key in mem::take(&mut self.ahead) {
            self.insert(key);
        }
    }

    /// Returns the number of states of the next level.
    fn waiting(&self) -> u64 {
        (if self.graded { self.reached.len() } else { self.next.len() }) as u64
    }

    /// Returns the bytes that the tables ask for when they grow next, or when the level is taken.
    fn doubling_bytes(&self) -> u64 {
        let key_bytes = size_of::<Key<N>>();
        // A set has one byte of metadata for each slot, and is at most seven eighths full.
        let met_bytes = (key_bytes + 1) * 8 / 7 + 1;
        let level = if self.graded { self.reached.len() * key_bytes } else { 0 };
        doubling_bytes(self.reached.len(), self.reached.capacity(), met_bytes)
            + doubling_bytes(self.next.len(), self.next.capacity(), key_bytes)
            + doubling_bytes(self.ahead.len(), self.ahead.capacity(), key_bytes)
            + level as u64
    }

    /// Takes the completed level, and begins the one after it.
    fn next_level(&mut self) -> Vec<Key<N>> {
        let level = if self.graded {
            mem::take(&mut self.reached).into_iter().collect()
        } else {
            mem::take(&mut self.next)
        };
        self.catch_up();
        level
    }
}

/// Takes part in a search until it ends. Returns `None` if a worker or another process was lost.
pub(super) fn work<M: Explorable, const N: usize>(
    worker: &mut Worker,
    job: &Job<M, N>,
) -> Option<Ended> {
    let mut channels = Channels::new(worker, M::GRADED);
    let mut explorer = Explorer::new(job, worker);
    explorer.begin(worker, &mut channels)?;
    let mut level = job.level;
    loop {
        let frontier = channels.shard.borrow_mut().next_level();
        let note = explorer.level(level, &frontier, worker, &channels);
        drop(frontier);
        channels.send_note(worker.peers(), &note);
        channels.barrier(worker, &job.shared)?;
        explorer.totals = note.totals;

        let Merged { frontier, totals, stop } =
            merge(channels.received_notes(), M::KINDS.len(), &mut explorer.found);
        let too_deep = explorer.too_deep(level);
        let begins = level == job.level;
        let stop = stop.or_else(|| job.missing(frontier).filter(|_| begins)).or_else(|| {
            let deepest = job.options.max_depth.filter(|_| too_deep && frontier > 0)?;
            Some(format!("the depth limit of {deepest} was reached"))
        });
        // The thread that checks limits may be too late for a small space, so this limit is also checked here.
        let stop = stop.or_else(|| {
            let most = job.options.max_states.filter(|most| totals.states > *most as u64)?;
            Some(format!("the limit of {most} states was reached"))
        });
        if frontier == 0 || stop.is_some() || explorer.fails(&explorer.found) {
            let level = if frontier == 0 || too_deep { level - 1 } else { level };
            return Some(Ended { totals, level, stop, found: explorer.found });
        }
        level += 1;
    }
}

/// The streams between workers, and their barrier.
struct Channels<const N: usize> {
    states: RefCell<InputHandle<u64, CapacityContainerBuilder<Vec<Key<N>>>>>,
    notes: InputHandle<u64, CapacityContainerBuilder<Vec<Note>>>,
    probe: ProbeHandle<u64>,
    /// The states that have arrived.
    shard: Rc<RefCell<Shard<N>>>,
    /// The notes that have arrived, with their epochs.
    kept: Rc<RefCell<Vec<(u64, Note)>>>,
    /// True once a note has a reason to end.
    called_off: Rc<Cell<bool>>,
}

impl<const N: usize> Channels<N> {
    fn new(worker: &mut Worker, graded: bool) -> Self {
        let mut channels = Self {
            states: RefCell::new(InputHandle::new()),
            notes: InputHandle::new(),
            probe: ProbeHandle::new(),
            shard: Rc::new(RefCell::new(Shard {
                reached: KeySet::default(),
                next: Vec::new(),
                graded,
                old: false,
                epoch: 0,
                ahead: Vec::new(),
            })),
            kept: Rc::default(),
            called_off: Rc::default(),
        };
        let shard = Rc::clone(&channels.shard);
        let kept = Rc::clone(&channels.kept);
        let called_off = Rc::clone(&channels.called_off);
        worker.dataflow(|scope| {
            // The high half chooses the worker, since a set of keys uses the low half.
            let owner = Exchange::new(|key: &Key<N>| key.spread() >> 32);
            let arrive =
                move |epoch, keys: &mut Vec<Key<N>>| shard.borrow_mut().arrive(epoch, keys);
            sink(channels.states.get_mut().to_stream(scope), owner, &channels.probe, arrive);
            let receiver = Exchange::new(|note: &Note| note.to as u64);
            let keep = move |epoch, notes: &mut Vec<Note>| {
                let stop = notes.iter().any(|note| note.stop.is_some());
                called_off.set(called_off.get() || stop);
                kept.borrow_mut().extend(notes.drain(..).map(|note| (epoch, note)));
            };
            sink(channels.notes.to_stream(scope), receiver, &channels.probe, keep);
        });
        channels
    }

    fn send(&self, keys: &mut Vec<Key<N>>) {
        self.states.borrow_mut().send_batch(keys);
    }

    /// Sends a note to all workers, including this one.
    fn send_note(&mut self, workers: usize, note: &Note) {
        (0..workers).for_each(|to| self.notes.send(Note { to, ..note.clone() }));
    }

    /// Returns the notes of all workers from the epoch that has just ended.
    fn received_notes(&self) -> Vec<Note> {
        let ended = self.shard.borrow().epoch - 1;
        let (received_notes, ahead) =
            self.kept.take().into_iter().partition(|(epoch, _)| *epoch == ended);
        self.kept.replace(ahead);
        let received_notes: Vec<(u64, Note)> = received_notes;
        received_notes.into_iter().map(|(_, note)| note).collect()
    }

    /// Waits until all states and notes of the epoch have arrived at all workers. Returns `None` if a worker or another
    /// process was lost.
    fn barrier(&mut self, worker: &mut Worker, shared: &Shared) -> Option<()> {
        let epoch = self.shard.borrow().epoch + 1;
        self.states.get_mut().advance_to(epoch);
        self.notes.advance_to(epoch);
        while self.probe.less_than(&epoch) {
            worker.step_or_park(Some(Duration::from_millis(50)));
            if shared.lost() {
                return None;
            }
        }
        self.shard.borrow_mut().epoch = epoch;
        Some(())
    }
}

/// Ends a stream: `arrive` receives the items with their epoch.
fn sink<T: ExchangeData, H: FnMut(&T) -> u64 + 'static>(
    stream: Stream<'_, u64, Vec<T>>,
    to: Exchange<T, H>,
    probe: &ProbeHandle<u64>,
    mut arrive: impl FnMut(u64, &mut Vec<T>) + 'static,
) {
    let operator =
        stream.unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(to, "sink", |_, _| {
            move |input, _| {
                input.for_each(|capability, items| {
                    arrive(*capability.least().expect("a message has a time"), items);
                });
            }
        });
    operator.probe_with(probe);
}

/// The search of one worker.
struct Explorer<'a, M: Explorable, const N: usize> {
    job: &'a Job<M, N>,
    part: Part,
    properties: Vec<Property<M>>,
    /// The counts of this worker in the levels before.
    totals: Totals,
    /// The findings of all workers in the levels before.
    found: Vec<Found>,
    /// The number of this worker's states that are included in `Shared::states`.
    shown: u64,
}

impl<'a, M: Explorable, const N: usize> Explorer<'a, M, N> {
    fn new(job: &'a Job<M, N>, worker: &Worker) -> Self {
        Self {
            job,
            part: Part { worker: worker.index(), workers: worker.peers() },
            properties: job.model.properties(),
            totals: Totals::nothing(M::KINDS.len()),
            found: job.found.clone(),
            shown: 0,
        }
    }

    /// Sends the first states to their workers: the initial states, or the states of the checkpoint. For the checkpoint, one
    /// worker of each process sends the states that the process has read.
    fn begin(&mut self, worker: &mut Worker, channels: &mut Channels<N>) -> Option<()> {
        let begins = self.part.worker.is_multiple_of(self.job.options.threads.get());
        let resumed = || self.job.resumed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut resumed = begins.then(resumed).flatten().unwrap_or_default();
        self.totals.add(&resumed.totals);
        channels.shard.borrow_mut().old = true;
        channels.send(&mut resumed.reached);
        channels.barrier(worker, &self.job.shared)?;
        channels.shard.borrow_mut().old = false;
        channels.shard.borrow_mut().catch_up();
        if self.job.level == 1 && self.part.worker == 0 {
            let initial = self.job.model.init_states().into_iter();
            let initial = initial.filter(|state| self.job.model.within_boundary(state));
            resumed.frontier = initial.filter_map(|state| self.job.key(state)).collect();
        }
        channels.send(&mut resumed.frontier);
        channels.barrier(worker, &self.job.shared)
    }

    fn too_deep(&self, level: usize) -> bool {
        self.job.options.max_depth.is_some_and(|deepest| level > deepest.get())
    }

    /// Returns true if an `always` property is false in a found state.
    fn fails(&self, found: &[Found]) -> bool {
        let always = |it: &Found| self.properties[it.property].expectation == Expectation::Always;
        found.iter().any(always)
    }

    /// Expands all states of a level, and returns this worker's note about it.
    fn level(
        &mut self,
        level: usize,
        frontier: &[Key<N>],
        worker: &mut Worker,
        channels: &Channels<N>,
    ) -> Note {
        let states = frontier.len() as u64;
        let mut note = Note {
            to: 0,
            frontier: states,
            totals: self.totals.clone(),
            found: Vec::new(),
            stop: None,
        };
        if self.too_deep(level) {
            return note;
        }
        note.totals.states += states;
        self.job.shared.depth.fetch_max(level, Ordering::Relaxed);
        note.stop = self.save(level, frontier).err();
        let mut sent = Vec::new();
        for some in frontier.chunks(BATCH) {
            if note.stop.is_some() || self.job.shared.stopping() || channels.called_off.get() {
                break;
            }
            note.stop = self.expand(some, level, &mut note, &mut sent).err();
            channels.send(&mut sent);
            worker.step();
            self.show(some.len(), note.totals.states + channels.shard.borrow().waiting());
            let worker = self.part.worker % self.job.options.threads.get();
            let doubling = channels.shard.borrow().doubling_bytes();
            self.job.shared.doubling[worker].store(doubling, Ordering::Relaxed);
        }
        if let Some(why) = &note.stop {
            self.job.shared.stop(why.clone());
        }
        note.stop = self.job.shared.why();
        if note.stop.is_some() || channels.called_off.get() {
            // No worker will expand the next level, so its states count now.
            note.totals.states += channels.shard.borrow().waiting();
        }
        note
    }

    fn save(&self, level: usize, frontier: &[Key<N>]) -> Result<(), String> {
        let Some(checkpoint) = &self.job.options.checkpoint else { return Ok(()) };
        let Self { totals, found, .. } = self;
        let saved = checkpoint::Level { depth: level, part: self.part, totals, found };
        let written = checkpoint::write(checkpoint, &self.job.saved, &saved, frontier);
        written.map_err(|error| error.to_string())
    }

    /// Expands some states. A panic of the model becomes a reason to end.
    fn expand(
        &self,
        states: &[Key<N>],
        level: usize,
        note: &mut Note,
        sent: &mut Vec<Key<N>>,
    ) -> Result<(), String> {
        let mut actions = Vec::new();
        let all =
            || states.iter().try_for_each(|key| self.visit(key, level, note, &mut actions, sent));
        catch_unwind(AssertUnwindSafe(all))
            .unwrap_or_else(|panic| Err(format!("a worker panicked: {}", panic_message(&*panic))))
    }

    /// Evaluates the properties in a state, and takes its steps unless a property has failed. `actions` is a buffer,
    /// empty before and after.
    fn visit(
        &self,
        key: &Key<N>,
        level: usize,
        note: &mut Note,
        actions: &mut Vec<M::Action>,
        sent: &mut Vec<Key<N>>,
    ) -> Result<(), String> {
        let model = &self.job.model;
        let state = self.job.state(key);
        if let Some(symmetry) = self.job.symmetry() {
            note.totals.orbits += symmetry.orbit(&state);
        }
        self.evaluate(key, &state, level, &mut note.found);
        if self.fails(&note.found) {
            return Ok(());
        }
        model.actions(&state, actions);
        for action in actions.drain(..) {
            let kind = M::kind(&action);
            let next = model.next_state(&state, action);
            let Some(next) = next.filter(|next| model.within_boundary(next)) else { continue };
            note.totals.transitions += 1;
            note.totals.actions[kind] += 1;
            let key = self.job.key(next);
            sent.push(key.ok_or("a state cannot be packed; use --engine bfs or dfs")?);
        }
        Ok(())
    }

    /// Evaluates the properties that are not settled yet. Of several states that settle a property, the least is kept.
    fn evaluate(&self, key: &Key<N>, state: &M::State, level: usize, found: &mut Vec<Found>) {
        for (property, Property { expectation, condition, .. }) in
            self.properties.iter().enumerate()
        {
            let settles = match expectation {
                Expectation::Always => !condition(&self.job.model, state),
                Expectation::Sometimes => {
                    !self.found.iter().any(|found| found.property == property)
                        && condition(&self.job.model, state)
                }
                Expectation::Eventually => false,
            };
            if !settles {
                continue;
            }
            match found.iter_mut().find(|found| found.property == property) {
                Some(known) if known.words[..] <= key.0[..] => {}
                Some(known) => known.words = key.0.to_vec(),
                None => found.push(Found { property, words: key.0.to_vec(), level }),
            }
        }
    }

    /// Adds to the process's counts for progress and limits.
    fn show(&mut self, expanded: usize, known: u64) {
        let more = known.saturating_sub(self.shown);
        self.shown += more;
        self.job.shared.states.fetch_add(more, Ordering::Relaxed);
        self.job.shared.expanded.fetch_add(expanded as u64, Ordering::Relaxed);
    }
}
