//! Schedules for people, and in files that run them again.

use std::{fmt, rc::Rc};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use space_time::{Arrow, Diagram};

use crate::{
    claims::{Class, Finding},
    cluster::{Cluster, Input, MessageId, Node, Sent, Transition},
    findings::Schedule,
    process::{Broken, Limits},
    protocol::{Entry, Field, Kind, Message, Setup},
    search::State,
};

/// The format of schedules in files.
const FORMAT: &str = "paxos-conf/1 schedule";

/// A schedule in a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct File {
    format: String,
    /// The claim that the schedule contradicts.
    claim: String,
    /// The facts that contradict it.
    facts: String,
    setup: Setup,
    /// The proposers that are asked, and the values of their clients.
    wishes: Vec<(String, Json)>,
    /// The requests, in order.
    steps: Vec<Json>,
}

/// A step of a schedule, for people.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    node: String,
    /// The event.
    event: String,
    /// The messages that follow.
    sends: Vec<String>,
    /// The place of the step that has sent the message which arrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_by: Option<usize>,
}

/// A schedule that was run on the subject.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown(pub(crate) Vec<Line>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Line { node, event, sends, .. }) in (1..).zip(&self.0) {
            writeln!(f, "  {at:>3}  {node} {event}")?;
            for message in sends {
                writeln!(f, "         sends {message}")?;
            }
        }
        Ok(())
    }
}

impl Shown {
    /// Returns the schedule as a space-time diagram.
    pub fn diagram(&self, claim: &str) -> Diagram {
        let mut diagram = Diagram::new(claim);
        let mut names: Vec<&String> = self.0.iter().map(|line| &line.node).collect();
        names.sort();
        names.dedup();
        let lanes: Vec<_> = names.iter().map(|name| diagram.lane(name.as_str())).collect();
        let lane =
            |name: &String| lanes[names.iter().position(|it| *it == name).expect("it has one")];
        for (at, line) in (1..).zip(&self.0) {
            match line.sent_by {
                Some(sender) => {
                    let from = (lane(&self.0[sender].node), sender as u64 + 1);
                    diagram.arrow(Arrow::new(from, (lane(&line.node), at), line.event.clone()));
                }
                None => diagram.event(lane(&line.node), at, line.event.clone()),
            }
        }
        diagram.alarm(self.0.len() as u64 + 1, claim);
        diagram
    }
}

/// Takes a schedule whose steps are known, and returns it for people.
pub(crate) fn shown(cluster: &mut Cluster, schedule: &Schedule) -> Shown {
    let mut lines: Vec<Line> = Vec::new();
    let mut senders: Vec<(MessageId, usize)> = Vec::new();
    let mut locals = cluster.initial.clone();
    for (place, (node, input)) in schedule.iter().enumerate() {
        let event = event(cluster, *input);
        let sent_by = match input {
            Input::Deliver(id) => {
                senders.iter().find(|(sent, _)| sent == id).map(|(_, place)| *place)
            }
            _ => None,
        };
        // The subject breaks at the last step of some schedules.
        let step = cluster.step(locals[*node], *input).ok();
        let sends = step.as_ref().map_or_else(Vec::new, |step| sends(cluster, step));
        lines.push(Line { node: cluster.name(*node).to_string(), event, sends, sent_by });
        if let Some(step) = step {
            senders.extend(step.sent.iter().map(|id| (*id, place)));
            locals[*node] = step.next;
        }
    }
    Shown(lines)
}

fn event(cluster: &Cluster, input: Input) -> String {
    match input {
        Input::Propose(place) => format!("is asked for {}", cluster.wishes[place].1),
        Input::Deliver(id) => {
            let sent = cluster.message(id);
            format!("takes {} from {}", describe(cluster, &sent.message), cluster.name(sent.from))
        }
        Input::Timer(timer) => format!("timer {} fires", cluster.timer_name(timer)),
        Input::Fail(id) => {
            let sent = cluster.message(id);
            format!(
                "learns that {} to {} is lost",
                describe(cluster, &sent.message),
                cluster.name(sent.to)
            )
        }
        Input::Restart => "crashes, and starts again".to_owned(),
    }
}

/// Returns the reason for which a step of a file is not possible.
fn impossible(cluster: &Cluster, place: usize, node: Node, input: Input) -> String {
    let name = cluster.name(node);
    let why = match input {
        Input::Deliver(id) => {
            let Sent { from, message, .. } = cluster.message(id);
            format!("{} has not sent {} to {name}", cluster.name(*from), describe(cluster, message))
        }
        Input::Propose(place) => {
            format!("{name} cannot be asked for {} now", cluster.wishes[place].1)
        }
        Input::Timer(timer) => {
            format!("the timer {} of {name} is not armed", cluster.timer_name(timer))
        }
        Input::Fail(_) => format!("{name} does not wait for this message"),
        Input::Restart => format!("{name} cannot start again"),
    };
    format!("step {place} is not possible: {why}")
}

/// Returns the messages of a step. Equal messages to several nodes are one line.
fn sends(cluster: &Cluster, step: &Rc<Transition>) -> Vec<String> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for id in &step.sent {
        let sent = cluster.message(*id);
        let (text, to) = (describe(cluster, &sent.message), cluster.name(sent.to).to_string());
        match lines.iter_mut().find(|(same, _)| *same == text) {
            Some((_, targets)) => targets.push(to),
            None => lines.push((text, vec![to])),
        }
    }
    lines.into_iter().map(|(text, targets)| format!("{text} to {}", targets.join(", "))).collect()
}

fn describe(cluster: &Cluster, message: &Message) -> String {
    let kind = match message.kind {
        Kind::Prepare => "prepare",
        Kind::Promise => "promise",
        Kind::Accept => "accept",
        Kind::Accepted => "accepted",
        Kind::Nack => "nack",
        Kind::Decided => "decided",
        Kind::Other => "another message",
    };
    let ballot = message.ballot.as_ref().map(|ballot| cluster.rules.text(ballot));
    let several = message.entries.iter().any(|entry| entry.slot != 0);
    let entries = message.entries.iter().flat_map(|Entry { slot, vote, value }| {
        let content = match (vote, value) {
            (Field::Just(vote), value) => {
                let value = value.as_deref().unwrap_or("a value");
                Some(format!("with its vote for {value} at {}", cluster.rules.text(vote)))
            }
            (_, value) => value.as_deref().map(str::to_owned),
        };
        [several.then(|| format!("slot {slot}")), content]
    });
    let words = [Some(kind.to_owned()), ballot].into_iter().chain(entries).flatten();
    words.collect::<Vec<_>>().join(" ")
}

/// Returns a schedule for a file.
pub(crate) fn file(cluster: &mut Cluster, schedule: &Schedule, claim: &str, facts: &str) -> File {
    let mut steps = Vec::new();
    let mut locals = cluster.initial.clone();
    for (node, input) in schedule {
        let start = match input {
            Input::Deliver(id) | Input::Fail(id) => cluster.message(*id).start,
            _ => 0,
        };
        for mut request in cluster.requests_of(locals[*node], *input) {
            if start > 0 {
                request["start"] = json!(start);
            }
            steps.push(request);
        }
        // The subject breaks at the last step of some schedules.
        if let Ok(step) = cluster.step(locals[*node], *input) {
            locals[*node] = step.next;
        }
    }
    let wishes =
        cluster.wishes.iter().map(|(at, wish)| (cluster.name(*at).to_string(), wish.clone()));
    File {
        format: FORMAT.to_owned(),
        claim: claim.to_owned(),
        facts: facts.to_owned(),
        setup: cluster.rules.setup.clone(),
        wishes: wishes.collect(),
        steps,
    }
}

/// A file that is no schedule.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoSchedule(String);

/// The result of a schedule that was run again.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) cluster: Option<Cluster>,
    pub(crate) schedule: Schedule,
    pub(crate) findings: Vec<(Finding, Class, usize)>,
    pub(crate) broken: Option<Broken>,
    /// The first step that is not possible, and the reason.
    pub(crate) impossible: Option<String>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// The text is no schedule.
    pub fn read(text: &str) -> Result<Self, NoSchedule> {
        let file: Self =
            serde_json::from_str(text).map_err(|error| NoSchedule(error.to_string()))?;
        if file.format == FORMAT {
            Ok(file)
        } else {
            Err(NoSchedule(format!(
                "the format is {:?}; {FORMAT:?} would be accepted",
                file.format
            )))
        }
    }

    /// Runs the schedule on a subject.
    pub(crate) fn run(&self, command: &[String], limits: Limits) -> Result<Again, NoSchedule> {
        let mut again = Again {
            cluster: None,
            schedule: Vec::new(),
            findings: Vec::new(),
            broken: None,
            impossible: None,
        };
        let mut cluster = match Cluster::of(command, limits, self.setup.clone(), &self.wishes) {
            Ok(cluster) => cluster,
            Err(broken) => {
                again.broken = Some(broken);
                return Ok(again);
            }
        };
        // The numbers of messages have to be known before the subject sends them.
        let mut inputs = Vec::new();
        for step in &self.steps {
            let input = Self::input(&mut cluster, step);
            let input = input.map_err(|why| NoSchedule(format!("{why}: {step}")))?;
            // A crash is one step together with the restart that follows.
            inputs.extend(input);
        }
        let mut state = State::first(&cluster);
        for (place, (node, input)) in (1..).zip(inputs) {
            let local = state.locals[node];
            let possible = match input {
                Input::Deliver(id) => state.messages.contains(&id) && cluster.may_take(local, id),
                own => cluster.own_inputs(local).contains(&own),
            };
            if !possible {
                again.impossible = Some(impossible(&cluster, place, node, input));
                break;
            }
            again.schedule.push((node, input));
            match cluster.step(local, input) {
                Ok(step) => {
                    let found = state.take(&cluster, node, &step, &step.sent);
                    let at = again.schedule.len();
                    again
                        .findings
                        .extend(found.into_iter().map(|(finding, class)| (finding, class, at)));
                    if step.fault {
                        break;
                    }
                }
                Err(broken) => {
                    again.broken = Some(broken);
                    break;
                }
            }
        }
        again.cluster = Some(cluster);
        Ok(again)
    }

    fn input(cluster: &mut Cluster, step: &Json) -> Result<Option<(Node, Input)>, String> {
        let text = |name: &str| step[name].as_str().ok_or_else(|| format!("{name:?} is missing"));
        let at = text("at")?;
        let node = (0..cluster.nodes()).find(|node| **cluster.name(*node) == *at);
        let node = node.ok_or_else(|| format!("{at} is no node"))?;
        let mut message = |from: &str, to: &str| {
            let mid = step["mid"].as_u64().ok_or("\"mid\" is missing")?;
            let start = step["start"].as_u64().unwrap_or(0);
            let start = u32::try_from(start).map_err(|error| error.to_string())?;
            cluster
                .expect_message(from, to, mid, start, step["msg"].clone())
                .map_err(|error| error.to_string())
        };
        let input = match text("op")? {
            "propose" => {
                let wish = cluster
                    .wishes
                    .iter()
                    .position(|(of, wish)| *of == node && *wish == step["value"]);
                Input::Propose(wish.ok_or("the value is not among the wishes")?)
            }
            "deliver" => Input::Deliver(message(text("from")?, at)?),
            "fail" => Input::Fail(message(at, text("to")?)?),
            "timer" => cluster.timer_named(text("timer")?),
            "crash" => return Ok(None),
            "restart" => Input::Restart,
            other => {
                return Err(format!(
                    "{other:?} is no step; propose, deliver, timer, fail, crash and restart are"
                ));
            }
        };
        Ok(Some((node, input)))
    }
}
