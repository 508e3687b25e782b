//! What is left of a body when its request is answered: a little is read away, so that the connection goes on behind it; else the
//! answer announces that it closes. Nothing of it is kept.

use std::pin::Pin;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::Version;
use axum::http::header;
use hyper::body::Body as _;
use hyper::body::Incoming;

use crate::http::server::connection::Connection;
use crate::http::server::unread::Rest;

/// So much of a body that nobody wants is read away.
pub(super) const UNREAD_BYTES_MAX: u64 = 256 * 1024;
/// How long it is waited for at most, before the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a request says about what comes after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// Another request may follow.
    goes_on: bool,
    /// The body comes when it is asked for.
    waits: bool,
}

impl Course {
    /// None where there is no body.
    pub(super) fn of(request: &hyper::Request<Incoming>) -> Option<Self> {
        let headers = request.headers();
        (!request.body().is_end_stream()).then(|| Self {
            goes_on: request.version() == Version::HTTP_11 && !closes(headers),
            waits: headers.contains_key(header::EXPECT),
        })
    }
}

/// Whether a connection closes after what has these headers.
fn closes(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// What was done with the rest of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was none.
    Whole,
    /// It was read away.
    Read,
    /// The connection has to be closed.
    Closed,
}

impl Outcome {
    /// The value of the label `outcome` of the metric that counts them, which has its rows from [`crate::telemetry`].
    pub(super) fn label(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Read => Some("read"),
            Self::Closed => Some("closed"),
        }
    }
}

/// Reads away what is left of the body that an answer with this head is for.
pub(super) async fn settle(connection: &Connection, course: Option<Course>, status: StatusCode, headers: &HeaderMap) -> Outcome {
    let Some(course) = course else { return Outcome::Whole };
    let left = match connection.unread.rest() {
        Rest::Nothing => return Outcome::Whole,
        Rest::Unknown => return Outcome::Closed,
        Rest::Some(left) => left,
    };
    let comes = left.was_asked || !course.waits;
    // Who was too slow already is not waited for again.
    let is_worth_it = course.goes_on && connection.goes_on() && comes && status != StatusCode::REQUEST_TIMEOUT && !closes(headers);
    if is_worth_it && read_away(left.body, connection).await { Outcome::Read } else { Outcome::Closed }
}

/// Whether the end of the body was found.
async fn read_away(mut body: Incoming, connection: &Connection) -> bool {
    if body.size_hint().lower() > UNREAD_BYTES_MAX {
        return false;
    }
    let reading = async {
        let mut read = 0_u64;
        loop {
            let next = std::future::poll_fn(|context| {
                let frame = Pin::new(&mut body).poll_frame(context);
                connection.comes(&frame);
                frame
            });
            let Some(frame) = next.await else { return true };
            let Ok(frame) = frame else { return false };
            read += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            if read > UNREAD_BYTES_MAX {
                return false;
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, reading).await.unwrap_or(false);
    connection.receives(0);
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_closes_says_so_in_any_case_and_beside_other_options() {
        for (lines, expected) in [
            (&[][..], false),
            (&["keep-alive"], false),
            (&["close"], true),
            (&["Keep-Alive, CLOSE"], true),
            (&["keep-alive", "upgrade , Close"], true),
            (&["closed"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::CONNECTION, line.parse().unwrap());
            }
            assert_eq!(closes(&headers), expected, "{lines:?}");
        }
    }
}
