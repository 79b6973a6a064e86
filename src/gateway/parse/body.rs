//! Reading a request's body, up to a limit.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use silta_engine::fault::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::unreadable;
use crate::clock::{Clock, Instant};
use crate::gateway::outcome::Refusal;

/// A body that was read, and the share of the memory for bodies that it takes until it is dropped.
pub(in crate::gateway) struct ReadBody {
    pub(in crate::gateway) bytes: Bytes,
    share: Option<OwnedSemaphorePermit>,
}

/// Reads the body: at most `limit` bytes, by `deadline`, within the memory that all bodies may take together (`memory`
/// counts in KiB).
///
/// # Errors
/// Larger than the limit, slower than the deadline, cut off, or no memory free for it now.
pub(in crate::gateway) async fn read(
    body: &mut Incoming,
    headers: &HeaderMap,
    limit: usize,
    memory: &Arc<Semaphore>,
    clock: &Clock,
    deadline: Instant,
) -> Result<ReadBody, Refusal> {
    let too_large = || Refusal::new(Fault::TooLarge, format!("the body is larger than {limit} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) || body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut read = ReadBody { bytes: Bytes::new(), share: None };
    let mut text = BytesMut::new();
    let mut shared = 0_usize;
    loop {
        let frame = clock.deadline(deadline, body.frame()).await.map_err(|_| {
            Refusal::new(Fault::CallerSlow, "the body did not arrive in the time allowed for the request")
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| unreadable("the body was cut off or is not framed as HTTP says"))?;
        let Ok(data) = frame.into_data() else { continue };
        if text.len().saturating_add(data.len()) > limit {
            return Err(too_large());
        }
        text.extend_from_slice(&data);
        while shared < text.len() {
            const STEP: u32 = 64;
            let more = Arc::clone(memory)
                .try_acquire_many_owned(STEP)
                .map_err(|_| Refusal::new(Fault::Throttled, "too much is being received at once: try again shortly"))?;
            match &mut read.share {
                Some(share) => share.merge(more),
                None => read.share = Some(more),
            }
            shared = shared.saturating_add(STEP as usize * 1024);
        }
    }
    read.bytes = text.freeze();
    Ok(read)
}

/// Takes what is still coming of a body that nobody wants, and drops it: at most `limit` bytes, until `deadline`. A caller
/// that writes its whole request before it reads would not see our answer if the connection were closed on it
/// (RFC 9112, 9.6).
pub(in crate::gateway) async fn drain(mut body: Incoming, limit: usize, clock: Clock, deadline: Instant) {
    if body.size_hint().lower() > limit as u64 {
        return;
    }
    let mut left = limit;
    while let Ok(Some(Ok(frame))) = clock.deadline(deadline, body.frame()).await {
        left = match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(left) => left,
            None => return,
        };
    }
}
