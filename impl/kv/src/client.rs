//! The client of a connection: its protocol version, its names, and its transaction. It returns the next action for
//! each request.

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

/// The state of one client.
#[derive(Clone, Debug)]
pub struct Client {
    id: u64,
    protocol: Protocol,
    name: Bytes,
    library_name: Bytes,
    library_version: Bytes,
    transaction: Option<Transaction>,
}

/// The highest number of bytes of a reply that a transaction keeps, unless the reply repeats an argument.
const KNOWN_BYTES_MAX: usize = 1 << 10;

/// A transaction between `MULTI` and `EXEC`.
#[derive(Clone, Debug, Default)]
struct Transaction {
    steps: Steps,
    /// True if a request was refused. `EXEC` then refuses the transaction.
    refused: bool,
}

/// The next action for a client's request. The caller must send the answers in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this answer.
    Reply(Reply),
    /// Send this answer and close the connection.
    Close(Reply),
    /// Close the connection at once. Read nothing more, and write no answer, not even to earlier requests.
    HangUp,
    /// Send the answer of [`Kv::answer`](super::Kv::answer).
    Read(Question),
    /// Propose this entry, and send the answer of [`Kv::apply`](paxos_node::StateMachine::apply).
    Write {
        /// The entry, as [`Entry::to_bytes`] writes it.
        entry: Bytes,
        /// The ways in which the answer may take further memory.
        copies: Copies,
    },
    /// Open a session, and send its number.
    OpenSession,
    /// Propose this request of a session, and send its answer as for a [`Write`](Self::Write).
    Once(session::Request),
    /// Let the node with this number lead, and send the number of the node that leads then.
    Transfer(paxos::types::NodeId),
    /// Send information about the server: these sections, or all if the list is empty. The answer is a
    /// [`Reply::Bulk`] with lines of the form `key:value`.
    Info(Vec<Bytes>),
}

impl Client {
    /// Returns a client that has just connected. The caller must give each client an `id` of its own.
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

    /// Returns the protocol version for the answer to the last request. The answer to a `HELLO` has the version that
    /// the `HELLO` asks for. The caller must call this after each [`handle`](Self::handle) and keep the version until
    /// the answer is written, because a later `HELLO` does not change the version of earlier answers.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the number of bytes of the steps of the transaction that the client has begun, or 0 if there is none.
    pub fn queued_bytes(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.steps.bytes())
    }

    /// Handles a request, and returns the next action.
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
            (Request::Transfer(node), None) => Action::Transfer(node),
            (Request::Once(Ok(request)), None) => Action::Once(request),
            (Request::Info(sections), None) => Action::Info(sections),
            (Request::Hello(hello), None) => Action::Reply(self.hello(hello)),
            (Request::Client(request), None) => Action::Reply(self.about(request)),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Reply {
        match refusal.reply {
            // An EXEC with arguments is an error, and ends the transaction as well.
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
            // A transaction that only reads is not written to the log.
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
            // Clients look for a node that accepts writes, and every node does.
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
                if !matches!(reply, Reply::Bulk(_)) && reply.size() > KNOWN_BYTES_MAX =>
            {
                self.refused = true;
                return Reply::error("ERR Command not allowed inside a transaction");
            }
            Request::Local(reply) => Step::Known(reply.to_bytes()),
            // A request about this connection or this node cannot be in the log.
            _ => {
                self.refused = true;
                return Reply::error("ERR Command not allowed inside a transaction");
            }
        };
        if self.refused {
            return Reply::simple("QUEUED"); // `EXEC` will refuse the transaction, so its steps are not kept.
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

    /// The length of a transaction has a limit, for a few large steps and for many small ones.
    #[test]
    fn the_length_of_a_transaction_is_limited() {
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
