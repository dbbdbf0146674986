//! A trace as it stands in a file.
//!
//! A file with actions is one of this program, and must have all that it writes. A file without them is
//! another program's: what it leaves out of `#meta` is not asked for, as long as the model can be told.

use std::{collections::BTreeMap, fs, path::Path};

use thiserror::Error;

use super::{
    Recorded, Trace, Traced, Variables,
    itf::Value,
    read::{Unusable, record},
};
use crate::{cluster::Cluster, synod::Synod};

/// How the name of a trace file ends.
pub const EXTENSION: &str = ".itf.json";

const FORMAT: &str = "ITF";
const FORMAT_DESCRIPTION: &str = "https://apalache-mc.org/docs/adr/015adr-trace.html";
const ACTION: &str = "action";
const META: &str = "#meta";

/// A file that is no trace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: {what}")]
pub struct TraceError {
    /// Which file.
    pub file: String,
    /// What is wrong with it, where, and what would be accepted.
    pub what: String,
}

impl TraceError {
    /// For the process that refuses it.
    pub const EXIT_CODE: u8 = 2;
}

/// A trace of either model: its variables say which.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyTrace {
    /// Of Lamport's Paxos.
    Synod(Trace<Synod>),
    /// Of replicas as they are built.
    Cluster(Trace<Cluster>),
}

impl AnyTrace {
    /// Reads a trace; `file` is only for complaints.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(file: &str, text: &str) -> Result<Self, TraceError> {
        let either = || {
            let root = root(text)?;
            let variables = names(&root);
            if is_of::<Synod>(&variables) {
                return parse(&root).map(Self::Synod);
            }
            if is_of::<Cluster>(&variables) || variables.is_empty() {
                return parse(&root).map(Self::Cluster);
            }
            let (synod, cluster) = (Synod::VARIABLES.join(", "), Cluster::VARIABLES.join(", "));
            Err(format!(
                "vars is <{}>; accepted is <{synod}> for synod and <{cluster}> for cluster, with \
                 or without action",
                variables.join(", ")
            ))
        };
        either().map_err(|what| TraceError { file: file.to_owned(), what })
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let (file, text) = contents(path)?;
        Self::parse(&file, &text)
    }
}

impl<M: Traced> Trace<M> {
    /// Reads a trace; `file` is only for complaints.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(file: &str, text: &str) -> Result<Self, TraceError> {
        let trace = root(text).and_then(|root| parse(&root));
        trace.map_err(|what| TraceError { file: file.to_owned(), what })
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let (file, text) = contents(path)?;
        Self::parse(&file, &text)
    }

    /// As it stands in a file: one line for each element of a set or map.
    pub fn to_itf(&self) -> String {
        let json = |value: &Value| serde_json::to_string(value).expect("it is JSON already");
        let list = |items: &mut dyn Iterator<Item = String>| {
            let items: Vec<_> = items.map(|item| format!("\n        {item}")).collect();
            if items.is_empty() { String::new() } else { items.join(",") + "\n      " }
        };
        let with_actions = self.has_actions();
        let names = with_actions.then_some(ACTION).into_iter().chain(M::VARIABLES.iter().copied());
        let variables = Value::Seq(names.map(Value::string).collect());
        let mut text = String::new();
        let mut write = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        write("{".to_owned());
        write(format!("  \"{META}\": {},", self.meta().plain()));
        write("  \"params\": [],".to_owned());
        write(format!("  \"vars\": {},", json(&variables)));
        write("  \"states\": [".to_owned());
        for (i, state) in self.states.iter().enumerate() {
            let does = state.does.as_deref().map(|does| ("does", Value::string(does)));
            let index = [("index", i.into())].into_iter().chain(does);
            let meta = Value::Record(index.map(|(name, it)| (name.to_owned(), it)).collect());
            write("    {".to_owned());
            write(format!("      \"{META}\": {},", meta.plain()));
            let mut entries = Vec::new();
            if with_actions {
                let action = json(&self.model.write_action(state.action.as_ref()));
                entries.push(format!("      \"{ACTION}\": {action}"));
            }
            for (name, value) in &state.variables {
                let value = match value {
                    Value::Set(items) => {
                        format!("{{\"#set\":[{}]}}", list(&mut items.iter().map(json)))
                    }
                    Value::Map(entries) => {
                        let mut entries =
                            entries.iter().map(|(key, it)| format!("[{},{}]", json(key), json(it)));
                        format!("{{\"#map\":[{}]}}", list(&mut entries))
                    }
                    other => json(other),
                };
                entries.push(format!("      \"{name}\": {value}"));
            }
            write(entries.join(",\n"));
            write(if i + 1 < self.states.len() { "    }," } else { "    }" }.to_owned());
        }
        write("  ]".to_owned());
        write("}".to_owned());
        text
    }

    fn meta(&self) -> Value {
        let bug = self.model.write_bug().map(|bug| ("bug", bug));
        let fields = [
            ("format", Value::string(FORMAT)),
            ("format-description", Value::string(FORMAT_DESCRIPTION)),
            ("description", Value::string(&self.description)),
            ("steps", self.steps().into()),
            ("bounds", self.model.write_bounds()),
        ];
        let fields = fields.into_iter().chain(bug);
        Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Whether what led to each state is recorded.
    pub fn has_actions(&self) -> bool {
        self.states.iter().skip(1).all(|state| state.action.is_some())
    }
}

fn contents(path: &Path) -> Result<(String, String), TraceError> {
    let file = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok((file, text)),
        Err(error) => Err(TraceError { file, what: format!("cannot be read: {error}") }),
    }
}

/// The object that a file is, without what all write and none need.
fn root(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Err("it is empty; a trace is an ITF object with #meta, vars and states".to_owned());
    }
    let root: Value = serde_json::from_str(text).map_err(|error| {
        let cut = if error.is_eof() { " (was it cut?)" } else { "" };
        format!("it is no ITF: {error}{cut}")
    })?;
    let Value::Record(mut record) = root else { return Ok(root) };
    let params = record.remove("params").unwrap_or(Value::Seq(Vec::new()));
    if params != Value::Seq(Vec::new()) {
        return Err(format!("params is {params}; accepted is an empty list"));
    }
    Ok(Value::Record(record))
}

/// The names of the variables, as far as they are some.
fn names(root: &Value) -> Vec<String> {
    let Value::Record(record) = root else { return Vec::new() };
    let Some(Value::Seq(names)) = record.get("vars") else { return Vec::new() };
    let mut names: Vec<_> = names.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

fn is_of<M: Traced>(names: &[String]) -> bool {
    names.iter().filter(|name| *name != ACTION).eq(M::VARIABLES)
}

fn at(place: String) -> impl FnOnce(Unusable) -> String {
    move |Unusable { at, found, accepted }| {
        format!("{place}{at} is {found}; accepted is {accepted}")
    }
}

/// `#meta` of a file or of a state.
struct Meta<'v> {
    place: String,
    fields: BTreeMap<&'v str, &'v Value>,
}

impl<'v> Meta<'v> {
    /// As this program writes it: all that is needed, and nothing that is not known here.
    fn ours(
        place: String,
        value: &'v Value,
        needed: &[&str],
        more: &[&str],
    ) -> Result<Self, String> {
        let fields = record(value, needed, more).map_err(at(place.clone()))?;
        Ok(Self { place, fields })
    }

    /// As others write it, or not at all.
    fn theirs(place: String, value: Option<&'v Value>) -> Self {
        let fields = match value {
            Some(Value::Record(record)) => record.iter().map(|(k, v)| (k.as_str(), v)).collect(),
            _ => BTreeMap::new(),
        };
        Self { place, fields }
    }

    fn get(&self, name: &str) -> Option<&'v Value> {
        self.fields.get(name).copied()
    }

    /// A string, if it is there.
    fn text(&self, name: &str) -> Result<Option<&'v str>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{}.{name} is {other}; accepted is a string", self.place)),
        }
    }
}

fn parse<M: Traced>(root: &Value) -> Result<Trace<M>, String> {
    // A file that names no variables is none of anybody's, and is held to all that ours have.
    let names = names(root);
    let ours = names.is_empty() || names.iter().any(|name| name == ACTION);
    let (needed, more): (&[_], &[_]) =
        if ours { (&[META, "vars", "states"], &[]) } else { (&["vars", "states"], &[META]) };
    let parts = record(root, needed, more).map_err(at("the trace".to_owned()))?;
    let (variables, states) = (parts["vars"], parts["states"]);
    let meta = if ours {
        let needed = ["format", "format-description", "description", "steps", "bounds"];
        Meta::ours(META.to_owned(), parts[META], &needed, &["bug"])?
    } else {
        Meta::theirs(META.to_owned(), parts.get(META).copied())
    };
    if let Some(format) = meta.get("format").filter(|format| **format != Value::string(FORMAT)) {
        return Err(format!("#meta.format is {format}; accepted is {FORMAT}"));
    }
    let description = meta.text("description")?.unwrap_or_default().to_owned();
    let bounds = meta.get("bounds");
    // Bounds come first, since what may stand in the rest depends on them.
    let told = bounds.map(|bounds| M::read(bounds, meta.get("bug"))).transpose()?;
    if !is_of::<M>(&names) {
        let mut expected = vec![ACTION];
        expected.extend(M::VARIABLES);
        let expected = Value::Seq(expected.into_iter().map(Value::string).collect());
        return Err(format!("vars is {variables}; accepted is {expected}"));
    }
    let Value::Seq(states) = states else {
        return Err(format!("states is {states}; accepted is a list"));
    };
    if states.is_empty() {
        return Err("it has no states; accepted is at least the initial one".to_owned());
    }
    if let Some(steps) = meta.get("steps").filter(|it| **it != Value::from(states.len() - 1)) {
        let count = states.len();
        return Err(format!(
            "it has {count} states, but #meta.steps is {steps}; {} steps make them (was it cut?)",
            count - 1
        ));
    }
    let states = states.iter().enumerate().map(|(i, state)| Entry::of::<M>(i, state, ours));
    let states: Vec<Entry<'_>> = states.collect::<Result<_, String>>()?;
    let model = if let Some(model) = told {
        model
    } else {
        let variables: Vec<_> = states.iter().map(|state| &state.variables).collect();
        let Some(bounds) = M::bounds_of(&variables) else {
            let what =
                "#meta.bounds is nothing; accepted is a record of them, for the states do not tell";
            return Err(what.to_owned());
        };
        M::read(&bounds, meta.get("bug"))?
    };
    let states = states.into_iter().enumerate().map(|(i, state)| state.read(i, &model));
    let states = states.collect::<Result<_, String>>()?;
    Ok(Trace { description, model, states })
}

/// A state as it stands in a file, its action not yet understood.
struct Entry<'v> {
    does: Option<&'v str>,
    action: Option<&'v Value>,
    variables: Variables,
}

impl<'v> Entry<'v> {
    fn of<M: Traced>(i: usize, state: &'v Value, ours: bool) -> Result<Self, String> {
        let place = format!("states[{i}]");
        let mut needed = if ours { vec![META, ACTION] } else { Vec::new() };
        needed.extend(M::VARIABLES);
        let parts = record(state, &needed, &[META]).map_err(at(place.clone()))?;
        let place = format!("{place}.{META}");
        let meta = if ours {
            Meta::ours(place, parts[META], &["index", "does"], &[])?
        } else {
            Meta::theirs(place, parts.get(META).copied())
        };
        if let Some(index) = meta.get("index").filter(|index| **index != Value::from(i)) {
            return Err(format!("states[{i}].#meta.index is {index}; accepted is {i}"));
        }
        let variables = M::VARIABLES.iter().map(|name| ((*name).to_owned(), parts[name].clone()));
        Ok(Self {
            does: meta.text("does")?,
            action: parts.get(ACTION).copied(),
            variables: variables.collect(),
        })
    }

    fn read<M: Traced>(self, i: usize, model: &M) -> Result<Recorded<M::Action>, String> {
        let Self { does, action, variables } = self;
        let does = does.map(ToOwned::to_owned);
        let Some(action) = action else { return Ok(Recorded { action: None, does, variables }) };
        let action = model.read_action(action).map_err(at(format!("states[{i}].{ACTION}")))?;
        if action.is_none() != (i == 0) {
            let what = if i == 0 { "Init" } else { "anything but Init" };
            let does = does.unwrap_or_default();
            return Err(format!("states[{i}].action is {does:?}; accepted is {what}"));
        }
        Ok(Recorded { action, does, variables })
    }
}
