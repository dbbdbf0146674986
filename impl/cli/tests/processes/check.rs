//! The linearizability check for the history of one key.
//!
//! The algorithm of Wing and Gong tries every order that the times allow. Lowe's extension remembers each set of executed
//! operations with the resulting value, and continues each such pair only once. The tester of stateright lacks the extension,
//! and takes too long for more than a few concurrent operations. The tests below compare the two on small histories.

use std::collections::HashSet;

use super::history::{Answer, Operation, Request};

/// The highest number of operations of one key. A set of operations is represented by the bits of a word.
pub(crate) const OPERATIONS_MAX: usize = 128;

/// The value of a key in a sequential execution.
type Key = Option<String>;

/// Executes a request. Returns the new value and the answer.
pub(crate) fn execute(key: &Key, request: &Request) -> (Key, Answer) {
    match request {
        Request::Get => (key.clone(), Answer::Value(key.clone())),
        Request::Set(value) => (Some(value.clone()), Answer::Done),
        Request::Swap(value) => (Some(value.clone()), Answer::Value(key.clone())),
        Request::Append(end) => {
            let value = key.clone().unwrap_or_default() + end;
            let length = value.len() as u64;
            (Some(value), Answer::Number(length))
        }
        Request::Increment => {
            let number = key.as_ref().map_or(0, |value| value.parse().expect("a number")) + 1;
            (Some(number.to_string()), Answer::Number(number))
        }
    }
}

/// Returns true if the history of a key, which is missing at first, is linearizable.
pub(crate) fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= OPERATIONS_MAX, "a key has too many operations to be checked");
    let mut search = Search { operations: operations.to_vec(), seen: HashSet::new() };
    // Operations with an answer come first, because they mostly determine which of the others took effect.
    search.operations.sort_by_key(|operation| match operation.returned {
        Some((at, _)) => (false, at),
        None => (true, operation.invoked),
    });
    search.can_continue(0, &None)
}

struct Search {
    operations: Vec<Operation>,
    /// Sets of executed operations with the resulting value, from which the other operations cannot follow.
    seen: HashSet<(u128, Key)>,
}

impl Search {
    /// Returns true if the other operations can follow when those in `done` are executed and the key has this value.
    fn can_continue(&mut self, done: u128, key: &Key) -> bool {
        let rest = || (0..self.operations.len()).filter(|index| done & 1 << index == 0);
        let returned = |index: usize| self.operations[index].returned.as_ref();
        let Some(first_return) = rest().filter_map(|index| Some(returned(index)?.0)).min() else {
            return true; // An operation without an answer need not have taken effect.
        };
        if self.seen.contains(&(done, key.clone())) {
            return false;
        }
        // An operation that began after the answer of another operation comes after that operation.
        let next = rest().filter(|&index| self.operations[index].invoked < first_return);
        // Of equal operations without an answer, only the first has to be tried next.
        let request = |index: usize| &self.operations[index].request;
        let is_first = |&index: &usize| {
            returned(index).is_some()
                || !rest()
                    .take_while(|&other| other < index)
                    .any(|other| returned(other).is_none() && request(other) == request(index))
        };
        let next: Vec<_> = next.filter(is_first).collect();
        for index in next {
            let operation = &self.operations[index];
            let (value, answer) = execute(key, &operation.request);
            let agrees = operation.returned.as_ref().is_none_or(|(_, told)| *told == answer);
            if agrees && self.can_continue(done | 1 << index, &value) {
                return true;
            }
        }
        self.seen.insert((done, key.clone()));
        false
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};

    use super::*;

    /// The sequential specification of a key for stateright.
    #[derive(Clone)]
    struct Reference(Key);

    impl SequentialSpec for Reference {
        type Op = Request;
        type Ret = Answer;

        fn invoke(&mut self, request: &Request) -> Answer {
            let answer;
            (self.0, answer) = execute(&self.0, request);
            answer
        }
    }

    /// Returns the result of stateright's tester. There, each operation has a client of its own, because the tester's clients
    /// wait for an answer, and the clients here continue without one.
    fn reference(operations: &[Operation]) -> bool {
        let mut tester = LinearizabilityTester::new(Reference(None));
        let mut events = Vec::new();
        for (client, operation) in operations.iter().enumerate() {
            events.push((operation.invoked, client, None));
            if let Some((at, answer)) = &operation.returned {
                events.push((*at, client, Some(answer.clone())));
            }
        }
        events.sort_by_key(|(at, ..)| *at);
        for (_, client, answer) in events {
            match answer {
                None => tester.on_invoke(client, operations[client].request.clone()),
                Some(answer) => tester.on_return(client, answer),
            }
            .expect("each client has one operation");
        }
        tester.is_consistent()
    }

    /// Returns a history that a single node produced, with concurrent clients and lost answers.
    fn happened(random: &mut ChaCha8Rng, count: usize, numbers: bool) -> Vec<Operation> {
        let mut operations: Vec<Operation> = Vec::new();
        let (mut key, mut open, mut now) = (None, Vec::new(), 0);
        while operations.len() < count || !open.is_empty() {
            now += 1;
            let more = open.is_empty() || open.len() < 4 && random.random_ratio(2, 5);
            if operations.len() < count && more {
                open.push((operations.len(), None));
                let token = format!("{now};");
                let request = match random.random_range(0..4) {
                    0 | 1 if numbers => Request::Increment,
                    0 => Request::Append(token),
                    1 => Request::Set(token),
                    2 if !numbers => Request::Swap(token),
                    _ => Request::Get,
                };
                operations.push(Operation { request, invoked: now, returned: None });
                continue;
            }
            let chosen = random.random_range(0..open.len());
            let (index, answer) = &mut open[chosen];
            let operation = &mut operations[*index];
            match answer {
                // The request is lost before it takes effect, or its answer is.
                _ if random.random_ratio(1, 20) => drop(open.remove(chosen)),
                None => {
                    let (value, told) = execute(&key, &operation.request);
                    (key, *answer) = (value, Some(told));
                }
                Some(told) => {
                    operation.returned = Some((now, told.clone()));
                    open.remove(chosen);
                }
            }
        }
        operations
    }

    #[test]
    fn histories_of_one_node_are_linearizable() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for round in 0..100 {
            let operations = happened(&mut random, 60, round % 2 == 0);
            assert!(is_linearizable(&operations), "{operations:#?}");
        }
    }

    #[test]
    fn stateright_agrees_on_small_histories() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let (mut yes, mut no) = (0, 0);
        for round in 0..2000 {
            let mut operations = happened(&mut random, 6, round % 2 == 0);
            // One client gets the answer of another.
            let (one, other) = (random.random_range(0..6), random.random_range(0..6));
            if let (Some((_, from)), Some(_)) =
                (operations[one].returned.clone(), &operations[other].returned)
            {
                operations[other].returned.as_mut().expect("just seen").1 = from;
            }
            let found = is_linearizable(&operations);
            assert_eq!(found, reference(&operations), "{operations:#?}");
            if found { yes += 1 } else { no += 1 }
        }
        assert!(yes > 100 && no > 100, "{yes} and {no}: one outcome was hardly tried");
    }

    /// Returns true if a history of operations one after the other is linearizable.
    fn is_sequential(history: &[(Request, Option<Answer>)]) -> bool {
        let operation =
            |(index, (request, answer)): (usize, &(Request, Option<Answer>))| Operation {
                request: request.clone(),
                invoked: 2 * index as u64,
                returned: answer.clone().map(|answer| (2 * index as u64 + 1, answer)),
            };
        is_linearizable(&history.iter().enumerate().map(operation).collect::<Vec<_>>())
    }

    fn value(text: &str) -> Answer {
        Answer::Value(Some(text.to_owned()))
    }

    fn set(text: &str) -> Request {
        Request::Set(text.to_owned())
    }

    #[test]
    fn a_stale_read_is_found() {
        let writes = [(set("1"), Some(Answer::Done)), (set("2"), Some(Answer::Done))];
        assert!(is_sequential(&[&writes[..], &[(Request::Get, Some(value("2")))]].concat()));
        assert!(!is_sequential(&[&writes[..], &[(Request::Get, Some(value("1")))]].concat()));
    }

    #[test]
    fn a_lost_write_is_found() {
        let nothing = Some(Answer::Value(None));
        assert!(is_sequential(&[(set("1"), None), (Request::Get, nothing.clone())]));
        assert!(!is_sequential(&[(set("1"), Some(Answer::Done)), (Request::Get, nothing)]));
    }

    #[test]
    fn a_doubled_write_is_found() {
        let append = || Request::Append("x".to_owned());
        let once = Some(Answer::Number(1));
        assert!(is_sequential(&[(append(), once.clone()), (Request::Get, Some(value("x")))]));
        assert!(!is_sequential(&[(append(), once), (Request::Get, Some(value("xx")))]));
        // An operation without an answer takes effect at most once, too.
        assert!(!is_sequential(&[(append(), None), (Request::Get, Some(value("xx")))]));
    }

    /// The write may take effect late, but a value that was read stays.
    #[test]
    fn a_write_without_an_answer_may_be_late_and_is_not_undone() {
        let nothing = Some(Answer::Value(None));
        let late =
            [(set("1"), None), (Request::Get, nothing.clone()), (Request::Get, Some(value("1")))];
        assert!(is_sequential(&late));
        assert!(!is_sequential(&[&late[..], &[(Request::Get, nothing)]].concat()));
    }
}
