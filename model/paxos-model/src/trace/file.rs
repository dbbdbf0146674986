//! Reads and writes trace files.
//!
//! A file with actions and bounds is a file of this program. It must have exactly the fields that this program
//! writes.
//!
//! Any other file is a file of another tool. Its `#meta` may lack fields if the states determine the model. Its
//! states may have other variables and parameters. These are ignored, because the steps of the model do not
//! depend on them. [`Traced::translate`] translates its names and its notation.
//!
//! A `loop` is the number of the state that follows the last one, so the behaviour never ends. The replay checks that a step
//! leads back to that state.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _},
    path::Path,
};

use thiserror::Error;

use super::{
    Reading, Recorded, Trace, Traced, Translation, Variables,
    itf::{Value, brief},
    read::{Unusable, record},
};
use crate::{cluster::CheckedCluster, synod::Synod};

/// The end of the name of a trace file.
pub const EXTENSION: &str = ".itf.json";

const FORMAT: &str = "ITF";
const FORMAT_DESCRIPTION: &str = "https://apalache-mc.org/docs/adr/015adr-trace.html";
const ACTION: &str = "action";
const META: &str = "#meta";

/// The limit on the size of a trace file, in bytes. Values take many times the memory of their text: eighty times for a file
/// that is one set of small messages. Without the limit, a file could use up the memory of a machine.
pub const LARGEST: u64 = 32 << 20;

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Returns the name of a trace file for messages. `-` is standard input.
pub fn file_name(path: &Path) -> String {
    if path == Path::new(STANDARD_INPUT) {
        return "standard input".to_owned();
    }
    path.display().to_string()
}

/// The error for a file that cannot be read as a trace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: {what}")]
pub struct TraceError {
    /// The name of the file.
    pub file: String,
    /// The unexpected value, its place, and the values that are accepted.
    pub what: String,
}

impl TraceError {
    /// Returns the exit code of a command that refuses the file.
    pub const EXIT_CODE: u8 = 2;
}

/// A trace of either model. The variables of the file determine the model.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyTrace {
    /// A trace of Lamport's Paxos.
    Synod(Trace<Synod>),
    /// A trace of replicas as they are built.
    Cluster(Trace<CheckedCluster>),
}

impl AnyTrace {
    /// Reads a trace from a text. `file` is the name of the file for errors.
    ///
    /// # Errors
    /// Fails if the text is no trace.
    pub fn parse(file: &str, text: &str) -> Result<Self, TraceError> {
        let either = || {
            let root = root(text)?;
            let names = names(&root)?;
            if is_of::<Synod>(&names)? {
                return parse(&root).map(Self::Synod);
            }
            if is_of::<CheckedCluster>(&names)? || names.is_empty() {
                return parse(&root).map(Self::Cluster);
            }
            let (synod, cluster) =
                (Synod::VARIABLES.join(", "), CheckedCluster::VARIABLES.join(", "));
            Err(format!(
                "vars is {}; accepted are {synod} for synod or {cluster} for cluster, and others \
                 beside these",
                brief(&Value::Seq(names.iter().map(Value::string).collect()))
            ))
        };
        either().map_err(|what| TraceError { file: file.to_owned(), what })
    }

    /// Reads a trace from a file, or from standard input if the path is `-`.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is no trace.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let (file, text) = contents(path)?;
        Self::parse(&file, &text)
    }
}

impl<M: Traced> Trace<M> {
    /// Reads a trace from a text. `file` is the name of the file for errors.
    ///
    /// # Errors
    /// Fails if the text is no trace.
    pub fn parse(file: &str, text: &str) -> Result<Self, TraceError> {
        let trace = root(text).and_then(|root| parse(&root));
        trace.map_err(|what| TraceError { file: file.to_owned(), what })
    }

    /// Reads a trace from a file, or from standard input if the path is `-`.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is no trace.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let (file, text) = contents(path)?;
        Self::parse(&file, &text)
    }

    /// Returns the text of the trace file, with one line for each element of a set or map.
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
        if let Some(state) = self.returns_to {
            write(format!("  \"loop\": {state},"));
        }
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

    /// Returns true if every state after the first records its action.
    pub fn has_actions(&self) -> bool {
        self.states.iter().skip(1).all(|state| state.action.is_some())
    }
}

/// Returns the name of a file for errors, and its text.
fn contents(path: &Path) -> Result<(String, String), TraceError> {
    let file = file_name(path);
    let mut bytes = Vec::new();
    // Reads one byte more than is accepted, to detect a file that is too large. A device may have no end.
    let read = if path == Path::new(STANDARD_INPUT) {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|it| it.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    let text = match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(count) if count as u64 > LARGEST => {
            Err(format!("has more than {LARGEST} bytes; accepted are at most that many"))
        }
        Ok(_) => String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            format!("is not UTF-8 from byte {valid} on; accepted is JSON in UTF-8")
        }),
    };
    match text {
        Ok(text) => Ok((file, text)),
        Err(what) => Err(TraceError { file, what }),
    }
}

/// Parses the JSON object of a file.
fn root(text: &str) -> Result<Value, String> {
    // Editors on Windows write a byte order mark, which is no part of the JSON.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err("it is empty; a trace is an ITF object with #meta, vars and states".to_owned());
    }
    serde_json::from_str(text).map_err(|error| {
        let (said, place) = (error.to_string(), (error.line(), error.column()));
        if said.starts_with("recursion limit exceeded") {
            let (line, column) = place;
            return format!(
                "it is no ITF: more than 127 lists and objects within each other at line {line} \
                 column {column}; accepted are fewer"
            );
        }
        let cut = if error.is_eof() { " (was it cut?)" } else { "" };
        format!("it is no ITF: {said}{cut}")
    })
}

/// Returns the names in `vars` or `params`. Quint lists some variables twice.
fn listed(place: &str, value: Option<&Value>) -> Result<BTreeSet<String>, String> {
    let refused = |it: &Value| format!("{place} is {}; accepted is a list of names", brief(it));
    let items = match value {
        None => return Ok(BTreeSet::new()),
        Some(Value::Seq(items)) => items,
        Some(other) => return Err(refused(other)),
    };
    let name = |(i, item): (usize, &Value)| match item {
        Value::Str(name) => Ok(name.clone()),
        other => Err(format!("{place}[{i}] is {}; accepted is a name", brief(other))),
    };
    items.iter().enumerate().map(name).collect()
}

/// Returns the names of the variables, or none if the file has no `vars`.
fn names(root: &Value) -> Result<BTreeSet<String>, String> {
    let Value::Record(record) = root else { return Ok(BTreeSet::new()) };
    listed("vars", record.get("vars"))
}

/// Returns the name under which a file has a variable of the model. Quint writes the module before the variable, as in
/// `three::Paxos::msgs`. The prefix `mbt::` is no module.
fn find<'n>(names: &'n BTreeSet<String>, variable: &str) -> Result<Option<&'n str>, String> {
    if let Some(name) = names.get(variable) {
        return Ok(Some(name));
    }
    let of_module = |name: &&String| {
        let last = name.rsplit_once("::").filter(|(module, _)| *module != "mbt");
        last.is_some_and(|(_, last)| last == variable)
    };
    let mut found = names.iter().filter(of_module);
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => Err(format!(
            "vars has both {one} and {other}; accepted is one variable named {variable}"
        )),
        (one, _) => Ok(one.map(String::as_str)),
    }
}

fn is_of<M: Traced>(names: &BTreeSet<String>) -> Result<bool, String> {
    let found = M::VARIABLES.iter().map(|variable| find(names, variable));
    found.map(|name| name.map(|name| name.is_some())).try_fold(true, |all, it| Ok(it? && all))
}

/// Returns true if the reader treats a file as one of this program, which must have all fields. Files of other tools may
/// have a variable named `action`, but they have neither bounds nor a number of steps. A file that names no variables is
/// from no known tool, and gets the same errors as a file of this program.
fn is_ours(root: &Value, names: &BTreeSet<String>) -> bool {
    let Value::Record(root) = root else { return true };
    let ours = |meta: &Value| {
        let Value::Record(meta) = meta else { return false };
        meta.contains_key("bounds") || meta.contains_key("steps")
    };
    names.is_empty() || names.contains(ACTION) && root.get(META).is_some_and(ours)
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
    /// Reads `#meta` as this program writes it: with all needed fields, and no unknown ones.
    fn ours(
        place: String,
        value: &'v Value,
        needed: &[&str],
        more: &[&str],
    ) -> Result<Self, String> {
        let fields = record(value, needed, more).map_err(at(place.clone()))?;
        Ok(Self { place, fields })
    }

    /// Reads `#meta` as another tool writes it. It may be missing.
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

    /// Returns the string in a field, or none if the field is missing.
    fn text(&self, name: &str) -> Result<Option<&'v str>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text)),
            Some(other) => {
                let other = brief(other);
                Err(format!("{}.{name} is {other}; accepted is a string", self.place))
            }
        }
    }
}

fn parse<M: Traced>(root: &Value) -> Result<Trace<M>, String> {
    let names = names(root)?;
    let ours = is_ours(root, &names);
    let needed: &[_] = if ours { &[META, "vars", "states"] } else { &["vars", "states"] };
    let more = &[META, "params", "loop"];
    let parts = record(root, needed, more).map_err(at("the trace".to_owned()))?;
    let params = listed("params", parts.get("params").copied())?;
    let meta = if ours {
        let needed = ["format", "format-description", "description", "steps", "bounds"];
        Meta::ours(META.to_owned(), parts[META], &needed, &["bug"])?
    } else {
        Meta::theirs(META.to_owned(), parts.get(META).copied())
    };
    if let Some(format) = meta.get("format").filter(|format| **format != Value::string(FORMAT)) {
        return Err(format!("#meta.format is {}; accepted is {FORMAT}", brief(format)));
    }
    let description = meta.text("description")?.unwrap_or_default().to_owned();
    let bounds = meta.get("bounds");
    // The bounds are read first, because they determine which actions and states are accepted.
    let told = bounds.map(|bounds| M::read(bounds, meta.get("bug"))).transpose()?;
    let exact = !ours || names.len() == M::VARIABLES.len() + 1;
    if !exact || !is_of::<M>(&names)? {
        let mut expected = vec![ACTION];
        expected.extend(M::VARIABLES);
        let expected = Value::Seq(expected.into_iter().map(Value::string).collect());
        return Err(format!("vars is {}; accepted is {expected}", brief(parts["vars"])));
    }
    let Value::Seq(states) = parts["states"] else {
        return Err(format!("states is {}; accepted is a list", brief(parts["states"])));
    };
    if states.is_empty() {
        return Err("it has no states; accepted is at least the initial one".to_owned());
    }
    if let Some(steps) = meta.get("steps").filter(|it| **it != Value::from(states.len() - 1)) {
        let count = states.len();
        return Err(format!(
            "it has {count} states, but #meta.steps is {}; {} steps make them (was it cut?)",
            brief(steps),
            count - 1
        ));
    }
    let returns_to = returns_to(parts.get("loop").copied(), states.len())?;
    let parameters = parameters::<M>(&params, &states[0]);
    let mut entries = Vec::new();
    let mut variables = Vec::new();
    let mut ignored: BTreeSet<String> = BTreeSet::new();
    for (i, state) in states.iter().enumerate() {
        let (entry, here) = Entry::of::<M>(i, state, ours, &names, &mut ignored)?;
        entries.push(entry);
        variables.push(here);
    }
    ignored.retain(|name| !params.contains(name));
    let Translation { states: variables, bounds, names, assumed } = if ours {
        let states = variables.into_iter().map(M::in_our_form).collect();
        Translation { states, ..Translation::default() }
    } else {
        M::translate(variables, &parameters, told.as_ref())?
    };
    let model = match (told, bounds) {
        (Some(model), _) => model,
        (None, Some(bounds)) => M::read(&bounds, meta.get("bug"))?,
        (None, None) => {
            let what =
                "#meta.bounds is nothing; accepted is a record of them, for the states do not tell";
            return Err(what.to_owned());
        }
    };
    let states = entries.into_iter().zip(variables).enumerate();
    let states = states.map(|(i, (entry, variables))| entry.read(i, variables, &model));
    let states = states.collect::<Result<_, String>>()?;
    let reading = Reading { names, ignored: ignored.into_iter().collect(), assumed };
    Ok(Trace { description, model, states, returns_to, reading })
}

/// Returns the number of the state where the loop of a lasso starts. itf-py writes null for a trace without a loop.
fn returns_to(value: Option<&Value>, states: usize) -> Result<Option<usize>, String> {
    let to = match value {
        None => return Ok(None),
        Some(Value::Foreign(text)) if text == "null" => return Ok(None),
        Some(Value::Int(to)) => usize::try_from(*to).ok().filter(|to| *to < states),
        Some(_) => None,
    };
    let last = states - 1;
    to.map(Some).ok_or_else(|| {
        let found = value.map(brief).unwrap_or_default();
        format!("loop is {found}; accepted is the number of a state, 0 to {last}, or nothing")
    })
}

/// Returns the values of the parameters that are in the first state. Apalache writes them there. Other tools may not.
fn parameters<M: Traced>(params: &BTreeSet<String>, first: &Value) -> Variables {
    let Value::Record(first) = first else { return Variables::new() };
    let given = params.iter().filter(|name| !M::VARIABLES.contains(&name.as_str()));
    given.filter_map(|name| Some((name.clone(), first.get(name)?.clone()))).collect()
}

/// A state as written in a file. Its action is not parsed yet.
struct Entry<'v> {
    does: Option<&'v str>,
    action: Option<&'v Value>,
}

impl<'v> Entry<'v> {
    /// Reads a state and its variables. Adds the names of variables that the model does not have to `ignored`.
    fn of<M: Traced>(
        i: usize,
        state: &'v Value,
        ours: bool,
        names: &BTreeSet<String>,
        ignored: &mut BTreeSet<String>,
    ) -> Result<(Self, Variables), String> {
        let place = format!("states[{i}]");
        let mut columns = Vec::new();
        for variable in M::VARIABLES {
            columns.push((*variable, find(names, variable)?.unwrap_or(variable)));
        }
        let mut needed = if ours { vec![META, ACTION] } else { Vec::new() };
        needed.extend(columns.iter().map(|(_, name)| *name));
        let mut more = vec![META];
        if let (false, Value::Record(state)) = (ours, state) {
            let others = state.keys().filter(|name| !needed.contains(&name.as_str()));
            let others = others.filter(|name| *name != META);
            for name in others {
                more.push(name);
                if !ignored.contains(name) {
                    ignored.insert(name.clone());
                }
            }
        }
        let parts = record(state, &needed, &more).map_err(at(place.clone()))?;
        let mut variables = Variables::new();
        for (variable, name) in columns {
            if let Some((at, found)) = parts[name].foreign() {
                return Err(format!(
                    "{place}.{name}{at} is {found}; accepted is a value of ITF, which has no null, no \
                     fractions, and large integers as {{\"#bigint\": \"7\"}}"
                ));
            }
            variables.insert(variable.to_owned(), parts[name].clone());
        }
        let place = format!("{place}.{META}");
        let meta = if ours {
            Meta::ours(place, parts[META], &["index", "does"], &[])?
        } else {
            Meta::theirs(place, parts.get(META).copied())
        };
        if let Some(index) = meta.get("index").filter(|index| **index != Value::from(i)) {
            return Err(format!("states[{i}].#meta.index is {}; accepted is {i}", brief(index)));
        }
        let action = parts.get(ACTION).copied().filter(|_| ours);
        Ok((Self { does: meta.text("does")?, action }, variables))
    }

    fn read<M: Traced>(
        self,
        i: usize,
        variables: Variables,
        model: &M,
    ) -> Result<Recorded<M::Action>, String> {
        let Self { does, action } = self;
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
