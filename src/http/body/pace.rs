//! A request body whose sender must keep up a minimum pace: neither hyper nor axum times bodies.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Body as _;
use tokio::time::Instant;
use tokio::time::Sleep;

/// How slow a sender of a body may be. Only time that the server spends waiting for the sender counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Waiting that is free.
    pub grace: Duration,
    /// Bytes that buy a second of waiting beyond that.
    pub bytes_per_second: u32,
    /// Longest single wait.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { grace: Duration::from_secs(10), bytes_per_second: 8 * 1024, silence: Duration::from_secs(30) }
    }
}

/// A body, frame by frame.
#[derive(Debug)]
pub(crate) struct PacedBody {
    body: Body,
    pace: Pace,
    received: u64,
    /// Time spent waiting for the sender, up to the last frame.
    waited: Duration,
    waiting_since: Option<Instant>,
    /// The frame was asked for once already and was not there.
    asked: bool,
    /// Made when the first frame is waited for; most bodies come with their headers.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PaceError {
    #[error("the body comes too slowly")]
    TooSlow,
    #[error("the body broke off or is not well-formed HTTP")]
    Broken,
}

impl PacedBody {
    pub(crate) fn new(body: Body, pace: Pace) -> Self {
        Self { body, pace, received: 0, waited: Duration::ZERO, waiting_since: None, asked: false, alarm: None }
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Result<Option<Bytes>, PaceError> {
        std::future::poll_fn(|context| self.poll_frame(context)).await
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, PaceError>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else { return self.poll_wait(context) };
            self.asked = false;
            if let Some(since) = self.waiting_since.take() {
                self.waited += since.elapsed();
            }
            match frame {
                None => return Poll::Ready(Ok(None)),
                Some(Err(_)) => return Poll::Ready(Err(PaceError::Broken)),
                Some(Ok(frame)) => {
                    // Trailers, if any, say nothing that we use.
                    if let Ok(bytes) = frame.into_data() {
                        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
            }
        }
    }

    /// Most frames lie in the connection's buffer and are there when asked for again: no alarm for those.
    fn poll_wait<T>(&mut self, context: &mut Context<'_>) -> Poll<Result<T, PaceError>> {
        if self.asked {
            return self.poll_alarm(context);
        }
        self.asked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_alarm<T>(&mut self, context: &mut Context<'_>) -> Poll<Result<T, PaceError>> {
        let begins = self.waiting_since.is_none();
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs(self.received / u64::from(self.pace.bytes_per_second.max(1)));
        let left = self.pace.grace.saturating_add(earned).saturating_sub(self.waited).min(self.pace.silence);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(since + left)));
        if begins {
            alarm.as_mut().reset(since + left);
        }
        alarm.as_mut().poll(context).map(|()| Err(PaceError::TooSlow))
    }
}
