//! The meaning of requests: [`parse`] makes a [`Request`] of the arguments of a command.
//!
//! The table in `table.rs` has all commands. For each command it has the number of arguments, which is checked first,
//! and a function that parses the arguments.

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
    /// A request that needs neither the store nor the state of the client. Has the answer, which may be an error.
    Local(Reply),
    /// A query.
    Read(Query),
    /// A change of the store.
    Write(Command),
    /// `PAXOS SESSION`.
    OpenSession,
    /// `PAXOS ONCE`: a change of the store that may be a retry, or the answer to wrong arguments.
    Once(Result<session::Request, Reply>),
    /// `PAXOS TRANSFER`: the node with this number shall lead.
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
    /// A line of an HTTP request. A web page can make a browser send such a request. The connection ends at once, as in
    /// Redis, before a later line of the request is executed as a command.
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

/// The refusal of a request: its command does not exist, or the number of its arguments or of its keys is wrong. `EXEC`
/// refuses a transaction with such a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error.
    pub reply: Reply,
    /// True if the command was `EXEC`. Even a refused `EXEC` ends the transaction.
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

/// Returns true if these are the words of a line of an HTTP request.
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

/// An error in the arguments is the answer to the command, and not a refusal. So the transaction is not refused.
impl<T: Into<Self>> From<Result<T, Reply>> for Request {
    fn from(result: Result<T, Reply>) -> Self {
        result.map_or_else(Self::Local, Into::into)
    }
}
