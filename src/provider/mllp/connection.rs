//! One open connection to a provider's listener.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use futures_util::future::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::framing::{Decoder, FramingError};
use crate::clock::Instant;
use crate::provider::AdapterError;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// TLS towards the provider: how, and under which name.
pub(super) type Tls = (TlsConnector, rustls::pki_types::ServerName<'static>);

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    /// When it was last of use.
    pub(super) used: Instant,
    /// MSH-10 of the last messages that were sent on it and done with: their application may still answer.
    earlier: VecDeque<Vec<u8>>,
}

/// Messages of which a late answer is known on a connection.
const EARLIER: usize = 64;

impl Connection {
    pub(super) async fn open(
        address: &str,
        tls: Option<&Tls>,
        frame_limit: usize,
        now: Instant,
    ) -> Result<Self, AdapterError> {
        let unreachable = |error: io::Error| AdapterError::Unreachable { what: error.to_string() };
        let tcp = TcpStream::connect(address).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(tcp),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), tcp).await.map_err(unreachable)?),
        };
        Ok(Self { stream, decoder: Decoder::new(frame_limit), used: now, earlier: VecDeque::new() })
    }

    /// What came since the last answer.
    pub(super) async fn state(&mut self) -> Kept {
        // The runtime learns of what came only when it next looks.
        tokio::task::yield_now().await;
        let waiting = self.stream.read_buf(self.decoder.buffer()).now_or_never();
        if self.decoder.inside() || !self.decoder.buffer().is_empty() {
            return Kept::Unasked;
        }
        if waiting.is_none() { Kept::Quiet } else { Kept::Closed }
    }

    /// A message is done with.
    pub(super) fn done(&mut self, control_id: &[u8], now: Instant) {
        self.used = now;
        if self.earlier.len() >= EARLIER {
            self.earlier.pop_front();
        }
        self.earlier.push_back(control_id.to_vec());
    }

    /// Whether this is the MSH-10 of a message that was sent before and is done with.
    pub(super) fn is_earlier(&self, control_id: &[u8]) -> bool {
        self.earlier.iter().any(|one| one == control_id)
    }

    pub(super) async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await?;
        self.stream.flush().await
    }

    /// The next message, or none when the other side closed between messages.
    pub(super) async fn receive(&mut self) -> Result<Option<Bytes>, ReceiveError> {
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(Some(message));
            }
            if self.stream.read_buf(self.decoder.buffer()).await? == 0 {
                self.decoder.finish()?;
                return Ok(None);
            }
        }
    }

    pub(super) async fn close(mut self) {
        // The peer may be gone already; there is nobody to tell.
        let _ = self.stream.shutdown().await;
    }
}

/// How a connection that was kept open is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing came: fit for the next message.
    Quiet,
    /// The other side closed it.
    Closed,
    /// Something came that nobody waits for.
    Unasked,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Framing(#[from] FramingError),
}
