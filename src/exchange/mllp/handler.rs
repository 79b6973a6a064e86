//! What the listener hands over and gets back.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::provider::BoxFuture;
pub use crate::provider::mllp::framing::FramingError as BrokenFrame;

/// Who is at the other end of a connection. One value a connection, shared by its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The provider that the listener is configured for.
    pub provider: Arc<str>,
    /// The remote address.
    pub address: SocketAddr,
    /// SHA-256 of the client certificate (DER), lower-case hexadecimal, where one was presented and accepted.
    pub certificate: Option<Arc<str>>,
    /// The connection's number in this process, for logs.
    pub connection: u64,
}

/// What is sent back for a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The messages to send, in order, without framing; none where the sender wants no acknowledgement.
    pub messages: Vec<Bytes>,
    /// Close the connection after them.
    pub close: bool,
}

impl Reply {
    /// One message, connection kept.
    #[must_use]
    pub fn message(message: impl Into<Bytes>) -> Self {
        Self { messages: vec![message.into()], close: false }
    }

    /// Nothing to say, connection kept.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }
}

/// Takes what the listener receives.
///
/// The future is run to its end once begun, also while the listener drains; only the drain's deadline cuts it short.
pub trait Handler: Send + Sync {
    /// One message, without framing. Nothing positive may be replied before it is in safe keeping.
    fn handle<'a>(&'a self, message: Bytes, peer: &'a Peer) -> BoxFuture<'a, Reply>;

    /// Something that is not a message. Where the stream cannot go on, the connection is closed after the reply.
    fn broken<'a>(&'a self, error: &'a BrokenFrame, peer: &'a Peer) -> BoxFuture<'a, Reply>;
}
