//! How answers look: exactly eight keys to an event, as JSON or as YAML in flow style, in pieces that are made as they are sent.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Response;
use futures_util::stream;
use serde::Serialize;
use serde::Serializer;

use crate::account::Lease;
use crate::doors::ets::tree::Sibling;
use crate::doors::ets::tree::Tree;
use crate::doors::ets::view;
use crate::doors::ets::wire;
use crate::doors::ets::wire::isoformat;
use crate::http::negotiate;

/// Answers are sent in pieces of about this size.
const PIECE_BYTES: usize = 32 * 1024;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Json,
    /// JSON text is YAML in flow style; what older YAML readers refuse in it is escaped.
    Yaml,
}

impl Notation {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if negotiate::prefers_yaml(headers) { Self::Yaml } else { Self::Json }
    }

    pub(super) fn respond(self, json: &str) -> Response {
        self.response(Body::from(self.text(json.to_owned())))
    }

    /// The answer that these pieces of JSON make.
    pub(super) fn stream(self, pieces: impl Iterator<Item = String> + Send + 'static) -> Response {
        self.response(streamed(pieces.map(move |piece| self.text(piece))))
    }

    pub(super) fn response(self, body: Body) -> Response {
        let media_type = match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        response
    }

    /// JSON text in this form.
    pub(super) fn text(self, json: String) -> String {
        // YAML 1.1 takes some of these for ends of lines and refuses the others; in JSON they stand in strings only.
        let special =
            |character: char| matches!(character, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        if self == Self::Json || !json.contains(special) {
            return json;
        }
        let mut text = String::with_capacity(json.len() + 64);
        for character in json.chars() {
            if special(character) {
                // Writing to a string does not fail.
                write!(text, "\\u{:04x}", u32::from(character)).ok();
            } else {
                text.push(character);
            }
        }
        text
    }
}

/// No pieces, behind others: the memory that those are made of is held until they are sent.
pub(super) fn held(room: Lease) -> impl Iterator<Item = String> + Send + 'static {
    std::iter::from_fn(move || {
        let _held = &room;
        None
    })
}

/// A body of these pieces; none is made before those in front of it are sent.
pub(super) fn streamed(pieces: impl Iterator<Item = String> + Send + 'static) -> Body {
    let mut pieces = grouped(pieces).peekable();
    let first = pieces.next().unwrap_or_default();
    if pieces.peek().is_none() {
        return Body::from(first);
    }
    Body::from_stream(stream::iter(std::iter::once(first).chain(pieces).map(Ok::<_, Infallible>)))
}

/// The same text in pieces that are worth sending.
pub(super) fn grouped(mut pieces: impl Iterator<Item = String> + Send + 'static) -> impl Iterator<Item = String> + Send + 'static {
    std::iter::from_fn(move || {
        let mut text = pieces.next()?;
        while text.len() < PIECE_BYTES {
            match pieces.next() {
                Some(piece) => text.push_str(&piece),
                None => break,
            }
        }
        Some(text)
    })
}

/// An event as JSON.
pub(super) fn event(event: &wire::Event) -> String {
    let wire = Wire {
        id: &event.id,
        source_id: &event.source_id,
        parent_id: &event.parent_id,
        start_time: isoformat(event.start),
        end_time: event.end.map(isoformat),
        description: &event.description,
        detail_urls: Members(&event.detail_urls),
        tags: Members(&event.tags),
    };
    serde_json::to_string(&wire).unwrap_or_default()
}

#[derive(Serialize)]
struct Wire<'a> {
    id: &'a str,
    source_id: &'a str,
    parent_id: &'a str,
    start_time: String,
    end_time: Option<String>,
    description: &'a str,
    detail_urls: Members<'a, Box<str>>,
    tags: Members<'a, Vec<Box<str>>>,
}

struct Members<'a, T>(&'a [(Box<str>, T)]);

impl<T: Serialize> Serialize for Members<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A tree as `{"event": {...}, "children": [...]}`, in pieces; nothing recurses.
pub(super) fn impact(tree: Tree) -> impl Iterator<Item = String> + Send + 'static {
    tree.walk(
        |node, sibling| {
            let comma = match sibling {
                Sibling::First => "",
                Sibling::Later => ",",
            };
            format!(r#"{comma}{{"event":{},"children":["#, event(&view::event(&node.event)))
        },
        |_| "]}".to_owned(),
    )
}
