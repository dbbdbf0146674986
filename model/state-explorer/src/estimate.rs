//! About how many states there will be, before anybody waits for them.
//!
//! The same model within smaller bounds is explored, as far as a moment allows, and the growth
//! from one size to the next is carried on. That is a guess, and is called one: it is there to warn, never to
//! conclude.

use std::time::Duration;

use super::{Engine, Explorable, Limits, Options, engine, limits, progress::Progress};

/// Smaller models are explored up to so many states each.
const STATES_MAX: usize = 200_000;
const MOMENT: Duration = Duration::from_millis(500);

/// About how much a search will take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// How many states.
    pub states: f64,
    /// How much memory, in bytes.
    pub memory_bytes: u64,
    /// How much memory there is for it, in bytes, if that is known.
    pub available_bytes: Option<u64>,
}

impl Estimate {
    /// Whether it is more than can be held.
    pub fn hopeless(&self) -> bool {
        self.available_bytes.is_some_and(|available| self.memory_bytes > available)
    }
}

/// Guesses what a search will take. Nothing if it is small enough to be known in a moment, or if there are
/// no smaller models to go by.
pub fn estimate<M: Explorable>(model: &M, options: &Options) -> Option<Estimate> {
    let smaller: Vec<M> = std::iter::successors(model.smaller(), Explorable::smaller).collect();
    let counts: Vec<f64> = smaller.iter().rev().map_while(|it| count(it, options)).collect();
    let states = extrapolate(&counts, smaller.len() + 1 - counts.len())?;
    if states < 1e6 {
        return None;
    }
    let available_bytes = limits::available_bytes();
    let available_bytes = match (available_bytes, options.max_memory_bytes) {
        (Some(available), Some(most)) => Some(available.min(most)),
        (one, other) => one.or(other),
    };
    #[expect(
        clippy::cast_sign_loss,
        reason = "it is positive, and what is too large becomes the most"
    )]
    let memory_bytes = (states * bytes_per_state(model, options)) as u64;
    Some(Estimate { states, memory_bytes, available_bytes })
}

/// How many states a small model has, if that can be told in a moment.
fn count<M: Explorable>(model: &M, options: &Options) -> Option<f64> {
    let options = Options {
        engine: Engine::Dfs,
        max_states: Some(STATES_MAX),
        timeout: Some(MOMENT),
        symmetry: options.symmetry,
        interrupt: options.interrupt.clone(),
        ..Options::default()
    };
    let search =
        engine::search(model, &options, &Limits::new(&options), Progress::new(false, ""), None);
    search.ran_out.then(|| f64::from(u32::try_from(search.states).unwrap_or(u32::MAX)))
}

/// Carries on a growth whose rate changes by about the same factor each time.
fn extrapolate(counts: &[f64], steps: usize) -> Option<f64> {
    let [.., last] = counts else { return None };
    let rates: Vec<f64> = counts.windows(2).map(|pair| pair[1] / pair[0]).collect();
    let [.., rate] = rates[..] else { return None };
    let change = match rates[..] {
        [.., before, rate] => (rate / before).min(1.0),
        _ => 1.0,
    };
    let mut states = *last;
    let mut rate = rate;
    for _ in 0..steps {
        rate = (rate * change).max(1.0);
        states *= rate;
    }
    Some(states)
}

/// What a state costs in memory, as measured: fingerprints with what belongs to them, or packed states in
/// tables that are at times half empty, of which a graded model keeps a few levels only.
#[expect(clippy::cast_precision_loss, reason = "eight at most")]
fn bytes_per_state<M: Explorable>(model: &M, options: &Options) -> f64 {
    match options.engine {
        Engine::Bfs => 90.0,
        Engine::Dfs => 20.0,
        Engine::Timely => {
            let packed = engine::timely::words(model).unwrap_or(8) as f64 * 8.0;
            if M::GRADED { packed * 0.6 } else { packed * 2.5 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_carried_on() {
        assert_eq!(extrapolate(&[1.0, 10.0, 100.0], 2), Some(10_000.0));
        assert_eq!(extrapolate(&[1.0, 10.0, 50.0], 1), Some(125.0));
        assert_eq!(extrapolate(&[7.0], 1), None);
        assert_eq!(extrapolate(&[], 1), None);
    }

    #[test]
    fn more_than_there_is_is_hopeless() {
        let estimate =
            |memory_bytes| Estimate { states: 1e9, memory_bytes, available_bytes: Some(1 << 30) };
        assert!(!estimate(1 << 29).hopeless());
        assert!(estimate(1 << 31).hopeless());
    }
}
