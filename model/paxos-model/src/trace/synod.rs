//! Writes and reads the bounds, actions and states of Lamport's Paxos in ITF.
//!
//! The variables are those of `Paxos.tla`: `msgs`, `maxBal`, `maxVBal` and `maxVal`. Messages are records that
//! have a `type`. Ballots are integers, and -1 stands for no ballot. Acceptors are `"a0"`, `"a1"`, …. Values are
//! `"v0"`, `"v1"`, …, and `"none"` stands for no value. Files of other tools may have other names: see
//! [`super::paxos_tla`].

use std::collections::{BTreeMap, BTreeSet};

use stateright::Model as _;

use super::{
    Traced, Translation, Variables,
    itf::Value,
    paxos_tla::{self, NONE},
    read::{Unusable, Usable, fields, number, variant},
};
use crate::synod::{Acceptor, Action, Ballot, Bounds, State, Synod, Value as Proposed};

fn acceptor(a: Acceptor) -> Value {
    Value::string(format!("a{}", a.0))
}

fn ballot(b: Option<Ballot>) -> Value {
    b.map_or(Value::Int(-1), |b| b.0.into())
}

fn proposed(v: Option<Proposed>) -> Value {
    Value::string(v.map_or(NONE.to_owned(), |v| format!("v{}", v.0)))
}

const BOUNDS: [&str; 5] = ["acceptors", "values", "ballots", "phase1_quorum", "phase2_quorum"];

fn read_bounds(value: &Value) -> Usable<Bounds> {
    let found: BTreeMap<_, _> = BOUNDS.into_iter().zip(fields(value, BOUNDS)?).collect();
    let byte = |name: &str| {
        number(found[name], 0, u8::MAX).map_err(|unusable| unusable.within(&format!(".{name}")))
    };
    Ok(Bounds {
        acceptors: byte("acceptors")?,
        values: byte("values")?,
        ballots: byte("ballots")?,
        phase1_quorum: Some(byte("phase1_quorum")?),
        phase2_quorum: Some(byte("phase2_quorum")?),
    })
}

impl Traced for Synod {
    const VARIABLES: &'static [&'static str] = &["maxBal", "maxVBal", "maxVal", "msgs"];

    fn write_bounds(&self) -> Value {
        let Bounds { acceptors, values, ballots, phase1_quorum, phase2_quorum } = self.bounds();
        let quorum = |size: Option<u8>| size.unwrap_or(acceptors / 2 + 1).into();
        Value::record([
            ("acceptors", acceptors.into()),
            ("values", values.into()),
            ("ballots", ballots.into()),
            ("phase1_quorum", quorum(phase1_quorum)),
            ("phase2_quorum", quorum(phase2_quorum)),
        ])
    }

    fn read(bounds: &Value, bug: Option<&Value>) -> Result<Self, String> {
        if let Some(bug) = bug {
            return Err(format!("#meta.bug is {bug}; accepted is nothing, for synod has no bugs"));
        }
        let bounds = read_bounds(bounds).map_err(|Unusable { at, found, accepted }| {
            format!("#meta.bounds{at} is {found}; accepted is {accepted}")
        })?;
        Self::new(bounds).map_err(|error| format!("#meta.bounds: {error}"))
    }

    fn in_our_form(mut state: Variables) -> Variables {
        if let Some(Value::Set(messages)) = state.get_mut("msgs") {
            *messages = messages.iter().cloned().map(paxos_tla::in_our_form).collect();
        }
        state
    }

    fn translate(
        states: Vec<Variables>,
        parameters: &Variables,
        told: Option<&Self>,
    ) -> Result<Translation, String> {
        paxos_tla::translate(&states, parameters, told)
    }

    fn write_state(&self, state: &State) -> Variables {
        let state = *state;
        let mut msgs = BTreeSet::new();
        let mut say = |kind, fields: &[(&str, Value)]| {
            msgs.insert(paxos_tla::message(kind, fields.iter().cloned()));
        };
        for b in self.ballots() {
            let bal = || ("bal", Value::from(b.0));
            if self.prepared(state, b) {
                say("1a", &[bal()]);
            }
            for v in self.proposals(state, b) {
                say("2a", &[bal(), ("val", proposed(Some(v)))]);
            }
            for a in self.acceptors() {
                if self.promised(state, a, b) {
                    let (mbal, mval) = self.report(state, a, b).unzip();
                    let (mbal, mval) = (("mbal", ballot(mbal)), ("mval", proposed(mval)));
                    say("1b", &[("acc", acceptor(a)), bal(), mbal, mval]);
                }
                if self.voted(state, a, b) {
                    let val = ("val", proposed(self.proposal(state, b)));
                    say("2b", &[("acc", acceptor(a)), bal(), val]);
                }
            }
        }
        let each = |it: &dyn Fn(Acceptor) -> Value| {
            Value::Map(self.acceptors().map(|a| (acceptor(a), it(a))).collect())
        };
        let last_vote = |a| self.last_vote(state, a).unzip();
        let variables = [
            ("maxBal", each(&|a| ballot(self.max_bal(state, a)))),
            ("maxVBal", each(&|a| ballot(last_vote(a).0))),
            ("maxVal", each(&|a| proposed(last_vote(a).1))),
            ("msgs", Value::Set(msgs)),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn write_action(&self, action: Option<&Action>) -> Value {
        let bal = |b: Ballot| ("bal", Value::from(b.0));
        let acc = |a| ("acc", acceptor(a));
        let (tag, value) = match action {
            None => ("Init", Value::unit()),
            Some(&Action::Prepare(b)) => ("Prepare", Value::record([bal(b)])),
            Some(&Action::Promise(a, b)) => ("Promise", Value::record([acc(a), bal(b)])),
            Some(&Action::Propose(b, v)) => {
                ("Propose", Value::record([bal(b), ("val", proposed(Some(v)))]))
            }
            Some(&Action::Vote(a, b)) => ("Vote", Value::record([acc(a), bal(b)])),
        };
        Value::variant(tag, value)
    }

    fn read_action(&self, value: &Value) -> Usable<Option<Action>> {
        let (tag, inner) = variant(value)?;
        let within = |unusable: Unusable| unusable.within(".value");
        let bounds = self.bounds();
        let bal = |value: &Value| {
            let ballot = number(value, 0, bounds.ballots - 1).map(Ballot);
            ballot.map_err(|unusable| unusable.within(".value.bal"))
        };
        let acc = |value: &Value| {
            let known = self.acceptors().find(|a| acceptor(*a) == *value);
            let accepted = format!("an acceptor, a0 to a{}", bounds.acceptors - 1);
            known.ok_or_else(|| Unusable::new(".value.acc", value, accepted))
        };
        let val = |value: &Value| {
            let known = (0..bounds.values).map(Proposed).find(|v| proposed(Some(*v)) == *value);
            let accepted = format!("a value, v0 to v{}", bounds.values - 1);
            known.ok_or_else(|| Unusable::new(".value.val", value, accepted))
        };
        let both = || {
            let [a, b] = fields(inner, ["acc", "bal"]).map_err(within)?;
            Ok((acc(a)?, bal(b)?))
        };
        Ok(Some(match tag {
            "Init" if *inner == Value::unit() => return Ok(None),
            "Init" => return Err(Unusable::new(".value", inner, "U_OF_UNIT")),
            "Prepare" => {
                let [b] = fields(inner, ["bal"]).map_err(within)?;
                Action::Prepare(bal(b)?)
            }
            "Promise" => both().map(|(a, b)| Action::Promise(a, b))?,
            "Propose" => {
                let [b, v] = fields(inner, ["bal", "val"]).map_err(within)?;
                Action::Propose(bal(b)?, val(v)?)
            }
            "Vote" => both().map(|(a, b)| Action::Vote(a, b))?,
            _ => {
                let accepted = "Init, Prepare, Promise, Propose or Vote".to_owned();
                return Err(Unusable { at: ".tag".into(), found: tag.into(), accepted });
            }
        }))
    }

    fn offered(&self, state: &State) -> Vec<Action> {
        let mut offered = Vec::new();
        self.actions(state, &mut offered);
        offered
    }

    fn taken(&self, state: &State, action: &Action) -> Option<State> {
        self.step(*state, *action)
    }

    fn why_not(&self, state: &State, action: &Action) -> String {
        let state = *state;
        let answered = |a| self.max_bal(state, a).map_or(0, |b| b.0);
        match *action {
            Action::Prepare(b) => format!("ballot {} is prepared already", b.0),
            Action::Promise(_, b) if !self.prepared(state, b) => {
                format!("ballot {} is not prepared", b.0)
            }
            Action::Promise(a, _) => {
                format!("acceptor {} has answered ballot {} before", a.0, answered(a))
            }
            Action::Propose(b, _) if self.proposal(state, b).is_some() => {
                format!("something is proposed in ballot {} already", b.0)
            }
            Action::Propose(b, _) => {
                let allowed: Vec<_> =
                    self.proposable(state, b).map(|v| format!("v{}", v.0)).collect();
                if allowed.is_empty() {
                    format!("no quorum has promised ballot {}", b.0)
                } else {
                    format!("the promises of ballot {} allow only {}", b.0, allowed.join(", "))
                }
            }
            Action::Vote(_, b) if self.proposal(state, b).is_none() => {
                format!("nothing is proposed in ballot {}", b.0)
            }
            Action::Vote(a, b) if self.voted(state, a, b) => {
                format!("acceptor {} has voted in ballot {} before", a.0, b.0)
            }
            Action::Vote(a, _) => format!("acceptor {} has answered ballot {}", a.0, answered(a)),
        }
    }
}
