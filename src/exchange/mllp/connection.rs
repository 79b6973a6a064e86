//! One connection: read a message, have it handled, write the replies, in this order and never otherwise.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::listener::Shared;
use super::{BrokenFrame, Handler, Peer, Reply};
use crate::provider::mllp::framing::{Decoder, encode};

/// How much room is made for each read.
const READ: usize = 16 << 10;

/// How long, and for how many bytes, a peer is listened to after our last word.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

pub(super) struct Lane<'a, S> {
    stream: S,
    decoder: Decoder,
    shared: &'a Shared,
    handler: &'a dyn Handler,
    peer: &'a Peer,
    draining: watch::Receiver<bool>,
}

/// What the stream gave.
enum Next {
    Message(Bytes),
    Broken(BrokenFrame),
    End(&'static str),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Lane<'a, S> {
    pub(super) fn new(
        stream: S,
        shared: &'a Shared,
        handler: &'a dyn Handler,
        peer: &'a Peer,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let decoder = Decoder::new(shared.config.frame_limit);
        Self { stream, decoder, shared, handler, peer, draining }
    }

    pub(super) async fn run(mut self) {
        tracing::debug!("connection open");
        let mut last_word = false;
        let reason = loop {
            let (reply, goes_on) = match self.next().await {
                Next::End(reason) => break reason,
                Next::Message(message) => {
                    self.shared.metrics.messages.inc();
                    (self.handler.handle(message, self.peer).await, true)
                }
                Next::Broken(error) => {
                    self.shared.metrics.broken(&error).inc();
                    tracing::warn!(%error, "broken framing");
                    (self.handler.broken(&error, self.peer).await, error.stream_goes_on())
                }
            };
            let close = reply.close || !goes_on;
            if let Err(error) = self.write(reply).await {
                tracing::warn!(%error, "the reply could not be written");
                break "the reply could not be written";
            }
            if close {
                last_word = true;
                break "closed after the reply";
            }
        };
        // The peer may be gone already; there is nobody to tell.
        let _ = self.stream.shutdown().await;
        if last_word {
            self.linger().await;
        }
        tracing::debug!(reason, "connection closed");
    }

    /// Passes over what the peer still sends, for a moment: closing a socket with unread bytes resets the connection, and
    /// the peer would lose the reply that says why.
    async fn linger(&mut self) {
        let deadline = self.shared.clock.instant().after(LINGER);
        let mut scratch = vec![0; READ];
        let mut left = LINGER_BYTES;
        let passing_over = async {
            while left > 0 {
                match self.stream.read(&mut scratch).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => left = left.saturating_sub(read),
                }
            }
        };
        // Whether the peer closed or the time ran out, the connection ends here.
        let _ = self.shared.clock.deadline(deadline, passing_over).await;
    }

    async fn next(&mut self) -> Next {
        let mut begun = None;
        loop {
            match self.decoder.message() {
                Ok(Some(message)) => return Next::Message(message),
                Err(error) => return Next::Broken(error),
                Ok(None) => {}
            }
            // A frame that has begun has its own time, which dripped bytes do not prolong.
            let now = self.shared.clock.instant();
            let deadline = if self.decoder.inside() {
                *begun.get_or_insert(now.after(self.shared.config.frame.0))
            } else {
                now.after(self.shared.config.idle.0)
            };
            self.decoder.buffer().reserve(READ);
            let read = tokio::select! {
                biased;
                _ = self.draining.wait_for(|drain| *drain) => return Next::End("draining"),
                read = self.shared.clock.deadline(deadline, self.stream.read_buf(self.decoder.buffer())) => read,
            };
            match read {
                Ok(Ok(0)) => {
                    return self.decoder.finish().map_or_else(Next::Broken, |()| Next::End("closed by the peer"));
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the connection broke");
                    return self.decoder.finish().map_or_else(Next::Broken, |()| Next::End("broken by the peer"));
                }
                Err(_) => return self.decoder.finish().map_or_else(Next::Broken, |()| Next::End("idle")),
            }
        }
    }

    async fn write(&mut self, reply: Reply) -> io::Result<()> {
        let deadline = self.shared.clock.instant().after(self.shared.config.frame.0);
        let stream = &mut self.stream;
        let write = async {
            for message in reply.messages {
                let frame = encode(&message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                stream.write_all(&frame).await?;
            }
            stream.flush().await
        };
        self.shared
            .clock
            .deadline(deadline, write)
            .await
            .unwrap_or_else(|late| Err(io::Error::new(io::ErrorKind::TimedOut, late)))
    }
}
