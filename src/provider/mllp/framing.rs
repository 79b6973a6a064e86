//! The framing: VT, the message, FS, CR. No I/O and no HL7 here.
//!
//! A message ends only at FS followed by CR: a lone FS would let a half message be acknowledged. Between frames, CR and
//! LF are passed over; anything else there is an error that names how much was passed over.

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2};

use crate::provider::Payload;

/// Start of a frame.
pub const START: u8 = 0x0B;
/// End of the message, before the last CR.
pub const END: u8 = 0x1C;
/// The byte after [`END`].
pub const LAST: u8 = 0x0D;

/// The largest frame by default: 16 MiB.
pub const LIMIT: usize = 16 << 20;

/// How many stray bytes between frames are passed over before the stream is given up.
const STRAY_LIMIT: usize = 4096;

/// How much of a message that is too large is kept, so that its header can be answered.
const HEAD: usize = 64 << 10;

/// What is wrong with a stream of frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Bytes that are neither a frame nor CR or LF stood between frames.
    #[error("{count} bytes outside a frame")]
    Stray {
        /// How many.
        count: usize,
        /// Whether a frame follows; without it the stream is given up.
        resumed: bool,
    },
    /// A frame began before the one before had ended.
    #[error("a frame of {} bytes without an end before the next one begins", .partial.0.len())]
    StartInside {
        /// What stood in the frame that did not end.
        partial: Payload,
    },
    /// FS was followed by something other than CR.
    #[error("FS without CR after {} bytes", .partial.0.len())]
    BrokenEnd {
        /// What stood in the frame up to the FS.
        partial: Payload,
    },
    /// The frame is larger than allowed.
    #[error("a frame larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// Its first bytes, at most 64 KiB.
        head: Payload,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame after {} bytes", .partial.0.len())]
    Truncated {
        /// What stood in the frame.
        partial: Payload,
    },
}

impl FramingError {
    /// Whether later frames of the same stream can still be read.
    #[must_use]
    pub fn stream_goes_on(&self) -> bool {
        match self {
            Self::Stray { resumed, .. } => *resumed,
            Self::StartInside { .. } | Self::BrokenEnd { .. } => true,
            Self::TooLarge { .. } | Self::Truncated { .. } => false,
        }
    }

    /// What was received of the message at fault, as far as it is kept.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        match self {
            Self::Stray { .. } => &[],
            Self::StartInside { partial }
            | Self::BrokenEnd { partial }
            | Self::TooLarge { head: partial, .. }
            | Self::Truncated { partial } => partial,
        }
    }

    /// A short fixed word for metrics and logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Stray { .. } => "stray",
            Self::StartInside { .. } => "start_inside",
            Self::BrokenEnd { .. } => "broken_end",
            Self::TooLarge { .. } => "too_large",
            Self::Truncated { .. } => "truncated",
        }
    }
}

/// A message that cannot be framed: it holds a framing byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message holds the framing byte {byte:#04x} at offset {offset}")]
pub struct Unframable {
    /// The byte.
    pub byte: u8,
    /// Where it stands.
    pub offset: usize,
}

/// A message between its framing bytes.
///
/// # Errors
/// When the message holds VT or FS, which would end or restart the frame at the other side.
pub fn encode(message: &[u8]) -> Result<Bytes, Unframable> {
    if let Some(offset) = memchr2(START, END, message) {
        let byte = if memchr(START, message) == Some(offset) { START } else { END };
        return Err(Unframable { byte, offset });
    }
    let mut frame = BytesMut::with_capacity(message.len() + 3);
    frame.extend_from_slice(&[START]);
    frame.extend_from_slice(message);
    frame.extend_from_slice(&[END, LAST]);
    Ok(frame.freeze())
}

/// Turns received bytes into messages, however they were cut into packets.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Between frames; so many stray bytes passed over.
    Between { stray: usize },
    /// Inside a frame whose VT is gone from the buffer; the first so many bytes hold no VT or FS.
    Inside { scanned: usize },
    /// The stream is of no more use.
    Done,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl Decoder {
    /// A decoder for messages of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, state: State::Between { stray: 0 } }
    }

    /// Where received bytes are put.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn inside(&self) -> bool {
        matches!(self.state, State::Inside { .. })
    }

    /// The next whole message, or none until more bytes come.
    ///
    /// # Errors
    /// What is wrong with the stream; where [`FramingError::stream_goes_on`], the next call goes on after it.
    pub fn message(&mut self) -> Result<Option<Bytes>, FramingError> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Between { stray } => match memchr(START, &self.buffer) {
                    Some(at) => {
                        let stray = stray + count_stray(self.buffer.get(..at).unwrap_or_default());
                        self.buffer.advance(at + 1);
                        self.state = State::Inside { scanned: 0 };
                        if stray > 0 {
                            return Err(FramingError::Stray { count: stray, resumed: true });
                        }
                    }
                    None => {
                        let stray = stray + count_stray(&self.buffer);
                        self.buffer.clear();
                        self.state = State::Between { stray };
                        if stray > STRAY_LIMIT {
                            self.state = State::Done;
                            return Err(FramingError::Stray { count: stray, resumed: false });
                        }
                        return Ok(None);
                    }
                },
                State::Inside { scanned } => return self.inside_frame(scanned),
            }
        }
    }

    fn inside_frame(&mut self, scanned: usize) -> Result<Option<Bytes>, FramingError> {
        let found = memchr2(START, END, self.buffer.get(scanned..).unwrap_or_default()).map(|at| scanned + at);
        let content = found.unwrap_or(self.buffer.len());
        if content > self.limit {
            self.state = State::Done;
            self.buffer.truncate(HEAD.min(self.limit));
            let head = std::mem::take(&mut self.buffer).freeze().into();
            return Err(FramingError::TooLarge { limit: self.limit, head });
        }
        let Some(at) = found else {
            self.state = State::Inside { scanned: self.buffer.len() };
            return Ok(None);
        };
        if self.buffer.get(at) == Some(&START) {
            let partial = self.buffer.split_to(at).freeze().into();
            self.buffer.advance(1);
            self.state = State::Inside { scanned: 0 };
            return Err(FramingError::StartInside { partial });
        }
        match self.buffer.get(at + 1) {
            None => {
                self.state = State::Inside { scanned: at };
                Ok(None)
            }
            Some(&LAST) => {
                let message = self.buffer.split_to(at).freeze();
                self.buffer.advance(2);
                self.state = State::Between { stray: 0 };
                Ok(Some(message))
            }
            Some(_) => {
                let partial = self.buffer.split_to(at).freeze().into();
                self.buffer.advance(1);
                self.state = State::Between { stray: 0 };
                Err(FramingError::BrokenEnd { partial })
            }
        }
    }

    /// What is wrong with a stream that ends here.
    ///
    /// # Errors
    /// When it ends inside a frame, or after stray bytes.
    pub fn finish(&mut self) -> Result<(), FramingError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Inside { .. } => {
                let partial = std::mem::take(&mut self.buffer).freeze().into();
                Err(FramingError::Truncated { partial })
            }
            State::Between { stray } if stray > 0 => Err(FramingError::Stray { count: stray, resumed: false }),
            State::Between { .. } | State::Done => Ok(()),
        }
    }
}

fn count_stray(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| !matches!(b, b'\r' | b'\n')).count()
}
