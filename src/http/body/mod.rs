//! Request bodies: read at a minimum pace, inflated, and bounded at every step.
//!
//! Bounds: bytes on the wire, bytes after inflation, their ratio, the pace of the sender, and the bytes of all requests
//! together. A body that is not used whole is never read whole: see [`pace::PacedBody`] for streams.

pub(crate) mod budget;
pub(crate) mod inflate;
pub(crate) mod pace;

use std::fmt;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use bytes::Bytes;
use bytes::BytesMut;
use hyper::body::Body as _;

use crate::http::body::budget::Budget;
use crate::http::body::budget::FREE_BYTES;
use crate::http::body::budget::Lease;
use crate::http::body::budget::SMALL_BYTES;
use crate::http::body::inflate::Encoding;
use crate::http::body::inflate::InflateError;
use crate::http::body::inflate::Inflater;
pub use crate::http::body::pace::Pace;
use crate::http::body::pace::PaceError;
use crate::http::body::pace::PacedBody;
use crate::http::error::ApiError;
use crate::http::places::Places;
use crate::telemetry::logging::with_causes;
use crate::writer::Source;

/// Bounds of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body on the wire (`--limit.body-bytes`); a stream of lines has no such bound.
    pub body_bytes: usize,
    /// Bytes of a body after inflation (`--limit.inflated-bytes`).
    pub inflated_bytes: usize,
    /// Most bytes that one byte on the wire may become, once a body is larger than [`RATIO_FREE_BYTES`].
    pub inflation_ratio: usize,
    /// Bytes of a whole stream of lines after inflation; none: as many as come (`--limit.stream-bytes`).
    pub stream_bytes: Option<u64>,
    /// How slow a sender may be.
    pub pace: Pace,
}

/// Inflated bodies up to this size may have any ratio: small JSON that repeats itself compresses very well.
pub const RATIO_FREE_BYTES: usize = 1024 * 1024;

impl Limits {
    /// What a compressed body of so many bytes may become.
    fn inflates_to(&self, wire: usize) -> usize {
        self.inflated_bytes.min(wire.saturating_mul(self.inflation_ratio).max(RATIO_FREE_BYTES))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 * 1024 * 1024,
            inflated_bytes: 32 * 1024 * 1024,
            inflation_ratio: 100,
            stream_bytes: None,
            pace: Pace::default(),
        }
    }
}

/// A whole body, inflated, and its share of the bytes in flight.
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    /// Given back when this is dropped.
    _lease: Lease,
}

impl fmt::Debug for WholeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WholeBody({} bytes)", self.bytes.len())
    }
}

/// What all bodies share, and whose this one is.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) budget: Budget,
    pub(crate) places: Places,
    pub(crate) source: Source,
}

/// Reads a body to its end.
pub(crate) async fn read_whole(headers: &HeaderMap, body: Body, limits: &Limits, shared: &Shared) -> Result<WholeBody, ApiError> {
    let encoding = Encoding::of(headers)?;
    let declared = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let most = if encoding == Encoding::Identity { limits.body_bytes.min(limits.inflated_bytes) } else { limits.body_bytes };
    let budget = &shared.budget;
    let most = Most { bytes: most.min(budget.share()), is_of_memory: most > budget.share() };
    if declared.is_some_and(|length| length > most.bytes) {
        return Err(most.exceeded());
    }
    let body = PacedBody::new(body, limits.pace);
    if encoding == Encoding::Identity {
        let mut lease = budget.take(declared.unwrap_or(0)).await?;
        let bytes = collect(body, declared, most, Some((budget, &mut lease))).await?;
        lease.shrink_to(bytes.len());
        return Ok(WholeBody { bytes, _lease: lease });
    }
    // What it may become counts too, and before any of it is there.
    let allowed = |wire: usize| limits.inflates_to(wire).min(budget.share().saturating_sub(wire));
    let wire = declared.unwrap_or(most.bytes);
    let mut lease = budget.take(wire.saturating_add(allowed(wire))).await?;
    let bytes = collect(body, declared, most, None).await?;
    let (allowed, length) = (allowed(bytes.len()), bytes.len());
    lease.shrink_to(length + allowed);
    let too_far = inflates_too_far(allowed, length, limits);
    let inflate = move || {
        let inflated = inflate_whole(&bytes, encoding, allowed)?.ok_or(too_far)?;
        lease.shrink_to(inflated.len());
        Ok(WholeBody { bytes: inflated, _lease: lease })
    };
    shared.places.take_for(&shared.source, length, inflate).await?
}

/// How long a body may be on the wire.
#[derive(Clone, Copy)]
struct Most {
    bytes: usize,
    /// There is no memory for more; else it is the limit of the flag.
    is_of_memory: bool,
}

impl Most {
    fn exceeded(self) -> ApiError {
        let Self { bytes, is_of_memory } = self;
        ApiError::too_large(if is_of_memory {
            format!("the body is larger than the {bytes} bytes of memory that all bodies may take (a share of --limit.memory)")
        } else {
            format!(
                "the body is longer than {bytes} bytes (--limit.body-bytes); a stream of lines, application/x-ndjson, has no such limit"
            )
        })
    }
}

/// All of a body. Where it is not known how long it will be, memory is taken in two steps, each of which is all that it needs then.
async fn collect(
    mut body: PacedBody,
    declared: Option<usize>,
    most: Most,
    mut taking: Option<(&Budget, &mut Lease)>,
) -> Result<Bytes, ApiError> {
    let Some(first) = body.frame().await? else { return Ok(Bytes::new()) };
    if declared == Some(first.len()) {
        // The whole of it came at once, as it does for a single event: no copy.
        return Ok(first);
    }
    let mut taken = declared.unwrap_or(FREE_BYTES);
    let mut whole = BytesMut::with_capacity(declared.unwrap_or(first.len() * 2));
    let mut next = Some(first);
    while let Some(frame) = next {
        let length = whole.len() + frame.len();
        if length > most.bytes {
            return Err(most.exceeded());
        }
        if length > taken
            && let Some((budget, lease)) = &mut taking
        {
            taken = if budget.is_small(length) { SMALL_BYTES } else { most.bytes };
            // What it had is given back when it has this.
            **lease = budget.take(taken).await?;
        }
        whole.extend_from_slice(&frame);
        next = body.frame().await?;
    }
    Ok(whole.freeze())
}

/// The body inflated; nothing when it becomes more than is allowed.
fn inflate_whole(wire: &[u8], encoding: Encoding, allowed: usize) -> Result<Option<Bytes>, ApiError> {
    let mut inflater = Inflater::new(encoding)?;
    let mut rest = wire;
    let mut whole = Vec::new();
    let mut ended = false;
    while !ended {
        ended = rest.is_empty();
        if ended {
            inflater.finish(&mut whole)?;
        } else {
            inflater.step(&mut rest, &mut whole)?;
        }
        if whole.len() > allowed {
            return Ok(None);
        }
    }
    Ok(Some(whole.into()))
}

fn inflates_too_far(allowed: usize, wire: usize, limits: &Limits) -> ApiError {
    let Limits { inflated_bytes, inflation_ratio, .. } = limits;
    ApiError::too_large(if allowed < limits.inflates_to(wire) {
        format!("the body inflates to more than the {allowed} bytes of memory that are left for it (a share of --limit.memory)")
    } else if allowed == *inflated_bytes {
        format!("the body inflates to more than {inflated_bytes} bytes (--limit.inflated-bytes)")
    } else {
        format!("the body inflates to more than {inflation_ratio} times its size")
    })
}

impl From<InflateError> for ApiError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::Unsupported(_) => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", error.to_string()),
            InflateError::Damaged { .. } => Self::malformed(error.to_string()),
            InflateError::Decoder(_) => {
                tracing::error!(reason = with_causes(&error), "a body was not inflated");
                Self::internal()
            }
        }
    }
}

impl From<PaceError> for ApiError {
    fn from(error: PaceError) -> Self {
        match error {
            PaceError::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "slow_body", error.to_string()),
            PaceError::Broken => Self::malformed(error.to_string()),
        }
    }
}

/// The media type of a body, without its parameters, in lower case; empty when there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
