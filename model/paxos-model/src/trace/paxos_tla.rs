//! Traces of Lamport's `Paxos.tla` as other tools write them, in the names and the form of [`Synod`].
//!
//! Three things differ from file to file:
//!
//! - **Names.** An acceptor may be called `a1`, `"a1_OF_ACCEPTOR"` or 1, and a value likewise. The content of `maxVal` in the
//!   first state is the name for no value, because `Init` sets `maxVal` to `None`.
//! - **Ballots.** A solver may choose any ballots, such as 5 and 10^30.
//! - **Messages.** Lamport has records with a `type`. Typed specifications for Apalache have variants with tags
//!   such as `M1a`, and Quint's has `Msg1a` with fields of other names.
//!
//! The translation is sound, because the steps of `Paxos.tla` only compare acceptors and values for equality, and ballots
//! by their order. So a one-to-one renaming that keeps the order of ballots maps behaviours to behaviours, and all other
//! sequences of states to sequences that are not behaviours. The translation renames every name, even in places where the
//! specification allows none, because an unchanged name could coincide with a name of the model. Negative ballots keep
//! their number, which no ballot of the model has.
//!
//! An unknown notation is refused. It is never reported as a difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    Traced as _, Translation, Variables,
    itf::{Value, brief},
    read::Unusable,
};
use crate::synod::{Bounds, Synod};

/// The name in the model that stands for no value.
pub(super) const NONE: &str = "none";

/// The parameters of `Paxos.tla`.
const VALUE: &str = "Value";
const ACCEPTOR: &str = "Acceptor";
const QUORUM: &str = "Quorum";

/// The sorts of names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Acceptor,
    Ballot,
    Proposed,
}

/// A field of a message: its name here, its names in other tools, and its sort.
type Field = (&'static str, &'static [&'static str], Sort);

const ACC: Field = ("acc", &["acceptor"], Sort::Acceptor);
const BAL: Field = ("bal", &[], Sort::Ballot);
const MBAL: Field = ("mbal", &[], Sort::Ballot);
const MVAL: Field = ("mval", &[], Sort::Proposed);
const VAL: Field = ("val", &["value"], Sort::Proposed);

/// The messages of `Paxos.tla`, by their type.
const MESSAGES: [(&str, &[Field]); 4] = [
    ("1a", &[BAL]),
    ("1b", &[ACC, BAL, MBAL, MVAL]),
    ("2a", &[BAL, VAL]),
    ("2b", &[ACC, BAL, VAL]),
];

/// The variables that are functions of acceptors, with the sort of their results.
const FUNCTIONS: [(&str, Sort); 3] =
    [("maxBal", Sort::Ballot), ("maxVBal", Sort::Ballot), ("maxVal", Sort::Proposed)];

/// Returns a message of the model: a record with a `type`, as in Lamport's specification.
pub(super) fn message<'n>(kind: &str, fields: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    Value::record([("type", Value::string(kind))].into_iter().chain(fields))
}

/// Converts a message to the form of the model if it is a variant with the same fields. Earlier versions of this
/// program wrote such variants.
pub(super) fn in_our_form(value: Value) -> Value {
    match parts(&value) {
        Ok(Message { kind, fields }) => {
            let fields = fields.into_iter().map(|((name, ..), it)| (*name, it.clone()));
            message(kind, fields)
        }
        Err(_) => value,
    }
}

/// A message of a file: its type, and its fields in the order of [`MESSAGES`].
struct Message<'v> {
    kind: &'static str,
    fields: Vec<(&'static Field, &'v Value)>,
}

/// Reads a message in any known form.
fn parts(value: &Value) -> Result<Message<'_>, Unusable> {
    let accepted = "a record with a type, or a variant of a tag and a record";
    let Value::Record(record) = value else { return Err(Unusable::new("", value, accepted)) };
    let (at, kind, inner) = match (record.get("type"), record.get("tag"), record.get("value")) {
        (Some(kind), ..) => (".type", kind, value),
        (None, Some(tag), Some(inner)) if record.len() == 2 => (".tag", tag, inner),
        _ => return Err(Unusable::new("", value, accepted)),
    };
    let known = |text: &String| MESSAGES.iter().find(|(kind, _)| text.ends_with(kind));
    let message = if let Value::Str(text) = kind { known(text) } else { None };
    let Some((kind, fields)) = message else {
        return Err(Unusable::new(at, kind, "a name that ends in 1a, 1b, 2a or 2b"));
    };
    let inner_at = if at == ".tag" { ".value" } else { "" };
    let Value::Record(inner) = inner else {
        return Err(Unusable::new(inner_at, inner, "a record"));
    };
    let mut rest: BTreeMap<_, _> = inner.iter().map(|(name, it)| (name.as_str(), it)).collect();
    if at == ".type" {
        rest.remove("type");
    }
    let mut found = Vec::new();
    for field in *fields {
        let (name, others, _) = field;
        let mut names = [*name].into_iter().chain(others.iter().copied());
        let Some(it) = names.find_map(|name| rest.remove(name)) else {
            let accepted = format!("a message {kind} with {}", listed(fields));
            let (at, found) = (format!("{inner_at}.{name}"), "nothing".to_owned());
            return Err(Unusable { at, found, accepted });
        };
        found.push((field, it));
    }
    if let Some((name, it)) = rest.first_key_value() {
        let accepted = format!("a message {kind} with {} only", listed(fields));
        return Err(Unusable::new(format!("{inner_at}.{name}"), it, accepted));
    }
    Ok(Message { kind, fields: found })
}

fn listed(fields: &[Field]) -> String {
    let names: Vec<_> = fields.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}

/// Returns a value as a function. In TLA+, a record is a function of strings, and a sequence is a function of 1, 2, 3 and so
/// on.
fn function(value: &Value) -> Option<BTreeMap<Value, &Value>> {
    let numbered = |items: &'_ [Value]| (1..=items.len()).map(Value::from).collect::<Vec<_>>();
    match value {
        Value::Map(map) => Some(map.iter().map(|(key, it)| (key.clone(), it)).collect()),
        Value::Record(record) => {
            Some(record.iter().map(|(name, it)| (Value::string(name), it)).collect())
        }
        Value::Seq(items) | Value::Tup(items) => {
            Some(numbered(items).into_iter().zip(items).collect())
        }
        _ => None,
    }
}

fn refused(place: impl fmt::Display, found: &Value, accepted: &str) -> String {
    // The string "0" is not the integer 0.
    let found = if let Value::Str(text) = found { format!("{text:?}") } else { brief(found) };
    format!("{place} is {found}; accepted is {accepted}")
}

/// Converts a state to the form of the model, and replaces each name by the result of `rename`. The first argument
/// of `rename` is the sort of the name, the second is its place.
fn rebuild(
    i: usize,
    state: &Variables,
    rename: &mut dyn FnMut(Sort, fmt::Arguments<'_>, &Value) -> Result<Value, String>,
) -> Result<Variables, String> {
    let mut rebuilt = Variables::new();
    for (name, sort) in FUNCTIONS {
        let place = format!("states[{i}].{name}");
        let value = &state[name];
        let function = function(value).filter(|function| !function.is_empty());
        let function = function
            .ok_or_else(|| refused(&place, value, "a function of at least one acceptor"))?;
        let mut renamed = BTreeMap::new();
        for (acceptor, it) in function {
            let key = rename(Sort::Acceptor, format_args!("a key of {place}"), &acceptor)?;
            renamed.insert(key, rename(sort, format_args!("{place}[{acceptor}]"), it)?);
        }
        rebuilt.insert(name.to_owned(), Value::Map(renamed));
    }
    let Value::Set(messages) = &state["msgs"] else {
        return Err(refused(format_args!("states[{i}].msgs"), &state["msgs"], "a set"));
    };
    let mut renamed = BTreeSet::new();
    for it in messages {
        let Message { kind, fields } = parts(it).map_err(|Unusable { at, found, accepted }| {
            let place = format!("states[{i}].msgs");
            if at.is_empty() {
                return format!("{place}: a message is {found}; accepted is {accepted}");
            }
            let part = at.trim_start_matches('.');
            format!(
                "{place}: {part} of the message {} is {found}; accepted is {accepted}",
                brief(it)
            )
        })?;
        let mut inner = Vec::new();
        for ((name, _, sort), value) in fields {
            let place = format_args!("states[{i}].msgs[{kind}].{name}");
            inner.push((*name, rename(*sort, place, value)?));
        }
        renamed.insert(message(kind, inner));
    }
    rebuilt.insert("msgs".to_owned(), Value::Set(renamed));
    Ok(rebuilt)
}

/// Returns a ballot as a key that sorts by number: the number of its digits, and the digits. Returns none if the ballot is
/// negative or not an integer.
fn natural(value: &Value) -> Option<(usize, String)> {
    let digits = match value {
        Value::Int(number) if *number >= 0 => number.to_string(),
        Value::Large(digits) if !digits.starts_with('-') => digits.clone(),
        _ => return None,
    };
    Some((digits.len(), digits))
}

/// Returns names in the order of their numbers: a2 comes before a10.
fn sorted(names: BTreeSet<Value>) -> Vec<Value> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_cached_key(|name| {
        let text = name.to_string();
        (text.len(), text)
    });
    names
}

/// Returns the value of an option, or the value itself. Quint writes a vote as an option.
fn in_option(value: &Value) -> &Value {
    let Value::Record(record) = value else { return value };
    match (record.get("tag"), record.get("value")) {
        (Some(Value::Str(tag)), Some(inner)) if tag == "Some" && record.len() == 2 => inner,
        _ => value,
    }
}

/// The names that the states of a file have.
struct Found {
    /// The acceptors, followed by names in the places of acceptors that are not acceptors.
    acceptors: Vec<Value>,
    /// The number of acceptors.
    acceptor_count: usize,
    /// The values that occur. No step depends on any other value.
    values: Vec<Value>,
    /// Names in the places of values that the parameter `Value` lacks.
    no_values: Vec<Value>,
    /// The name for no value.
    none: Value,
    /// The ballots, lowest first.
    ballots: BTreeSet<(usize, String)>,
}

/// Collects all names. Fails at the first unknown notation.
fn look(states: &[Variables], parameters: &Variables) -> Result<(Vec<Variables>, Found), String> {
    let (mut acceptors, mut values) = (BTreeSet::new(), BTreeSet::new());
    let mut ballots = BTreeSet::new();
    let mut formed = Vec::new();
    for (i, state) in states.iter().enumerate() {
        formed.push(rebuild(i, state, &mut |sort, place, value| {
            let value = if sort == Sort::Proposed { in_option(value) } else { value };
            match sort {
                Sort::Acceptor => {
                    acceptors.insert(value.clone());
                }
                Sort::Proposed => {
                    values.insert(value.clone());
                }
                Sort::Ballot => match value {
                    Value::Int(_) | Value::Large(_) => ballots.extend(natural(value)),
                    _ => return Err(refused(place, value, "an integer")),
                },
            }
            Ok(value.clone())
        })?);
    }
    // `rebuild` has made maps of `maxBal` and `maxVal`, each with at least one acceptor.
    let first = &formed[0];
    let (domain, none) = match (&first["maxBal"], &first["maxVal"]) {
        (Value::Map(max_bal), Value::Map(max_val)) => {
            let none = max_val.first_key_value().map_or(Value::string(NONE), |(_, it)| it.clone());
            (max_bal.keys().cloned().collect(), none)
        }
        _ => (BTreeSet::new(), Value::string(NONE)),
    };
    values.remove(&none);
    let given = |name: &str| match parameters.get(name) {
        Some(Value::Set(set)) => Some(set.clone()),
        _ => None,
    };
    let known = given(ACCEPTOR).unwrap_or(domain);
    let strangers = sorted(&acceptors - &known);
    let acceptor_count = known.len();
    let acceptors = [sorted(known), strangers].concat();
    let known = given(VALUE).map_or_else(|| values.clone(), |known| &known & &values);
    let no_values = sorted(&values - &known);
    let values = sorted(known);
    Ok((formed, Found { acceptors, acceptor_count, values, no_values, none, ballots }))
}

/// Returns the number in a name of the model, such as `v0`.
fn number(name: &Value) -> Option<u8> {
    let Value::Str(text) = name else { return None };
    let number: u8 = text.strip_prefix('v')?.parse().ok()?;
    (format!("v{number}") == *text).then_some(number)
}

/// The quorums of a file.
struct Quorums {
    /// The sizes for phase 1 and phase 2. None for majorities.
    sizes: Option<(u8, u8)>,
    /// The assumption about the quorums, if the file has fewer quorums or does not list them.
    assumed: Option<String>,
}

fn quorums(parameters: &Variables, found: &Found) -> Result<Quorums, String> {
    let (n, among) = (found.acceptor_count, &found.acceptors[..found.acceptor_count]);
    let majority = || {
        let assumed = Some(format!("each majority of the {n} acceptors is a quorum"));
        Quorums { sizes: None, assumed }
    };
    let Some(quorums) = parameters.get(QUORUM) else { return Ok(majority()) };
    let Value::Set(quorums) = quorums else {
        // A set that is given by a property, such as all majorities, cannot be written.
        if let Value::Foreign(_) = quorums {
            return Ok(majority());
        }
        return Err(refused("states[0].Quorum", quorums, "a set of sets of acceptors"));
    };
    let mut sizes = Vec::new();
    for quorum in quorums {
        match quorum {
            Value::Set(quorum)
                if !quorum.is_empty() && quorum.iter().all(|a| among.contains(a)) =>
            {
                sizes.push(quorum.len());
            }
            other => {
                let place = "states[0].Quorum: an element";
                return Err(refused(place, other, "a set of one or more elements of Acceptor"));
            }
        }
    }
    let Some(&least) = sizes.iter().min() else {
        return Err("states[0].Quorum is empty; accepted is a set with a quorum in it".to_owned());
    };
    // The number of subsets of that size, or none if it exceeds u64: no file lists so many quorums. Each division is exact.
    let subsets = (1..=least as u64)
        .try_fold(1u64, |count, i| Some(count.checked_mul((n - least) as u64 + i)? / i));
    let smallest = sizes.iter().filter(|size| **size == least).count();
    // More quorums, or smaller ones, allow more proposals. So the model allows each step that the quorums of the file
    // allow.
    let assumed = (subsets != Some(smallest as u64)).then(|| {
        format!("each {least} of the {n} acceptors are a quorum; the file has fewer quorums")
    });
    // The steps do not depend on quorums of votes, but the model requires that they intersect those of promises.
    let phase2 = least.max(n + 1 - least);
    let sizes = u8::try_from(least).ok().zip(u8::try_from(phase2).ok());
    Ok(Quorums { sizes, assumed })
}

/// Translates the states of a file, and returns the bounds that allow them.
///
/// # Errors
/// Fails if the file has an unknown notation, or more acceptors, values or ballots than the model can have.
pub(super) fn translate(
    states: &[Variables],
    parameters: &Variables,
    told: Option<&Synod>,
) -> Result<Translation, String> {
    let (formed, found) = look(states, parameters)?;
    let Quorums { sizes, assumed } = quorums(parameters, &found)?;
    let bounds = |values: usize, ballots: usize| -> Result<Value, String> {
        let many = |count: usize, what| {
            u8::try_from(count)
                .map_err(|_| format!("{count} {what}; at most {} can be read", u8::MAX))
        };
        let bounds = Bounds {
            acceptors: many(found.acceptor_count, "acceptors")?,
            values: many(values, "values")?,
            ballots: many(ballots, "ballots")?,
            phase1_quorum: sizes.map(|(phase1, _)| phase1),
            phase2_quorum: sizes.map(|(_, phase2)| phase2),
        };
        Ok(Synod::new(bounds).map_err(|error| error.to_string())?.write_bounds())
    };
    // Values and ballots with names of the model keep these names if the model has room. So a trace of this program is read
    // unchanged. Values do not keep their names if the file has other names in the places of values, because the model
    // would take those names as values.
    let numbers: Option<Vec<u8>> = found.values.iter().map(number).collect();
    let numbers =
        numbers.filter(|_| found.none == Value::string(NONE) && found.no_values.is_empty());
    let up_to = |last: Option<usize>| last.map_or(Some(1), |last| last.checked_add(1));
    let own_values = numbers.map(|numbers| numbers.into_iter().max().map(usize::from));
    let own_values = own_values.and_then(up_to);
    let own_ballots = match found.ballots.last() {
        None => up_to(None),
        Some((_, digits)) => digits.parse().ok().and_then(|last| up_to(Some(last))),
    };
    let (values, ballots) = (found.values.len().max(1), found.ballots.len().max(1));
    let (model, own_values, own_ballots) = if told.is_some() {
        (None, own_values.is_some(), true)
    } else {
        let keep = |values: Option<usize>, ballots: Option<usize>| bounds(values?, ballots?).ok();
        if let Some(bounds) = keep(own_values, own_ballots) {
            (Some(bounds), true, true)
        } else if let Some(bounds) = keep(Some(values), own_ballots) {
            (Some(bounds), false, true)
        } else {
            let bounds = bounds(values, ballots);
            let bounds = bounds.map_err(|error| format!("the states are beyond synod: {error}"))?;
            (Some(bounds), false, false)
        }
    };
    let names = Names::of(&found, own_values, own_ballots);
    let rename = |(i, state): (usize, &Variables)| {
        rebuild(i, state, &mut |sort, _, value| Ok(names.rename(sort, value)))
    };
    let states = formed.iter().enumerate().map(rename).collect::<Result<_, _>>()?;
    let assumed = if told.is_none() { assumed.into_iter().collect() } else { Vec::new() };
    Ok(Translation { states, bounds: model, names: names.changed(), assumed })
}

/// The name in the model for each name in the file.
struct Names {
    acceptors: BTreeMap<Value, Value>,
    values: BTreeMap<Value, Value>,
    ballots: BTreeMap<(usize, String), usize>,
}

impl Names {
    fn of(found: &Found, own_values: bool, own_ballots: bool) -> Self {
        let numbered = |letter: &str, from: usize, names: &[Value]| -> BTreeMap<_, _> {
            let names = names.iter().cloned().zip(from..);
            names.map(|(name, i)| (name, Value::string(format!("{letter}{i}")))).collect()
        };
        let mut values = if own_values {
            found.values.iter().map(|name| (name.clone(), name.clone())).collect()
        } else {
            numbered("v", 0, &found.values)
        };
        // These names are no values, so they get numbers above those of the values. The model has at least one value.
        values.extend(numbered("v", found.values.len().max(1), &found.no_values));
        values.insert(found.none.clone(), Value::string(NONE));
        let ballots = if own_ballots { BTreeSet::new() } else { found.ballots.clone() };
        let ballots = ballots.into_iter().zip(0..).collect();
        Self { acceptors: numbered("a", 0, &found.acceptors), values, ballots }
    }

    fn rename(&self, sort: Sort, value: &Value) -> Value {
        let name = match sort {
            Sort::Acceptor => self.acceptors.get(value).cloned(),
            Sort::Proposed => self.values.get(value).cloned(),
            Sort::Ballot => {
                let number = natural(value).and_then(|ballot| self.ballots.get(&ballot));
                number.map(|number| Value::from(*number))
            }
        };
        name.unwrap_or_else(|| value.clone())
    }

    /// Returns the names that differ: the name here, and the name in the file.
    fn changed(&self) -> Vec<(String, String)> {
        let names = self.acceptors.iter().chain(&self.values);
        let mut changed: Vec<_> = names
            .filter(|(there, here)| there != here)
            .map(|(there, here)| (here.to_string(), brief(there)))
            .collect();
        let kind = |here: &str| ["a", "v"].iter().position(|kind| here.starts_with(kind));
        changed.sort_by_cached_key(|(here, _)| {
            (kind(here).is_none(), kind(here), here.len(), here.clone())
        });
        let ballots = self.ballots.iter().map(|((_, digits), here)| (here.to_string(), digits));
        let ballots = ballots.filter(|(here, there)| here != *there);
        changed.extend(ballots.map(|(here, there)| (format!("ballot {here}"), there.clone())));
        changed
    }
}
