//! Bodies that say how far they are: those of requests while they are waited for, those of answers when all of them was made.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;

use crate::http::server::connection::Connection;
use crate::http::server::unread::Left;

/// The body of a request.
#[derive(Debug)]
pub(super) struct Request {
    /// Nothing once it was given back.
    body: Option<Incoming>,
    connection: Arc<Connection>,
    was_asked: bool,
}

impl Request {
    /// A body that is there already is what it was.
    pub(super) fn watch(body: Incoming, connection: &Arc<Connection>) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        connection.unread.begins();
        Body::new(Self { body: Some(body), connection: Arc::clone(connection), was_asked: false })
    }
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        this.was_asked = true;
        let frame = Pin::new(&mut *body).poll_frame(context);
        this.connection.comes(&frame);
        match &frame {
            Poll::Ready(None) => this.connection.unread.ends(),
            Poll::Ready(Some(Err(_))) => this.connection.unread.breaks(),
            Poll::Ready(Some(Ok(_))) if body.is_end_stream() => this.connection.unread.ends(),
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.connection.receives(0);
        if let Some(body) = self.body.take() {
            self.connection.unread.leave(Left { body, was_asked: self.was_asked });
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    connection: Arc<Connection>,
}

impl Answer {
    pub(super) fn watch(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.answered();
    }
}
