//! Estimates the number of states and the memory of a search before it begins.
//!
//! An estimate explores the model with smaller bounds for a short time, and extrapolates the growth from one size to the
//! next. The result is a guess. It serves for warnings only, and never for a verdict.

use std::time::Duration;

use super::{Engine, Explorable, Limits, Options, engine, limits, progress::Progress};

/// The limit of states for each smaller model.
const STATES_MAX: usize = 200_000;
/// The time limit for each smaller model.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The estimated size of a search.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// The number of states.
    pub states: f64,
    /// The memory that the states need, in bytes.
    pub memory_bytes: u64,
    /// The memory that is available, in bytes, if that is known.
    pub available_bytes: Option<u64>,
}

impl Estimate {
    /// Returns true if the states need more memory than is available.
    pub fn hopeless(&self) -> bool {
        self.available_bytes.is_some_and(|available| self.memory_bytes > available)
    }
}

/// Estimates the size of a search. Returns `None` if the estimate is below a million states, or if there are too few smaller
/// models to extrapolate from.
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
    #[expect(clippy::cast_sign_loss, reason = "it is positive, and the cast saturates")]
    let memory_bytes = (states * bytes_per_state(model, options)) as u64;
    Some(Estimate { states, memory_bytes, available_bytes })
}

/// Returns the number of states of a small model, or `None` if a limit was reached first.
fn count<M: Explorable>(model: &M, options: &Options) -> Option<f64> {
    let options = Options {
        engine: Engine::Dfs,
        max_states: Some(STATES_MAX),
        timeout: Some(TIMEOUT),
        symmetry: options.symmetry,
        interrupt: options.interrupt.clone(),
        ..Options::default()
    };
    let search =
        engine::search(model, &options, &Limits::new(&options), Progress::new(false, ""), None);
    search.ran_out.then(|| f64::from(u32::try_from(search.states).unwrap_or(u32::MAX)))
}

/// Extrapolates the counts by `steps` sizes, on the assumption that the growth rate changes by a constant factor.
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

/// Returns the memory that an engine needs for a state, in bytes. The numbers are measured. stateright stores fingerprints,
/// and for breadth-first search also their predecessors. timely stores packed states, in tables that may be half empty. Of a
/// graded model, it keeps only a few levels.
#[expect(clippy::cast_precision_loss, reason = "at most 8 words")]
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
    fn growth_is_extrapolated() {
        assert_eq!(extrapolate(&[1.0, 10.0, 100.0], 2), Some(10_000.0));
        assert_eq!(extrapolate(&[1.0, 10.0, 50.0], 1), Some(125.0));
        assert_eq!(extrapolate(&[7.0], 1), None);
        assert_eq!(extrapolate(&[], 1), None);
    }

    #[test]
    fn a_search_that_needs_more_memory_than_available_is_hopeless() {
        let estimate =
            |memory_bytes| Estimate { states: 1e9, memory_bytes, available_bytes: Some(1 << 30) };
        assert!(!estimate(1 << 29).hopeless());
        assert!(estimate(1 << 31).hopeless());
    }
}
