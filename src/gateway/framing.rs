//! HTTP/1.1 requests whose length is told twice.
//!
//! A request with both `Transfer-Encoding` and `Content-Length` is how a request is smuggled past a proxy that reads the
//! other one (RFC 9112, 6.1 and 11.2). The HTTP library would take it, dropping the length; so the bytes are watched on
//! their way to it, and a connection on which such a request arrives has no request taken any more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether a request with two lengths has arrived on a connection.
#[derive(Debug, Default)]
pub(super) struct Framing(AtomicBool);

impl Framing {
    /// Whether one has arrived.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A stream whose incoming requests are watched.
pub(super) struct Watched<S> {
    stream: S,
    scanner: Scanner,
    framing: Arc<Framing>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, framing: Arc<Framing>) -> Self {
        Self { stream, scanner: Scanner::default(), framing }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if matches!(poll, Poll::Ready(Ok(())))
            && let Some(arrived) = buffer.filled().get(before..)
            && self.scanner.scan(arrived)
        {
            self.framing.0.store(true, Ordering::Release);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Follows requests through the bytes of a connection. What it cannot follow, the HTTP library refuses too, and then it
/// stops looking.
#[derive(Debug, Default)]
struct Scanner {
    place: Place,
    /// The beginning of a line that has not ended yet.
    line: Vec<u8>,
    head: Lengths,
}

#[derive(Debug, Default)]
enum Place {
    /// Before or in a head.
    #[default]
    Head,
    /// In a body or chunk with so many bytes to come, and whether it is a chunk.
    Data(u64, bool),
    /// Before the line with a chunk's size.
    Size,
    /// After the last chunk.
    Trailer,
    /// Not looking any more.
    Lost,
}

/// What a head has said of its body's length.
#[derive(Debug, Default)]
struct Lengths {
    content: Option<u64>,
    chunked: bool,
    begun: bool,
}

/// The part of a line that is looked at: field names and sizes stand at its beginning.
const KEPT: usize = 128;

impl Scanner {
    /// Takes the next bytes; says whether a request with two lengths is among them.
    fn scan(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.place {
                Place::Lost => return false,
                Place::Data(left, chunk) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(here..).unwrap_or_default();
                    let left = left.saturating_sub(here as u64);
                    self.place = match (left, chunk) {
                        (0, true) => Place::Size,
                        (0, false) => Place::Head,
                        _ => Place::Data(left, chunk),
                    };
                }
                Place::Head | Place::Size | Place::Trailer => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (text, rest) = end.map_or((bytes, &[] as &[u8]), |end| bytes.split_at(end));
                    let room = KEPT.saturating_sub(self.line.len()).min(text.len());
                    self.line.extend_from_slice(text.get(..room).unwrap_or_default());
                    if end.is_none() {
                        return false;
                    }
                    bytes = rest.get(1..).unwrap_or_default();
                    let mut line = std::mem::take(&mut self.line);
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    if self.line_ended(&line) {
                        return true;
                    }
                    line.clear();
                    self.line = line;
                }
            }
        }
        false
    }

    fn line_ended(&mut self, line: &[u8]) -> bool {
        match self.place {
            Place::Head if line.is_empty() && !self.head.begun => {}
            Place::Head if line.is_empty() => {
                let head = std::mem::take(&mut self.head);
                if head.chunked && head.content.is_some() {
                    self.place = Place::Lost;
                    return true;
                }
                self.place = match head {
                    Lengths { chunked: true, .. } => Place::Size,
                    Lengths { content: Some(length @ 1..), .. } => Place::Data(length, false),
                    _ => Place::Head,
                };
            }
            Place::Head => self.field(line),
            Place::Size => {
                let text: String =
                    line.iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_hexdigit).collect();
                self.place = match u64::from_str_radix(&text, 16) {
                    Ok(0) => Place::Trailer,
                    // A chunk's data is followed by a line end.
                    Ok(size) => Place::Data(size.saturating_add(2), true),
                    Err(_) => Place::Lost,
                };
            }
            Place::Trailer if line.is_empty() => self.place = Place::Head,
            Place::Trailer | Place::Data(..) | Place::Lost => {}
        }
        false
    }

    fn field(&mut self, line: &[u8]) {
        self.head.begun = true;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            self.head.content = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).or(Some(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Scanner;

    /// Scans a text cut at these places.
    fn found(text: &[u8], cuts: &[usize]) -> bool {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.sort_unstable();
        let mut scanner = Scanner::default();
        let mut from = 0;
        let mut found = false;
        for to in cuts.into_iter().chain([text.len()]) {
            found |= scanner.scan(text.get(from..to).unwrap_or_default());
            from = to;
        }
        found
    }

    /// A request with a body told once, whose content looks like a request with two lengths.
    fn innocent() -> impl Strategy<Value = Vec<u8>> {
        let bait = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        prop_oneof![
            Just("GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
            Just(format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{bait}", bait.len())),
            Just(format!("POST / HTTP/1.1\ntransfer-encoding: chunked\n\n{:x};a=b\r\n{bait}\r\n0\r\n\r\n", bait.len())),
            Just(format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\ntrailer: {}\r\n\r\n",
                "y".repeat(300)
            )),
        ]
        .prop_map(String::into_bytes)
    }

    proptest! {
        #[test]
        fn what_is_told_once_is_let_through_however_it_is_cut(
            requests in vec(innocent(), 1..6),
            cuts in vec(any::<usize>(), 0..12),
        ) {
            prop_assert!(!found(&requests.concat(), &cuts));
        }

        #[test]
        fn what_is_told_twice_is_found_after_any_innocent_requests_however_it_is_cut(
            requests in vec(innocent(), 0..5),
            cuts in vec(any::<usize>(), 0..12),
            chunked_first in any::<bool>(),
        ) {
            let (one, two) = ("Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n");
            let (one, two) = if chunked_first { (two, one) } else { (one, two) };
            let mut text = requests.concat();
            text.extend(format!("POST / HTTP/1.1\r\nhost: x\r\n{one}{two}\r\n").bytes());
            prop_assert!(found(&text, &cuts));
        }

        #[test]
        fn any_bytes_are_scanned_without_a_fault(text in vec(any::<u8>(), 0..600), cuts in vec(any::<usize>(), 0..6)) {
            prop_assert_eq!(found(&text, &cuts), found(&text, &[]));
        }
    }
}
