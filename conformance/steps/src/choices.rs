//! Choices: one generator of cases serves an enumeration, a random sample, and the reduction of a counterexample.
//!
//! A generator asks for numbers, and builds a case from the answers. [`Every`] gives all sequences of answers, one after the
//! other. [`Random`] draws them. [`Given`] repeats a sequence, which the reduction has made smaller.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A source of answers.
pub trait Choices {
    /// Returns a number below `count`, which must not be 0.
    fn below(&mut self, count: usize) -> usize;

    /// Returns one of these things.
    fn of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    /// Returns true or false.
    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// All sequences of answers, in lexicographic order.
#[derive(Clone, Debug, Default)]
pub struct Every {
    /// The answers so far, each with the number of possible ones.
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Every {
    /// Moves to the next sequence. Returns false after the last one.
    pub fn advance(&mut self) -> bool {
        self.path.truncate(self.at);
        self.at = 0;
        while let Some((answer, count)) = self.path.pop() {
            if answer + 1 < count {
                self.path.push((answer + 1, count));
                return true;
            }
        }
        false
    }

    /// Returns the answers of the present sequence.
    pub fn answers(&self) -> Vec<usize> {
        self.path[..self.at].iter().map(|(answer, _)| *answer).collect()
    }
}

impl Choices for Every {
    fn below(&mut self, count: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, count));
        }
        let (answer, known) = self.path[self.at];
        assert_eq!(known, count, "a generator asks the same questions after the same answers");
        self.at += 1;
        answer
    }
}

/// Random answers.
#[derive(Clone, Debug)]
pub struct Random {
    random: ChaCha8Rng,
    answers: Vec<usize>,
}

impl Random {
    /// Returns the source of this seed.
    pub fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), answers: Vec::new() }
    }

    /// Forgets the answers so far, and returns them.
    pub fn take_answers(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.answers)
    }

    /// Forgets the answers so far.
    pub fn forget(&mut self) {
        self.answers.clear();
    }
}

impl Choices for Random {
    fn below(&mut self, count: usize) -> usize {
        let answer = if count == 1 { 0 } else { self.random.random_range(0..count) };
        self.answers.push(answer);
        answer
    }
}

/// Given answers. An answer that is too high becomes the highest possible one, and missing answers are 0.
#[derive(Clone, Debug)]
pub struct Given {
    answers: Vec<usize>,
    at: usize,
}

impl Given {
    /// Returns the source of these answers.
    pub fn new(answers: Vec<usize>) -> Self {
        Self { answers, at: 0 }
    }

    /// Returns the answers that were asked for, as they were given.
    pub fn used(mut self) -> Vec<usize> {
        self.answers.truncate(self.at);
        self.answers
    }
}

impl Choices for Given {
    fn below(&mut self, count: usize) -> usize {
        if self.at == self.answers.len() {
            self.answers.push(0);
        }
        let answer = self.answers[self.at].min(count - 1);
        self.answers[self.at] = answer;
        self.at += 1;
        answer
    }
}

/// Returns the smallest answers that the reduction finds for which `fails` is true, beginning with `answers`. Shorter sequences
/// are smaller, and of two sequences of one length the lexicographically lower one. `fails` returns the answers that it used.
pub fn reduced(
    answers: Vec<usize>,
    mut fails: impl FnMut(Vec<usize>) -> Option<Vec<usize>>,
) -> Vec<usize> {
    let size = |answers: &[usize]| (answers.len(), answers.to_vec());
    let mut best = answers;
    let mut accept = |best: &mut Vec<usize>, tried: Vec<usize>| match fails(tried) {
        Some(used) if size(&used) < size(best) => {
            *best = used;
            true
        }
        _ => false,
    };
    loop {
        let before = best.clone();
        // Without some answers in a row.
        for length in (1..=8.min(best.len())).rev() {
            let mut at = 0;
            while at + length <= best.len() {
                let mut tried = best.clone();
                tried.drain(at..at + length);
                if !accept(&mut best, tried) {
                    at += 1;
                }
            }
        }
        // With a lower answer.
        let mut at = 0;
        while at < best.len() {
            for lower in 0..best[at] {
                let mut tried = best.clone();
                tried[at] = lower;
                if accept(&mut best, tried) {
                    break;
                }
            }
            at += 1;
        }
        if best == before {
            return best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gives_each_sequence_once() {
        let mut every = Every::default();
        let mut found = Vec::new();
        loop {
            let first = every.below(3);
            let second = if first == 1 { every.below(2) } else { 9 };
            found.push((first, second));
            if !every.advance() {
                break;
            }
        }
        assert_eq!(found, [(0, 9), (1, 0), (1, 1), (2, 9)]);
    }

    #[test]
    fn a_reduction_finds_a_short_sequence_with_low_answers() {
        // Fails if two answers in a row add up to 5 or more. No answer of the result can be lowered by itself.
        let fails = |answers: Vec<usize>| {
            let mut given = Given::new(answers);
            let count = given.below(10);
            let drawn: Vec<_> = (0..count).map(|_| given.below(10)).collect();
            let found = drawn.windows(2).any(|pair| pair[0] + pair[1] >= 5);
            found.then(|| given.used())
        };
        assert_eq!(reduced(vec![6, 1, 2, 9, 4, 3, 3], fails), [2, 2, 3]);
    }
}
