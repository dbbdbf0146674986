//! From arguments to what is wanted.
//!
//! One table has every command with the number of its arguments, which is looked at
//! first; then each command reads its own.

mod connection;
pub(crate) mod errors;
mod introspection;
mod keys;
mod once;
mod strings;
mod word;
mod words;

use bytes::Bytes;

use super::{command::Command, limits::KEYS_MAX, query::Query, reply::Reply, resp::Protocol};
use paxos_node::session;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// An answer that follows from the request itself, be it an error.
    Local(Reply),
    /// Something from the store.
    Read(Query),
    /// A change of the store.
    Write(Command),
    /// To have a session of its own.
    OpenSession,
    /// A change of the store that may have been asked for before; or why there can be none.
    Once(Result<session::Request, Reply>),
    /// To introduce itself, and learn who is there.
    Hello(Hello),
    /// Something about its own connection.
    Client(ClientRequest),
    /// Something about the server: these sections, or the usual ones.
    Info(Vec<Bytes>),
    /// To begin a transaction.
    Multi,
    /// To have it done.
    Exec,
    /// To have it forgotten.
    Discard,
    /// To have a transaction depend on keys, which is not supported.
    Watch,
    /// Nothing that this server has: a web page sends it. The connection ends at once, as in Redis, before anything that
    /// follows runs as a command.
    Http,
    /// To begin anew.
    Reset,
    /// To leave.
    Quit,
}

/// What a client says of itself at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The version in which it wants to go on.
    pub protocol: Option<Protocol>,
    /// Its name.
    pub name: Option<Bytes>,
}

/// What a client wants of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// To be called so from now on; by nothing, if that is empty.
    SetName(Bytes),
    /// Its name.
    GetName,
    /// To say which library it uses.
    SetLibraryName(Bytes),
    /// To say of which version that is.
    SetLibraryVersion(Bytes),
    /// Its number.
    Id,
    /// Who is there. A connection knows of itself only.
    List,
    /// What is known of it.
    Info,
}

/// A request that is refused before anybody looks at what it means. A transaction in which that
/// happened will not be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reply: Reply,
    /// Whether it was to end a transaction, which it does, though not in the way it wanted.
    pub exec: bool,
}

/// What these arguments ask for.
///
/// # Errors
/// A command that does not exist, with too many or too few arguments, or with too many keys.
pub fn parse(arguments: &[Bytes]) -> Result<Request, Refusal> {
    if is_http(arguments) {
        return Ok(Request::Http);
    }
    let word = words::find(arguments)?;
    let request = (word.parse)(arguments);
    match request.keys() {
        keys if keys > KEYS_MAX => {
            Err(Refusal { reply: errors::too_many("keys", keys, KEYS_MAX), exec: false })
        }
        _ => Ok(request),
    }
}

/// Whether this is a line of a request that a browser sends.
fn is_http(arguments: &[Bytes]) -> bool {
    let first = arguments.first();
    first.is_some_and(|first| {
        first.eq_ignore_ascii_case(b"post") || first.eq_ignore_ascii_case(b"host:")
    })
}

impl Request {
    /// The number of keys that the request names.
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

/// What is wrong with the arguments of a command is an answer to it: a transaction goes on.
impl<T: Into<Self>> From<Result<T, Reply>> for Request {
    fn from(result: Result<T, Reply>) -> Self {
        result.map_or_else(Self::Local, Into::into)
    }
}
