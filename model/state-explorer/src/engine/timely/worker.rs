//! One worker: level by level, through its own part of the states.

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
    note::{Found, Known, Note, Totals, gather},
};
use crate::{
    Explorable,
    engine::panic_message,
    packing::{Key, KeySet},
};

/// From how many states a worker goes on before it looks what has arrived: what timely sends waits
/// in queues without bounds.
const AT_ONCE: usize = 1 << 13;

/// How a search ended, as every worker knows it.
pub(super) struct Ended {
    pub(super) totals: Totals,
    /// The deepest level in which there was a state.
    pub(super) level: usize,
    /// Why it was cut short, if it was.
    pub(super) stop: Option<String>,
    pub(super) found: Vec<Found>,
}

/// The states of a worker that have been met.
struct Shard<const N: usize> {
    /// All of them; of a graded model, those of the next level.
    met: KeySet<N>,
    /// Those of the next level, unless they are all there is.
    next: Vec<Key<N>>,
    graded: bool,
    /// Whether what arrives was met long ago.
    old: bool,
    /// In which epoch this worker is.
    epoch: u64,
    /// What others have sent who are an epoch ahead.
    ahead: Vec<Key<N>>,
}

impl<const N: usize> Shard<N> {
    fn arrive(&mut self, epoch: u64, keys: &mut Vec<Key<N>>) {
        if epoch > self.epoch {
            self.ahead.append(keys);
        } else {
            keys.drain(..).for_each(|key| self.meet(key));
        }
    }

    #[inline]
    fn meet(&mut self, key: Key<N>) {
        if self.met.insert(key) && !self.graded && !self.old {
            self.next.push(key);
        }
    }

    /// From now on, what others were ahead with is met.
    fn catch_up(&mut self) {
        for key in mem::take(&mut self.ahead) {
            self.meet(key);
        }
    }

    /// How many states of the next level are here.
    fn waiting(&self) -> u64 {
        (if self.graded { self.met.len() } else { self.next.len() }) as u64
    }

    /// The memory its tables ask for when they grow next, or when the level is taken, in bytes.
    fn doubling_bytes(&self) -> u64 {
        let key_bytes = size_of::<Key<N>>();
        // A set has one byte more for each place, and is at most seven eighths full.
        let met_bytes = (key_bytes + 1) * 8 / 7 + 1;
        let level = if self.graded { self.met.len() * key_bytes } else { 0 };
        doubling_bytes(self.met.len(), self.met.capacity(), met_bytes)
            + doubling_bytes(self.next.len(), self.next.capacity(), key_bytes)
            + doubling_bytes(self.ahead.len(), self.ahead.capacity(), key_bytes)
            + level as u64
    }

    /// Takes the level that is whole, and makes room for the one after it.
    fn next_level(&mut self) -> Vec<Key<N>> {
        let level = if self.graded {
            mem::take(&mut self.met).into_iter().collect()
        } else {
            mem::take(&mut self.next)
        };
        self.catch_up();
        level
    }
}

/// Takes part in a search. Nothing if another process was lost.
pub(super) fn work<M: Explorable, const N: usize>(
    worker: &mut Worker,
    job: &Job<M, N>,
) -> Option<Ended> {
    let mut wires = Wires::new(worker, M::GRADED);
    let mut explorer = Explorer::new(job, worker);
    explorer.begin(worker, &mut wires)?;
    let mut level = job.level;
    loop {
        let frontier = wires.shard.borrow_mut().next_level();
        let note = explorer.level(level, &frontier, worker, &wires);
        drop(frontier);
        wires.tell(worker.peers(), &note);
        wires.barrier(worker, &job.shared)?;
        explorer.totals = note.totals;

        let Known { frontier, totals, stop } =
            gather(wires.heard(), M::KINDS.len(), &mut explorer.found);
        let too_deep = explorer.too_deep(level);
        let begins = level == job.level;
        let stop = stop.or_else(|| job.missing(frontier).filter(|_| begins)).or_else(|| {
            let deepest = job.options.max_depth.filter(|_| too_deep && frontier > 0)?;
            Some(format!("the depth limit of {deepest} was reached"))
        });
        // Small spaces are done with before anybody looks.
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

/// What goes from worker to worker, and when all of it has arrived.
struct Wires<const N: usize> {
    states: RefCell<InputHandle<u64, CapacityContainerBuilder<Vec<Key<N>>>>>,
    notes: InputHandle<u64, CapacityContainerBuilder<Vec<Note>>>,
    probe: ProbeHandle<u64>,
    /// The states that have arrived.
    shard: Rc<RefCell<Shard<N>>>,
    /// The notes that have arrived, with their epochs.
    kept: Rc<RefCell<Vec<(u64, Note)>>>,
    /// Whether one of them says to stop.
    called_off: Rc<Cell<bool>>,
}

impl<const N: usize> Wires<N> {
    fn new(worker: &mut Worker, graded: bool) -> Self {
        let mut wires = Self {
            states: RefCell::new(InputHandle::new()),
            notes: InputHandle::new(),
            probe: ProbeHandle::new(),
            shard: Rc::new(RefCell::new(Shard {
                met: KeySet::default(),
                next: Vec::new(),
                graded,
                old: false,
                epoch: 0,
                ahead: Vec::new(),
            })),
            kept: Rc::default(),
            called_off: Rc::default(),
        };
        let shard = Rc::clone(&wires.shard);
        let kept = Rc::clone(&wires.kept);
        let called_off = Rc::clone(&wires.called_off);
        worker.dataflow(|scope| {
            // A set of keys looks at the low half of the same number.
            let owner = Exchange::new(|key: &Key<N>| key.spread() >> 32);
            let arrive =
                move |epoch, keys: &mut Vec<Key<N>>| shard.borrow_mut().arrive(epoch, keys);
            sink(wires.states.get_mut().to_stream(scope), owner, &wires.probe, arrive);
            let receiver = Exchange::new(|note: &Note| note.to as u64);
            let keep = move |epoch, notes: &mut Vec<Note>| {
                let stop = notes.iter().any(|note| note.stop.is_some());
                called_off.set(called_off.get() || stop);
                kept.borrow_mut().extend(notes.drain(..).map(|note| (epoch, note)));
            };
            sink(wires.notes.to_stream(scope), receiver, &wires.probe, keep);
        });
        wires
    }

    fn send(&self, keys: &mut Vec<Key<N>>) {
        self.states.borrow_mut().send_batch(keys);
    }

    /// Tells everybody, oneself included.
    fn tell(&mut self, workers: usize, note: &Note) {
        (0..workers).for_each(|to| self.notes.send(Note { to, ..note.clone() }));
    }

    /// What all have told in the epoch that has just ended.
    fn heard(&self) -> Vec<Note> {
        let ended = self.shard.borrow().epoch - 1;
        let (heard, ahead) = self.kept.take().into_iter().partition(|(epoch, _)| *epoch == ended);
        self.kept.replace(ahead);
        let heard: Vec<(u64, Note)> = heard;
        heard.into_iter().map(|(_, note)| note).collect()
    }

    /// Waits until all that was sent by anybody has arrived. Nothing if that will never be.
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

/// The end of a stream: whatever arrives is handed over with its epoch.
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
                    arrive(*capability.least().expect("what is sent has a time"), items);
                });
            }
        });
    operator.probe_with(probe);
}

/// What a worker does with states.
struct Explorer<'a, M: Explorable, const N: usize> {
    job: &'a Job<M, N>,
    part: Part,
    properties: Vec<Property<M>>,
    /// What it has done in the levels before.
    totals: Totals,
    /// What all have found in the levels before.
    found: Vec<Found>,
    /// How many states were shown as known.
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

    /// Where it begins: at the initial states, or where an earlier run was. One worker of each process sends
    /// what the process knows.
    fn begin(&mut self, worker: &mut Worker, wires: &mut Wires<N>) -> Option<()> {
        let begins = self.part.worker.is_multiple_of(self.job.options.threads.get());
        let resumed = || self.job.resumed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut resumed = begins.then(resumed).flatten().unwrap_or_default();
        self.totals.add(&resumed.totals);
        wires.shard.borrow_mut().old = true;
        wires.send(&mut resumed.met);
        wires.barrier(worker, &self.job.shared)?;
        wires.shard.borrow_mut().old = false;
        wires.shard.borrow_mut().catch_up();
        if self.job.level == 1 && self.part.worker == 0 {
            let initial = self.job.model.init_states().into_iter();
            let initial = initial.filter(|state| self.job.model.within_boundary(state));
            resumed.frontier = initial.filter_map(|state| self.job.key(state)).collect();
        }
        wires.send(&mut resumed.frontier);
        wires.barrier(worker, &self.job.shared)
    }

    fn too_deep(&self, level: usize) -> bool {
        self.job.options.max_depth.is_some_and(|deepest| level > deepest.get())
    }

    /// Whether something of what was found should be nowhere.
    fn fails(&self, found: &[Found]) -> bool {
        let always = |it: &Found| self.properties[it.property].expectation == Expectation::Always;
        found.iter().any(always)
    }

    /// Goes on from all states of a level.
    fn level(
        &mut self,
        level: usize,
        frontier: &[Key<N>],
        worker: &mut Worker,
        wires: &Wires<N>,
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
        for some in frontier.chunks(AT_ONCE) {
            if note.stop.is_some() || self.job.shared.stopping() || wires.called_off.get() {
                break;
            }
            note.stop = self.go_on(some, level, &mut note, &mut sent).err();
            wires.send(&mut sent);
            worker.step();
            self.show(some.len(), note.totals.states + wires.shard.borrow().waiting());
            let worker = self.part.worker % self.job.options.threads.get();
            let doubling = wires.shard.borrow().doubling_bytes();
            self.job.shared.doubling[worker].store(doubling, Ordering::Relaxed);
        }
        if let Some(why) = &note.stop {
            self.job.shared.stop(why.clone());
        }
        note.stop = self.job.shared.why();
        if note.stop.is_some() || wires.called_off.get() {
            // What was met already counts as met.
            note.totals.states += wires.shard.borrow().waiting();
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

    /// Goes on from some states. A panic of the model is a reason to stop, and no more.
    fn go_on(
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

    /// Looks at a state, and takes its steps unless some state has failed; `actions` is empty before and
    /// after.
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
        self.look(key, &state, level, &mut note.found);
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
            sent.push(key.ok_or("a state cannot be packed, though another engine can keep it")?);
        }
        Ok(())
    }

    /// Evaluates what is not settled yet. Of several states that settle a property, the least is kept.
    fn look(&self, key: &Key<N>, state: &M::State, level: usize, found: &mut Vec<Found>) {
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

    /// For whoever watches: so many more have been gone on from, and so many are known.
    fn show(&mut self, expanded: usize, known: u64) {
        let more = known.saturating_sub(self.shown);
        self.shown += more;
        self.job.shared.states.fetch_add(more, Ordering::Relaxed);
        self.job.shared.expanded.fetch_add(expanded as u64, Ordering::Relaxed);
    }
}
