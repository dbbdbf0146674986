//! Whether there is an order in which all that was told of one key makes sense.
//!
//! The algorithm is that of Wing and Gong, which tries every order that time allows, with Lowe's
//! memory: the same operations done with the same outcome need not be continued twice. stateright's
//! tester has no such memory, and needs too long for more than a few operations at once; in
//! small histories it has to agree, which is tested here.

use std::collections::HashSet;

use super::history::{Answer, Operation, Request};

/// The most operations of one key: they are the bits of a word.
pub(crate) const OPERATIONS_MAX: usize = 128;

/// A key's value, as one node alone would keep it.
type Key = Option<String>;

/// What a request does, and its answer.
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

/// Whether one key, which was missing first, can have answered like this.
pub(crate) fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= OPERATIONS_MAX, "a key has too many operations to be checked");
    let mut search = Search { operations: operations.to_vec(), seen: HashSet::new() };
    // Those with an answer first: whether the others have happened follows from these, most often.
    search.operations.sort_by_key(|operation| match operation.returned {
        Some((at, _)) => (false, at),
        None => (true, operation.invoked),
    });
    search.goes_on(0, &None)
}

struct Search {
    operations: Vec<Operation>,
    /// What was found to lead nowhere.
    seen: HashSet<(u128, Key)>,
}

impl Search {
    /// Whether the rest can follow where these are done and the key has this value.
    fn goes_on(&mut self, done: u128, key: &Key) -> bool {
        let rest = || (0..self.operations.len()).filter(|place| done & 1 << place == 0);
        let returned = |place: usize| self.operations[place].returned.as_ref();
        let Some(first_return) = rest().filter_map(|place| Some(returned(place)?.0)).min() else {
            return true; // Whoever had no answer need not have happened.
        };
        if self.seen.contains(&(done, key.clone())) {
            return false;
        }
        // What was asked after another had its answer comes after that.
        let next = rest().filter(|&place| self.operations[place].invoked < first_return);
        // Of those that ask the same and have no answer, whichever was first may as well go first.
        let request = |place: usize| &self.operations[place].request;
        let is_first = |&place: &usize| {
            returned(place).is_some()
                || !rest()
                    .take_while(|&other| other < place)
                    .any(|other| returned(other).is_none() && request(other) == request(place))
        };
        let next: Vec<_> = next.filter(is_first).collect();
        for place in next {
            let operation = &self.operations[place];
            let (value, answer) = execute(key, &operation.request);
            let agrees = operation.returned.as_ref().is_none_or(|(_, told)| *told == answer);
            if agrees && self.goes_on(done | 1 << place, &value) {
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

    /// What stateright needs to be told of a key.
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

    /// stateright's judgement. Each operation is a client of its own: clients go on after one of unknown
    /// outcome.
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

    /// A history that did happen on one node, with overlapping clients, and lost answers.
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
            let (place, answer) = &mut open[chosen];
            let operation = &mut operations[*place];
            match answer {
                // It is lost before it has its effect, or its answer is.
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
    fn what_happened_is_linearizable() {
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
            // Somebody was told what another was.
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
        assert!(yes > 100 && no > 100, "{yes} and {no}: one of the two was hardly asked for");
    }

    /// A history of operations one after the other.
    fn told(story: &[(Request, Option<Answer>)]) -> bool {
        let operation =
            |(place, (request, answer)): (usize, &(Request, Option<Answer>))| Operation {
                request: request.clone(),
                invoked: 2 * place as u64,
                returned: answer.clone().map(|answer| (2 * place as u64 + 1, answer)),
            };
        is_linearizable(&story.iter().enumerate().map(operation).collect::<Vec<_>>())
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
        assert!(told(&[&writes[..], &[(Request::Get, Some(value("2")))]].concat()));
        assert!(!told(&[&writes[..], &[(Request::Get, Some(value("1")))]].concat()));
    }

    #[test]
    fn a_lost_write_is_found() {
        let nothing = Some(Answer::Value(None));
        assert!(told(&[(set("1"), None), (Request::Get, nothing.clone())]));
        assert!(!told(&[(set("1"), Some(Answer::Done)), (Request::Get, nothing)]));
    }

    #[test]
    fn a_doubled_write_is_found() {
        let append = || Request::Append("x".to_owned());
        let once = Some(Answer::Number(1));
        assert!(told(&[(append(), once.clone()), (Request::Get, Some(value("x")))]));
        assert!(!told(&[(append(), once), (Request::Get, Some(value("xx")))]));
        // Even one without an answer happens once at most.
        assert!(!told(&[(append(), None), (Request::Get, Some(value("xx")))]));
    }

    /// It may be late, but what was seen stays.
    #[test]
    fn a_write_without_an_answer_may_be_late_and_is_not_undone() {
        let nothing = Some(Answer::Value(None));
        let late =
            [(set("1"), None), (Request::Get, nothing.clone()), (Request::Get, Some(value("1")))];
        assert!(told(&late));
        assert!(!told(&[&late[..], &[(Request::Get, nothing)]].concat()));
    }
}
