//! Interaction files: commands, and below each block of commands their output.
//!
//! A block is one or more lines with commands, then `----`, then output up to an empty line. Lines that begin with `#`
//! are comments. The test ignores the output in the file and writes it anew. It fails at a line that is no command, and
//! at a command that finds nothing to act on.
//!
//! | command | effect |
//! |---|---|
//! | `cluster 3 phase1=2 phase2=2 in_flight=8 slots_ahead=8 batch=8` | nodes 1 to 3; must come first, and may leave out options |
//! | `campaign 1` | short for `timer 1 campaign` |
//! | `timer 1 campaign` / `heartbeat` / `resend` | a timer fires |
//! | `propose 1 x y` | clients ask node 1 for two commands at once |
//! | `read 1 r1 r2` | clients ask node 1 to read |
//! | `snapshot 1 below=3` | node 1 makes a snapshot of the slots below 3 durable, and tells its replica |
//! | `install 2 from=1` | node 2 installs the snapshot of node 1, and tells its replica |
//! | `deliver 1->2 Accept slot=0` | the oldest message from 1 to 2 that has all these words; with `*` for a node, all such messages that are under way now |
//! | `drop 1->2 …`, `duplicate 1->2 …` | the same messages as for `deliver` are lost, or are under way once more |
//! | `hold 2` | the disk of node 2 is slow: until `sync 2`, nothing becomes durable and nothing leaves |
//! | `sync 2` | makes all records of node 2 durable at once, and releases its output |
//! | `crash 2`, `restart 2` | node 2 loses everything that is not durable, and comes back with the rest |
//! | `stabilize` | delivers messages, oldest first, until none is under way |
//! | `under-way` | shows the messages that are under way |
//! | `state` | shows all nodes, and the values that the durable votes have chosen, even if no node knows it |
//! | `timers` | from here on shows the timers that are armed |

use std::fmt::Write;

use itertools::Itertools;
use paxos::{
    Config, Effects, Event, Message, NodeId, Proposal, Record, Refusal, Slot, Timer, Token, Value,
    protocol::{acceptor::Acceptor, learner::Learner, proposer::Role},
};

use paxos_simulator::replicas::{Cluster, Sent};

/// Runs the commands of a file. Returns the file with their output.
pub(crate) fn run(file: &str) -> String {
    let mut script = Script::default();
    let mut text = String::new();
    let mut lines = file.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(text, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        script.command(line);
        let ends = lines.peek().is_none_or(|next| next.is_empty() || *next == "----");
        if ends {
            // The output in the file is dropped.
            while lines.next_if(|old| !old.is_empty()).is_some() {}
            let output = std::mem::take(&mut script.output);
            let output = if output.is_empty() { "(nothing)\n".to_owned() } else { output };
            write!(text, "----\n{output}").unwrap();
        }
    }
    text
}

#[derive(Default)]
struct Script {
    cluster: Option<Cluster>,
    /// The names of proposals and reads, by token.
    asked: Vec<String>,
    timers_shown: bool,
    output: String,
}

impl Script {
    fn command(&mut self, line: &str) {
        let words = line.split_whitespace().collect_vec();
        match words[..] {
            ["cluster", nodes, ref options @ ..] => self.start(nodes, options),
            ["campaign", node] => self.perform(id(node), Event::Timer(Timer::Campaign), ""),
            ["timer", node, name] => self.perform(id(node), Event::Timer(timer(name)), ""),
            ["propose", node, ref commands @ ..] if !commands.is_empty() => {
                let proposals = commands.iter().map(|command| {
                    let command = (*command).to_owned();
                    Proposal { token: self.token(&command), command: command.into() }
                });
                let proposals = proposals.collect();
                self.perform(id(node), Event::Propose(proposals), "");
            }
            ["read", node, ref reads @ ..] if !reads.is_empty() => {
                let tokens = reads.iter().map(|read| self.token(read)).collect();
                self.perform(id(node), Event::Read(tokens), "");
            }
            ["snapshot", node, option] => {
                let below = Slot(number(valued(option, "below")));
                let event = self.cluster().snapshot(id(node), below);
                self.perform(id(node), event, "");
            }
            ["install", node, option] => {
                let from = id(valued(option, "from"));
                let event = self.cluster().install(id(node), from);
                let event = event.unwrap_or_else(|| panic!("`{line}`: it has as much itself"));
                self.perform(id(node), event, "");
            }
            ["deliver", route, ref words @ ..] => {
                // Each delivered message moves the later ones up by one. New messages come at the end.
                for (taken, index) in self.find(line, route, words).into_iter().enumerate() {
                    self.deliver(index - taken);
                }
            }
            ["drop", route, ref words @ ..] => {
                for (taken, index) in self.find(line, route, words).into_iter().enumerate() {
                    let sent = self.cluster().under_way.remove(index - taken);
                    self.line("", format_args!("lost: {}", travelling(&sent)));
                }
            }
            ["duplicate", route, ref words @ ..] => {
                for index in self.find(line, route, words) {
                    let sent = self.cluster().under_way[index].clone();
                    self.line("", format_args!("twice: {}", travelling(&sent)));
                    self.cluster().under_way.push(sent);
                }
            }
            ["hold", node] => {
                assert!(self.cluster().held.insert(id(node)), "`{line}`: it is held already");
            }
            ["sync", node] => {
                assert!(self.cluster().held.remove(&id(node)), "`{line}`: nothing is held");
                self.release(id(node), "");
            }
            ["crash", node] => self.cluster().crash(id(node)),
            ["restart", node] => {
                let unrecorded = self.cluster().restart(id(node)).unwrap();
                self.state(Some(id(node)));
                if let Some(event) = unrecorded {
                    self.perform(id(node), event, "");
                }
            }
            ["stabilize"] => {
                assert!(
                    self.cluster().held.is_empty(),
                    "`{line}`: a slow disk never becomes stable"
                );
                while !self.cluster().under_way.is_empty() {
                    self.deliver(0);
                }
            }
            ["under-way"] => {
                for sent in self.cluster().under_way.clone() {
                    self.line("", format_args!("{}", travelling(&sent)));
                }
            }
            ["state"] => self.state(None),
            ["timers"] => self.timers_shown = true,
            _ => panic!("`{line}` is not a command"),
        }
    }

    fn start(&mut self, nodes: &str, options: &[&str]) {
        assert!(self.cluster.is_none(), "a file has one cluster");
        let nodes = (1..=number(nodes) as u32).map(NodeId).collect_vec();
        let configs = nodes.iter().map(|&id| {
            let mut config = Config::new(id, nodes.clone());
            for option in options {
                match option.split_once('=') {
                    Some(("phase1", size)) => config.phase1_quorum = number(size) as usize,
                    Some(("phase2", size)) => config.phase2_quorum = number(size) as usize,
                    Some(("in_flight", most)) => config.in_flight_max = number(most),
                    Some(("slots_ahead", most)) => config.slots_ahead_max = number(most),
                    Some(("batch", most)) => config.batch_slots_max = number(most),
                    _ => panic!("`{option}` is not an option of a cluster"),
                }
            }
            config
        });
        self.cluster = Some(Cluster::new(configs).expect("the configuration is valid"));
    }

    /// Returns the indexes of the messages that a command names, oldest first. Without `*`, returns only the oldest.
    fn find(&mut self, line: &str, route: &str, words: &[&str]) -> Vec<usize> {
        let (from, to) = route
            .split_once("->")
            .unwrap_or_else(|| panic!("`{line}`: not a way from one node to another"));
        let is = |name: &str, node: NodeId| name == "*" || id(name) == node;
        let under_way = &self.cluster().under_way;
        let mut found = under_way
            .iter()
            .positions(|sent| {
                let text = message(&sent.message);
                let has = text.split_whitespace().collect_vec();
                is(from, sent.from)
                    && is(to, sent.to)
                    && words.iter().all(|word| has.contains(word))
            })
            .collect_vec();
        assert!(!found.is_empty(), "`{line}`: no such message is under way");
        if from != "*" && to != "*" {
            found.truncate(1);
        }
        found
    }

    fn deliver(&mut self, index: usize) {
        let sent = self.cluster().under_way.remove(index);
        self.line("", format_args!("{}", travelling(&sent)));
        let event = Event::Message { from: sent.from, message: sent.message };
        self.perform(sent.to, event, "  ");
    }

    fn perform(&mut self, id: NodeId, event: Event, indent: &str) {
        let length = self.output.len();
        let Some(output) = self.cluster().step(id, event).unwrap() else {
            self.line(indent, format_args!("{id} is down"));
            return;
        };
        let held = self.cluster().held.contains(&id);
        for record in output.records() {
            let what = if held { "writes" } else { "stores" };
            self.line(indent, format_args!("{id}: {what} {}", stored(record)));
        }
        if held {
            let timers = Vec::new();
            let all_but_timers = Effects { timers, ..output.held().clone() };
            if !all_but_timers.is_empty() {
                self.line(indent, format_args!("{id}: holds back the rest"));
            }
        } else {
            self.release(id, indent);
        }
        if self.timers_shown && !output.held().timers.is_empty() {
            let timers = output.held().timers.iter().map(|timer| match timer {
                Timer::Campaign => "campaign",
                Timer::Heartbeat => "heartbeat",
                Timer::Resend => "resend",
            });
            let timers = timers.format(", ").to_string();
            self.line(indent, format_args!("{id}: arms {timers}"));
        }
        if self.output.len() == length {
            self.line(indent, format_args!("(nothing)"));
        }
    }

    /// Syncs a node, and writes the output that waited for the records.
    fn release(&mut self, id: NodeId, indent: &str) {
        let Effects { messages, chosen, taken, refused, reads, fetch, timers: _ } =
            self.cluster().sync(id).unwrap();
        for taken in taken {
            let command = self.asked[taken.token.0 as usize].clone();
            self.line(indent, format_args!("{id}: takes {command} slot={}", taken.slot));
        }
        for refused in refused {
            let command = self.asked[refused.token.0 as usize].clone();
            let why = match refused.refusal {
                Refusal::Busy => "busy".to_owned(),
                Refusal::NotLeader { leader: None } => "not leader, leader unknown".to_owned(),
                Refusal::NotLeader { leader: Some(leader) } => {
                    format!("not leader, leader={leader}")
                }
            };
            self.line(indent, format_args!("{id}: refuses {command}: {why}"));
        }
        for envelope in messages {
            let to = match envelope.to {
                paxos::To::Peers => "*".to_owned(),
                paxos::To::Node(to) => to.to_string(),
            };
            self.line(indent, format_args!("{id}->{to} {}", message(&envelope.message)));
        }
        let chosen = chosen.iter().flat_map(|(first, values)| values.with_slots(*first));
        for (slot, value) in chosen {
            self.line(indent, format_args!("{id}: chosen slot={slot} {value}"));
        }
        for read in reads {
            let name = self.asked[read.token.0 as usize].clone();
            self.line(indent, format_args!("{id}: may answer {name}, applied below={}", read.at));
        }
        for peer in fetch {
            self.line(indent, format_args!("{id}: wants the snapshot of {peer}"));
        }
    }

    fn state(&mut self, only: Option<NodeId>) {
        let cluster = self.cluster.as_ref().expect("a file begins with `cluster`");
        let nodes = &cluster.nodes;
        let shown = nodes.iter().filter(|(id, _)| only.is_none_or(|only| only == **id));
        let mut lines = Vec::new();
        for (id, node) in shown {
            lines.push(match &node.replica {
                None => format!("{id}: down, {}", acceptor(node.disk.image())),
                Some(replica) => {
                    let parts = replica.parts();
                    let names = |set: paxos::protocol::NodeSet| {
                        let nodes = parts.config.nodes.iter().enumerate();
                        let nodes = nodes.filter(|&(index, _)| set.contains(index));
                        nodes.map(|(_, node)| node).join(" ")
                    };
                    let role = match parts.role {
                        Role::Follower => "follows".to_owned(),
                        Role::Candidate(candidate) => {
                            let lacks = match candidate.trimmed {
                                below if below > parts.learner.below => format!(" lacks={below}"),
                                _ => String::new(),
                            };
                            format!("campaigns heard=[{}]{lacks}", names(candidate.heard))
                        }
                        Role::Leader(leader) => {
                            let open = leader.tally.slots();
                            let open = open.map(|(slot, set)| format!("{slot}: {}", names(set)));
                            let reader = &leader.reader;
                            let reads = |tokens: &[Token]| {
                                tokens.iter().map(|token| &self.asked[token.0 as usize]).join(" ")
                            };
                            let reads = if reader.heard.is_empty() {
                                String::new()
                            } else {
                                format!(
                                    " reads=[{}] heard=[{}] waiting=[{}]",
                                    reads(&reader.asked),
                                    names(reader.heard),
                                    reads(&reader.waiting)
                                )
                            };
                            format!("leads open=[{}]{reads}", { open }.join(", "))
                        }
                    };
                    let (acceptor, learner) = (acceptor(parts.acceptor), learner(parts.learner));
                    format!("{id}: {role} {acceptor} {learner}")
                }
            });
        }
        if only.is_none() {
            let chosen = cluster.chosen().iter();
            let chosen =
                chosen.map(|(slot, choice)| format!("{slot}: {}", choice.value)).join(", ");
            lines.push(format!("votes: chosen=[{chosen}]"));
        }
        for line in lines {
            self.line("", format_args!("{line}"));
        }
    }

    /// Returns a new token for a proposal or a read with this name.
    fn token(&mut self, name: &str) -> Token {
        self.asked.push(name.to_owned());
        Token(self.asked.len() as u64 - 1)
    }

    fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a file begins with `cluster`")
    }

    fn line(&mut self, indent: &str, text: std::fmt::Arguments<'_>) {
        writeln!(self.output, "{indent}{text}").unwrap();
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("`{word}` is not a number"))
}

fn id(word: &str) -> NodeId {
    NodeId(number(word) as u32)
}

/// Returns the value of the option `name=value`.
fn valued<'a>(option: &'a str, name: &str) -> &'a str {
    let (found, value) = option.split_once('=').unwrap_or_default();
    assert_eq!(found, name, "`{option}` is not an option here");
    value
}

fn timer(name: &str) -> Timer {
    match name {
        "campaign" => Timer::Campaign,
        "heartbeat" => Timer::Heartbeat,
        "resend" => Timer::Resend,
        _ => panic!("`{name}` is not a timer"),
    }
}

fn values(values: &[Value]) -> String {
    values.iter().join(" ")
}

fn stored(record: &Record) -> String {
    match record {
        Record::Promised(ballot) => format!("promised={ballot}"),
        Record::Accepted { ballot, first, values: all } => {
            format!("accepted={ballot} slot={first} {}", values(all))
        }
        Record::Trimmed { below } => format!("trimmed={below}"),
    }
}

fn travelling(sent: &Sent) -> String {
    format!("{}->{} {}", sent.from, sent.to, message(&sent.message))
}

fn message(message: &Message) -> String {
    match message {
        Message::Prepare { ballot, first: Slot(0) } => format!("Prepare ballot={ballot}"),
        Message::Prepare { ballot, first } => format!("Prepare ballot={ballot} first={first}"),
        Message::Promise { ballot, trimmed, reports } => {
            let reports = reports.iter().map(|r| format!("{}: {} {}", r.slot, r.ballot, r.value));
            let trimmed = match trimmed {
                Slot(0) => String::new(),
                below => format!(" trimmed={below}"),
            };
            format!("Promise ballot={ballot}{trimmed} reports=[{}]", { reports }.join(", "))
        }
        Message::Accept { ballot, first, values: all } => {
            format!("Accept ballot={ballot} slot={first} {}", values(all))
        }
        Message::Accepted { ballot, first, count } => {
            format!("Accepted ballot={ballot} slot={first} count={count}")
        }
        Message::Nack { ballot, promised } => format!("Nack ballot={ballot} promised={promised}"),
        Message::Chosen { ballot, first, count } => {
            format!("Chosen ballot={ballot} slot={first} count={count}")
        }
        Message::Heartbeat { ballot, chosen_below } => {
            format!("Heartbeat ballot={ballot} chosen_below={chosen_below}")
        }
        Message::Confirm { ballot, round } => format!("Confirm ballot={ballot} round={round}"),
        Message::Confirmed { ballot, round } => format!("Confirmed ballot={ballot} round={round}"),
        Message::Trimmed { below } => format!("Trimmed below={below}"),
        Message::Learn { from } => format!("Learn from={from}"),
        Message::Learned { first, values: all, more } => {
            format!("Learned slot={first} {}{}", values(all), if *more { " more" } else { "" })
        }
    }
}

fn acceptor(acceptor: &Acceptor) -> String {
    let promised = acceptor.promised.map_or("none".to_owned(), |ballot| ballot.to_string());
    let votes = acceptor.votes.iter();
    let votes = votes.map(|(slot, ballot, value)| format!("{slot}: {ballot} {value}"));
    let trimmed = match acceptor.trimmed {
        Slot(0) => String::new(),
        below => format!(" trimmed={below}"),
    };
    format!("promised={promised}{trimmed} accepted=[{}]", { votes }.join(", "))
}

fn learner(learner: &Learner) -> String {
    let known = |(slot, value): (Slot, &Value)| format!("{slot}: {value}");
    format!("chosen=[{}]", learner.values().map(known).join(", "))
}
