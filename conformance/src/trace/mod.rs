//! Traces: behaviours of the model in files, and what they are good for.
//!
//! A trace holds the bounds of its space, and for each state the action that led to it and all of the
//! state, in ITF. [`replay`] takes it from the initial state on the production replicas; [`cover`]
//! writes traces that together take every transition of a space; [`stories`] are a few that people
//! read. [`itf`] is the format, [`encode`] what of the model is written how.
//!
//! A file is not believed. It says how many steps it has, so that a cut one is refused; each state has
//! its number; and what it records is compared with what the model does. What it cannot tell is a file
//! that was altered into another behaviour of the model: that is one, and replayed as one.

pub mod cover;
pub mod encode;
pub mod itf;
pub mod replay;
pub mod stories;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use paxos_model::{
    cluster::{Action, Bounds, BoundsError, Cluster, State},
    explore::Explorable as _,
};
use stateright::Model as _;
use thiserror::Error;

use self::{
    encode::{Codec, Unusable, fields},
    itf::Value,
};

/// How the name of a trace file ends.
pub const EXTENSION: &str = ".itf.json";

const FORMAT: &str = "ITF";
const FORMAT_DESCRIPTION: &str = "https://apalache-mc.org/docs/adr/015adr-trace.html";
const VARIABLES: [&str; 4] = ["action", "crashes", "network", "nodes"];

/// A behaviour of the model, or what claims to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What it shows, in a sentence.
    pub description: String,
    /// The bounds of its space.
    pub bounds: Bounds,
    states: Vec<Recorded>,
}

/// One state of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Recorded {
    /// What led to it; nothing led to the first.
    action: Option<Action>,
    /// The same, for people.
    does: String,
    variables: BTreeMap<String, Value>,
}

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

/// Why actions are no behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoBehaviour {
    /// There is no such space.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// An action may not happen.
    #[error("step {step} may not happen: {action}")]
    MayNotHappen {
        /// Which, counted from 1.
        step: usize,
        /// What.
        action: String,
    },
}

impl Trace {
    /// The trace of some actions, from the initial state.
    ///
    /// # Errors
    /// If they are no behaviour of the model.
    pub fn record(
        bounds: Bounds,
        description: &str,
        actions: &[Action],
    ) -> Result<Self, NoBehaviour> {
        let cluster = Cluster::new(bounds)?;
        let mut state = cluster.init_states().remove(0);
        let mut trace = Self { description: description.to_owned(), bounds, states: Vec::new() };
        trace.states.push(trace.recorded(&cluster, None, &state));
        for (i, &action) in actions.iter().enumerate() {
            let next = if may_happen(&cluster, &state, action) {
                cluster.successor(&state, action)
            } else {
                None
            };
            let Some(next) = next else {
                let action = cluster.describe(&action);
                return Err(NoBehaviour::MayNotHappen { step: i + 1, action });
            };
            state = next;
            trace.states.push(trace.recorded(&cluster, Some(action), &state));
        }
        Ok(trace)
    }

    fn recorded(&self, cluster: &Cluster, action: Option<Action>, state: &State) -> Recorded {
        let variables = Codec { bounds: &self.bounds }.state(state);
        Recorded { action, does: does(cluster, action), variables }
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.states.len() - 1
    }

    /// Its actions.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.states.iter().filter_map(|state| state.action)
    }

    /// As it stands in a file: one line for each node and each message.
    pub fn to_itf(&self) -> String {
        let codec = Codec { bounds: &self.bounds };
        let json = |value: &Value| serde_json::to_string(value).expect("it is JSON already");
        let list = |items: &mut dyn Iterator<Item = String>| {
            let items: Vec<_> = items.map(|item| format!("\n        {item}")).collect();
            if items.is_empty() { String::new() } else { items.join(",") + "\n      " }
        };
        let meta = Value::record([
            ("format", Value::string(FORMAT)),
            ("format-description", Value::string(FORMAT_DESCRIPTION)),
            ("description", Value::string(&self.description)),
            ("steps", self.steps().into()),
            ("bounds", encode::bounds(&self.bounds)),
        ]);
        let variables = Value::Seq(VARIABLES.map(Value::string).to_vec());
        let mut text = String::new();
        let mut write = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        write("{".to_owned());
        write(format!("  \"#meta\": {},", meta.plain()));
        write("  \"params\": [],".to_owned());
        write(format!("  \"vars\": {},", json(&variables)));
        write("  \"states\": [".to_owned());
        for (i, state) in self.states.iter().enumerate() {
            let meta = Value::record([("index", i.into()), ("does", Value::string(&state.does))]);
            write("    {".to_owned());
            write(format!("      \"#meta\": {},", meta.plain()));
            let action = json(&codec.action(state.action));
            let mut rest = format!("      \"action\": {action}");
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
                let _ = write!(rest, ",\n      \"{name}\": {value}");
            }
            write(rest);
            write(if i + 1 < self.states.len() { "    }," } else { "    }" }.to_owned());
        }
        write("  ]".to_owned());
        write("}".to_owned());
        text
    }

    /// Reads a trace; `file` is only for complaints.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(file: &str, text: &str) -> Result<Self, TraceError> {
        parse(text).map_err(|what| TraceError { file: file.to_owned(), what })
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&file, &text),
            Err(error) => Err(TraceError { file, what: format!("cannot be read: {error}") }),
        }
    }
}

fn parse(text: &str) -> Result<Trace, String> {
    if text.trim().is_empty() {
        return Err("it is empty; a trace is an ITF object with #meta, vars and states".to_owned());
    }
    let root: Value = serde_json::from_str(text).map_err(|error| {
        let cut = if error.is_eof() { " (was it cut?)" } else { "" };
        format!("it is no ITF: {error}{cut}")
    })?;
    let at = |place: String| {
        move |Unusable { at, found, accepted }: Unusable| {
            format!("{place}{at} is {found}; accepted is {accepted}")
        }
    };
    let root = match root {
        Value::Record(mut record) => {
            // Written by all, needed by none.
            let params = record.remove("params").unwrap_or(Value::Seq(Vec::new()));
            if params != Value::Seq(Vec::new()) {
                return Err(format!("params is {params}; accepted is an empty list"));
            }
            Value::Record(record)
        }
        other => other,
    };
    let [meta, variables, states] =
        fields(&root, ["#meta", "vars", "states"]).map_err(at("the trace".to_owned()))?;
    let [format, _, description, steps, bounds] =
        fields(meta, ["format", "format-description", "description", "steps", "bounds"])
            .map_err(at("#meta".to_owned()))?;
    if *format != Value::string(FORMAT) {
        return Err(format!("#meta.format is {format}; accepted is {FORMAT}"));
    }
    let Value::Str(description) = description else {
        return Err(format!("#meta.description is {description}; accepted is a string"));
    };
    let bounds = encode::read_bounds(bounds).map_err(at("#meta.bounds".to_owned()))?;
    bounds.validate().map_err(|error| format!("#meta.bounds: {error}"))?;
    let expected: Vec<_> = VARIABLES.map(Value::string).to_vec();
    let known = match variables {
        Value::Seq(names) => {
            let mut names = names.clone();
            names.sort();
            names == expected
        }
        _ => false,
    };
    if !known {
        return Err(format!("vars is {variables}; accepted is {}", Value::Seq(expected)));
    }
    let Value::Seq(states) = states else {
        return Err(format!("states is {states}; accepted is a list"));
    };
    if states.is_empty() {
        return Err("it has no states; accepted is at least the initial one".to_owned());
    }
    if *steps != Value::from(states.len() - 1) {
        let count = states.len();
        return Err(format!(
            "it has {count} states, but #meta.steps is {steps}; {} steps make them (was it cut?)",
            count - 1
        ));
    }
    let states = states.iter().enumerate().map(|(i, state)| {
        let at = |place: &str| at(format!("states[{i}]{place}"));
        let [meta, action, crashes, network, nodes] =
            fields(state, ["#meta", "action", "crashes", "network", "nodes"]).map_err(at(""))?;
        let [index, does] = fields(meta, ["index", "does"]).map_err(at(".#meta"))?;
        if *index != Value::from(i) {
            return Err(format!("states[{i}].#meta.index is {index}; accepted is {i}"));
        }
        let Value::Str(does) = does else {
            return Err(format!("states[{i}].#meta.does is {does}; accepted is a string"));
        };
        let action = Codec { bounds: &bounds }.read_action(action).map_err(at(".action"))?;
        if action.is_none() != (i == 0) {
            let what = if i == 0 { "Init" } else { "anything but Init" };
            return Err(format!("states[{i}].action is {does:?}; accepted is {what}"));
        }
        let variables = [("crashes", crashes), ("network", network), ("nodes", nodes)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.clone()));
        Ok(Recorded { action, does: does.clone(), variables: variables.into() })
    });
    let states = states.collect::<Result<_, _>>()?;
    Ok(Trace { description: description.clone(), bounds, states })
}

/// An action, for people.
fn does(cluster: &Cluster, action: Option<Action>) -> String {
    action.map_or("initially".to_owned(), |action| cluster.describe(&action))
}

/// Whether an action is one of those that are tried in a state.
fn may_happen(cluster: &Cluster, state: &State, action: Action) -> bool {
    let mut may = false;
    cluster.candidates(state, |candidate| may |= candidate == action);
    may
}

/// The traces in a folder, by name.
///
/// # Errors
/// If the folder cannot be read, or has none.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, TraceError> {
    let refuse = |what| TraceError { file: folder.display().to_string(), what };
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(EXTENSION));
    files.sort();
    if files.is_empty() {
        return Err(refuse(format!("has no traces; their names end in {EXTENSION}")));
    }
    Ok(files)
}
