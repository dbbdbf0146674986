//! What a connection remembers of its client, and what is to be done next.

use bytes::Bytes;

use super::{
    entry::{Entry, Step, Steps},
    limits::{Copies, REQUEST_MAX, STEPS_MAX},
    query::Question,
    reply::Reply,
    request::{self, ClientRequest, Hello, Refusal, Request},
    resp::Protocol,
};
use paxos_node::{machine::Answer as _, session};

/// One client: its version of the protocol, its name, and its transaction.
#[derive(Clone, Debug)]
pub struct Client {
    id: u64,
    protocol: Protocol,
    name: Bytes,
    library_name: Bytes,
    library_version: Bytes,
    transaction: Option<Transaction>,
}

/// The longest reply that a transaction keeps, unless it repeats an argument.
const SAID_BYTES_MAX: usize = 1 << 10;

/// What a client wants done at once, while it has not said that it is all.
#[derive(Clone, Debug, Default)]
struct Transaction {
    steps: Steps,
    /// Whether something was refused, so that all of it will be.
    refused: bool,
}

/// What is to be done for a client. Answers must leave in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// This is the answer.
    Reply(Reply),
    /// This is the last answer; the connection ends.
    Close(Reply),
    /// The connection ends without an answer, and nothing that follows is read.
    HangUp,
    /// [`Kv::answer`](super::Kv::answer) has the answer.
    Read(Question),
    /// An entry for the log; [`Kv::apply`](paxos_node::StateMachine::apply) has the answer.
    Write {
        /// The entry, as [`Entry::to_bytes`] writes it.
        entry: Bytes,
        /// The memory that the answer may take.
        copies: Copies,
    },
    /// A session is to be opened; its number is the answer.
    OpenSession,
    /// A request of a session; the answer is as that of a [`Write`](Self::Write).
    Once(session::Request),
    /// The server has to say something about itself: these sections, or the usual ones. As
    /// [`Reply::Bulk`], with lines of the form `key:value`.
    Info(Vec<Bytes>),
}

impl Client {
    /// A client that has just connected. The number is its own.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            protocol: Protocol::default(),
            name: Bytes::new(),
            library_name: Bytes::new(),
            library_version: Bytes::new(),
            transaction: None,
        }
    }

    /// The version in which replies are to be written. Ask after each [`handle`](Self::handle): the
    /// answer to a `HELLO` is already in the version that it asks for, and an answer that has to be
    /// waited for is in the version of its time, whatever the client sends meanwhile.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The number of bytes of the transaction that the client has begun.
    pub fn queued_bytes(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.steps.bytes())
    }

    /// What is to be done about these arguments.
    pub fn handle(&mut self, arguments: &[Bytes]) -> Action {
        let request = match request::parse(arguments) {
            Ok(request) => request,
            Err(refusal) => return Action::Reply(self.refuse(refusal)),
        };
        match (request, &mut self.transaction) {
            (Request::Quit, _) => Action::Close(Reply::ok()),
            (Request::Http, _) => Action::HangUp,
            (Request::Reset, _) => {
                *self = Self::new(self.id);
                Action::Reply(Reply::simple("RESET"))
            }
            (Request::Exec, _) => self.execute(),
            (Request::Discard, _) => Action::Reply(match self.transaction.take() {
                Some(_) => Reply::ok(),
                None => Reply::error("ERR DISCARD without MULTI"),
            }),
            (Request::Multi, transaction @ None) => {
                *transaction = Some(Transaction::default());
                Action::Reply(Reply::ok())
            }
            (Request::Multi, Some(_)) => {
                Action::Reply(Reply::error("ERR MULTI calls can not be nested"))
            }
            (Request::Watch, Some(_)) => {
                Action::Reply(Reply::error("ERR WATCH inside MULTI is not allowed"))
            }
            (Request::Watch, None) => Action::Reply(Reply::error(
                "ERR WATCH is not supported, but SET key value IFEQ old is",
            )),
            (request, Some(transaction)) => Action::Reply(transaction.queue(request)),
            (Request::Local(reply) | Request::Once(Err(reply)), None) => Action::Reply(reply),
            (Request::Read(query), None) => Action::Read(Question::Query(query)),
            (Request::Write(command), None) => {
                let copies = command.copies();
                Action::Write { entry: Entry::One(command).to_bytes(), copies }
            }
            (Request::OpenSession, None) => Action::OpenSession,
            (Request::Once(Ok(request)), None) => Action::Once(request),
            (Request::Info(sections), None) => Action::Info(sections),
            (Request::Hello(hello), None) => Action::Reply(self.hello(hello)),
            (Request::Client(request), None) => Action::Reply(self.about(request)),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Reply {
        match refusal.reply {
            // An EXEC that makes no sense ends the transaction nevertheless.
            Reply::Error(text) if refusal.exec => {
                self.transaction = None;
                let reason = text.strip_prefix(b"ERR ").unwrap_or(&text);
                let text = [b"EXECABORT Transaction discarded because of: ", reason];
                Reply::Error(text.concat().into())
            }
            reply => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.refused = true;
                }
                reply
            }
        }
    }

    fn execute(&mut self) -> Action {
        match self.transaction.take() {
            None => Action::Reply(Reply::error("ERR EXEC without MULTI")),
            Some(Transaction { refused: true, .. }) => Action::Reply(Reply::error(
                "EXECABORT Transaction discarded because of previous errors.",
            )),
            Some(Transaction { steps, .. }) if steps.is_empty() => {
                Action::Reply(Reply::Array(vec![]))
            }
            // Nothing of what only reads has to be in the log.
            Some(Transaction { steps, .. }) if !steps.writes() => {
                Action::Read(Question::Transaction(steps.to_entry()))
            }
            Some(Transaction { steps, .. }) => {
                Action::Write { entry: steps.to_entry(), copies: steps.copies() }
            }
        }
    }

    fn hello(&mut self, hello: Hello) -> Reply {
        self.protocol = hello.protocol.unwrap_or(self.protocol);
        self.name = hello.name.unwrap_or(std::mem::take(&mut self.name));
        let text = |text: &'static str| Reply::Bulk(text.into());
        Reply::Map(vec![
            (text("server"), text("paxos")),
            (text("version"), text(env!("CARGO_PKG_VERSION"))),
            (text("proto"), Reply::Integer(self.protocol_number())),
            (text("id"), self.id()),
            (text("mode"), text("standalone")),
            // Clients look for whoever takes writes, and every node does.
            (text("role"), text("master")),
            (text("modules"), Reply::Array(vec![])),
        ])
    }

    fn about(&mut self, request: ClientRequest) -> Reply {
        match request {
            ClientRequest::SetName(name) => self.name = name,
            ClientRequest::SetLibraryName(name) => self.library_name = name,
            ClientRequest::SetLibraryVersion(version) => self.library_version = version,
            ClientRequest::GetName if self.name.is_empty() => return Reply::Null,
            ClientRequest::GetName => return Reply::Bulk(self.name.clone()),
            ClientRequest::Id => return self.id(),
            ClientRequest::List | ClientRequest::Info => return Reply::Bulk(self.line().into()),
        }
        Reply::ok()
    }

    fn line(&self) -> String {
        let Self { id, name, library_name, library_version, .. } = self;
        let text = |text: &Bytes| String::from_utf8_lossy(text).into_owned();
        format!(
            "id={id} name={} db=0 resp={} lib-name={} lib-ver={}\n",
            text(name),
            self.protocol_number(),
            text(library_name),
            text(library_version),
        )
    }

    fn id(&self) -> Reply {
        Reply::Integer(i64::try_from(self.id).unwrap_or(i64::MAX))
    }

    fn protocol_number(&self) -> i64 {
        match self.protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

impl Transaction {
    fn queue(&mut self, request: Request) -> Reply {
        let step = match request {
            Request::Read(query) => Step::Read(query),
            Request::Write(command) => Step::Write(command),
            // A reply that is much longer than its request would make a short transaction long.
            Request::Local(reply)
                if !matches!(reply, Reply::Bulk(_)) && reply.size() > SAID_BYTES_MAX =>
            {
                self.refused = true;
                return Reply::error("ERR Command not allowed inside a transaction");
            }
            Request::Local(reply) => Step::Say(reply.to_bytes()),
            // What is about this connection or this node has no place in the log.
            _ => {
                self.refused = true;
                return Reply::error("ERR Command not allowed inside a transaction");
            }
        };
        if self.refused {
            return Reply::simple("QUEUED"); // It will not be executed, so nothing needs to be kept.
        }
        self.steps.push(&step);
        if self.steps.bytes() > REQUEST_MAX || self.steps.least_steps() > STEPS_MAX {
            self.refused = true;
            self.steps = Steps::default();
            return Reply::Error(
                format!(
                    "ERR transaction is too long; it may have {REQUEST_MAX} bytes and take {STEPS_MAX} steps"
                )
                .into(),
            );
        }
        Reply::simple("QUEUED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither many small steps nor a few large ones, nor such as are short to ask for.
    #[test]
    fn a_transaction_does_not_grow_for_ever() {
        let large = Bytes::from(vec![b'x'; REQUEST_MAX / 4]);
        for request in [&["APPEND".into(), "k".into(), large][..], &["PING".into()]] {
            let mut client = Client::new(1);
            client.handle(&["MULTI".into()]);
            let refused = |action| matches!(action, Action::Reply(Reply::Error(text)) if text.starts_with(b"ERR transaction is too long"));
            assert!((0..REQUEST_MAX).any(|_| refused(client.handle(request))));
            assert_eq!(client.queued_bytes(), 0);
            let exec = client.handle(&["EXEC".into()]);
            assert!(
                matches!(exec, Action::Reply(Reply::Error(text)) if text.starts_with(b"EXECABORT"))
            );
        }
    }
}
