//! A server without sockets, with one client, and with a list of entries as its log.

use bytes::{Bytes, BytesMut};
use paxos_kv::{self, Action, Client, Kv, Reply, resp};
use paxos_node::StateMachine as _;

pub(crate) struct Session {
    decoder: resp::Decoder,
    client: Client,
    pub(crate) kv: Kv,
    /// All entries that were applied, and their answers.
    pub(crate) log: Vec<(Bytes, Reply)>,
    input: BytesMut,
    pub(crate) closed: bool,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            decoder: resp::Decoder::default(),
            client: Client::new(7),
            kv: Kv::default(),
            log: Vec::new(),
            input: BytesMut::new(),
            closed: false,
        }
    }

    /// Sends these bytes, and returns the answers.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> BytesMut {
        let mut output = BytesMut::new();
        self.input.extend_from_slice(bytes);
        while !self.closed {
            let reply = match self.decoder.decode(&mut self.input) {
                Ok(None) => break,
                Ok(Some(arguments)) => self.call(&arguments),
                Err(error) => {
                    self.closed = true;
                    Some(error.reply())
                }
            };
            match reply {
                Some(reply) => resp::encode(&reply, self.client.protocol(), &mut output),
                // The server hangs up without writing the earlier answers.
                None => output.clear(),
            }
        }
        output
    }

    /// Returns the answer, or `None` if the server hangs up.
    pub(crate) fn call(&mut self, arguments: &[Bytes]) -> Option<Reply> {
        Some(match self.client.handle(arguments) {
            Action::HangUp => {
                self.closed = true;
                return None;
            }
            Action::Reply(reply) => reply,
            Action::Close(reply) => {
                self.closed = true;
                reply
            }
            Action::Read(question) => self.kv.answer(&question),
            Action::Write { entry, .. } => {
                let answer = self.kv.apply(&entry);
                self.log.push((entry, answer.clone()));
                answer
            }
            Action::OpenSession => Reply::simple("a session"),
            Action::Once(request) => {
                let told = format!("once {} {} ", request.session(), request.sequence());
                let command = paxos_kv::describe(request.command()).expect("an entry");
                Reply::Bulk((told + &command).into())
            }
            Action::Transfer(node) => Reply::Integer(node.0.into()),
            Action::Info(sections) => Reply::Bulk(format!("{} sections", sections.len()).into()),
        })
    }
}

/// Returns a snapshot of the state.
pub(crate) fn snapshot(kv: &Kv) -> Vec<u8> {
    let mut bytes = Vec::new();
    kv.snapshot()(&mut bytes).expect("there is memory");
    bytes
}
