//! The meaning of requests: from arguments to a [`Request`].
//!
//! The table of `table.rs` has all commands, with the number of their arguments. That number is checked first. Then the
//! command parses its arguments.

mod connection;
pub(crate) mod errors;
mod introspection;
mod keys;
mod once;
mod spec;
mod strings;
mod table;

use bytes::Bytes;

use super::{command::Command, limits::KEYS_MAX, query::Query, reply::Reply, resp::Protocol};
use paxos::types::NodeId;
use paxos_node::session;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A request that is answered without the store. The answer may be an error.
    Local(Reply),
    /// A query.
    Read(Query),
    /// A change of the store.
    Write(Command),
    /// `PAXOS SESSION`.
    OpenSession,
    /// `PAXOS ONCE`: a change of the store that may be a retry, or the error in its arguments.
    Once(Result<session::Request, Reply>),
    /// `PAXOS TRANSFER`: this node is to lead.
    Transfer(NodeId),
    /// `HELLO`.
    Hello(Hello),
    /// `CLIENT`.
    Client(ClientRequest),
    /// `INFO` with these sections.
    Info(Vec<Bytes>),
    /// `MULTI`, which begins a transaction.
    Multi,
    /// `EXEC`, which executes the transaction.
    Exec,
    /// `DISCARD`, which drops the transaction.
    Discard,
    /// `WATCH`, which is not supported.
    Watch,
    /// A line of an HTTP request, which a web page can make a browser send. The connection ends at once, as in
    /// Redis, before a later line runs as a command.
    Http,
    /// `RESET`, which resets the client's state.
    Reset,
    /// `QUIT`.
    Quit,
}

/// The arguments of `HELLO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The protocol version for later answers.
    pub protocol: Option<Protocol>,
    /// The client's name.
    pub name: Option<Bytes>,
}

/// A subcommand of `CLIENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// `SETNAME`. An empty name removes the name.
    SetName(Bytes),
    /// `GETNAME`.
    GetName,
    /// `SETINFO lib-name`.
    SetLibraryName(Bytes),
    /// `SETINFO lib-ver`.
    SetLibraryVersion(Bytes),
    /// `ID`.
    Id,
    /// `LIST`. The answer has only this client.
    List,
    /// `INFO`.
    Info,
}

/// A request that is refused before its arguments are parsed. A transaction with such a request is not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error.
    pub reply: Reply,
    /// True if the command was `EXEC`, which ends the transaction even if it is refused.
    pub exec: bool,
}

/// Parses a request.
///
/// # Errors
/// Fails if the command does not exist, or has too many or too few arguments, or too many keys.
pub fn parse(arguments: &[Bytes]) -> Result<Request, Refusal> {
    if is_http(arguments) {
        return Ok(Request::Http);
    }
    let command = table::find(arguments)?;
    let request = (command.parse)(arguments);
    match request.keys() {
        keys if keys > KEYS_MAX => {
            Err(Refusal { reply: errors::too_many("keys", keys, KEYS_MAX), exec: false })
        }
        _ => Ok(request),
    }
}

/// Returns true if this is a line of an HTTP request.
fn is_http(arguments: &[Bytes]) -> bool {
    let first = arguments.first();
    first.is_some_and(|first| {
        first.eq_ignore_ascii_case(b"post") || first.eq_ignore_ascii_case(b"host:")
    })
}

impl Request {
    /// Returns the number of keys that the request names.
    fn keys(&self) -> usize {
        match self {
            Self::Read(query) => query.keys(),
            Self::Write(command) => command.keys(),
            _ => 0,
        }
    }
}

impl From<Reply> for Request {
    fn from(reply: Reply) -> Self {
        Self::Local(reply)
    }
}

impl From<Query> for Request {
    fn from(query: Query) -> Self {
        Self::Read(query)
    }
}

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self::Write(command)
    }
}

impl From<Hello> for Request {
    fn from(hello: Hello) -> Self {
        Self::Hello(hello)
    }
}

impl From<ClientRequest> for Request {
    fn from(request: ClientRequest) -> Self {
        Self::Client(request)
    }
}

/// An error in the arguments is the answer to the command, and not a refusal. So a transaction goes on.
impl<T: Into<Self>> From<Result<T, Reply>> for Request {
    fn from(result: Result<T, Reply>) -> Self {
        result.map_or_else(Self::Local, Into::into)
    }
}
