//! `/event/{id}/`: a page that draws the tree which an event belongs to. No script runs on it; what users wrote is escaped,
//! and only web and mail addresses become links.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use sha2::Sha256;

use crate::doors::ets::answer;
use crate::doors::ets::tree;
use crate::doors::ets::tree::Node;
use crate::doors::ets::tree::Trace;
use crate::doors::ets::tree::Tree;
use crate::doors::ets::view;
use crate::doors::ets::wire::Event;
use crate::doors::ets::wire::isoformat;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::html::escape;
use crate::http::route::Call;
use crate::store::Effort;
use crate::store::EventView;
use crate::store::Tenant;
use crate::words::outcome;
use crate::words::outcome::Outcome;

const STYLE: &str = include_str!("page.css");
/// Most characters of a text, and most values, that the page shows of one event; its JSON has all.
const CHARACTERS_SHOWN: usize = 2000;
const VALUES_SHOWN: usize = 200;

static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    HeaderValue::from_str(&policy).ok()
});

/// Draws the tree from the first cause of the event.
pub(crate) async fn page(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    app.writer()?;
    let (tenant, id) = (app.store.tenant(&call.grant()?.organization), call.parameter(0).to_owned());
    let asked = id.clone();
    let (family, room) = app.query(call.asker(), move |effort| tenant.and_then(|tenant| family(&tenant, &asked, effort))).await?;
    let Some(Relatives { event, tree, note }) = family else {
        return Ok(respond(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            Body::from(format!("Event ID {id} is not available in DB")),
        ));
    };
    let mut notes = tree.warnings();
    notes.extend(note);
    let drawing = Drawing { prefix: app.web.link_prefix().to_owned(), asked: event.id.clone() };
    let begin = begin(&event, &notes);
    let drawn = tree.walk(move |node, _| drawing.open(node), close);
    let end = std::iter::once("</ul>\n</html>\n".to_owned());
    let pieces = std::iter::once(begin).chain(drawn).chain(end).chain(answer::held(room));
    Ok(respond(StatusCode::OK, "text/html; charset=utf-8", answer::streamed(pieces)))
}

struct Relatives {
    /// The one that was asked for.
    event: EventView,
    tree: Tree,
    /// What is not shown above it or beside it.
    note: Option<String>,
}

fn family(tenant: &Tenant, id: &str, effort: &Effort) -> Option<Relatives> {
    let Trace { events: mut causes, is_cut } = tree::trace(tenant, id, effort);
    let (event, count) = (causes.first()?.clone(), causes.len());
    let tree = Tree::below(tenant, causes.pop()?, effort);
    if !tree.has(&event.id) {
        let note = format!("its family has more than {} events: only what it caused itself is shown", tree::NODES_MAX);
        return Some(Relatives { tree: Tree::below(tenant, event.clone(), effort), event, note: Some(note) });
    }
    let note = is_cut.then(|| format!("it has more than {} causes: only the nearest are shown", count - 1));
    Some(Relatives { event, tree, note })
}

fn respond(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    if let Some(policy) = &*POLICY {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    response
}

fn begin(event: &EventView, notes: &[String]) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title>\n<style>{STYLE}</style>\n<h1>{}</h1>\n",
        escape(&event.id),
        escape(&title(&view::event(event))),
    );
    for note in notes {
        push(&mut text, format_args!("<p class=\"note\">{}</p>\n", escape(note)));
    }
    text.push_str("<ul class=\"tree\">\n");
    text
}

struct Drawing {
    prefix: String,
    /// The id of the event that was asked for.
    asked: Box<str>,
}

impl Drawing {
    fn open(&self, node: &Node) -> String {
        let event = view::event(&node.event);
        let mut classes = String::new();
        let failed = values(&event, "status").last().is_some_and(|status| outcome::outcome(outcome::STATUS, status) == Outcome::Failure);
        for (is_so, class) in [(failed, " fail"), (event.end.is_none(), " open"), (event.id == self.asked, " asked")] {
            if is_so {
                classes.push_str(class);
            }
        }
        let shown = if event.id == self.asked { " open" } else { "" };
        let mut text = format!("<li><details class=\"event{classes}\"{shown}><summary>{}</summary><dl>", escape(&title(&event)));
        let prefix = escape(&self.prefix);
        for (key, id) in [("id", &event.id), ("source_id", &event.source_id), ("parent_id", &event.parent_id)] {
            if !id.is_empty() {
                push(&mut text, format_args!("<dt>{key}<dd><a href=\"{prefix}/event/{}/\">{}</a>", percent_encoded(id), escape(id)));
            }
        }
        push(&mut text, format_args!("<dt>start_time<dd>{}", isoformat(event.start)));
        push(&mut text, format_args!("<dt>end_time<dd>{}", event.end.map_or_else(|| "open".to_owned(), isoformat)));
        if !event.description.is_empty() {
            push(&mut text, format_args!("<dt>description<dd class=\"text\">{}", escape(&cut(&event.description))));
        }
        push_values(&mut text, &event);
        push(&mut text, format_args!("<dt>as JSON<dd><a href=\"{prefix}/api/v1/event/{}\">event</a>", percent_encoded(&event.id)));
        text.push_str("</dl></details>");
        if node.is_cut {
            push(
                &mut text,
                format_args!("<p class=\"note\"><a href=\"{prefix}/event/{}/\">more, not shown here</a></p>", percent_encoded(&event.id)),
            );
        }
        text.push_str("<ul>\n");
        text
    }
}

fn close(_: &Node) -> String {
    "</ul></li>\n".to_owned()
}

/// Links and tags, each value once.
fn push_values(text: &mut String, event: &Event) {
    for (title, url) in event.detail_urls.iter().take(VALUES_SHOWN) {
        push(text, format_args!("<dt>{}<dd>{}", escape(&cut(title)), linked(url)));
    }
    let mut left = VALUES_SHOWN;
    for (key, values) in &event.tags {
        if left == 0 {
            break;
        }
        push(text, format_args!("<dt>{}", escape(&cut(key))));
        for value in values.iter().take(left) {
            push(text, format_args!("<dd>{}", linked(value)));
        }
        left -= values.len().min(left);
    }
    let count: usize = event.tags.iter().map(|(_, values)| values.len()).sum();
    if count > VALUES_SHOWN || event.detail_urls.len() > VALUES_SHOWN {
        text.push_str("<dt>...<dd>more, see the JSON");
    }
}

fn values<'a>(event: &'a Event, key: &str) -> &'a [Box<str>] {
    event.tags.iter().find(|(known, _)| **known == *key).map_or(&[], |(_, values)| values)
}

/// What stands on a node: its first source, and its first type when that says more; else what there is.
fn title(event: &Event) -> String {
    let first = |key| values(event, key).first().map(|value| &**value).filter(|value| !value.is_empty());
    match (first("source"), first("type")) {
        (Some(source), Some(kind)) if source != kind => format!("{source} {kind}"),
        (Some(one), _) | (None, Some(one)) => one.to_owned(),
        (None, None) => event.id.to_string(),
    }
}

/// A value, as a link when it is a web or mail address and nothing else.
fn linked(value: &str) -> String {
    let shown = escape(&cut(value));
    match address(value) {
        Some(address) => format!("<a href=\"{}\" rel=\"noopener noreferrer\">{shown}</a>", escape(&address)),
        None => shown,
    }
}

fn address(value: &str) -> Option<String> {
    if value.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return None;
    }
    let lower = value.get(..8).or_else(|| value.get(..7)).unwrap_or(value).to_ascii_lowercase();
    if ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme) && value.len() > scheme.len()) {
        return Some(value.to_owned());
    }
    let (name, domain) = value.split_once('@')?;
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte));
    (is_plain(name) && is_plain(domain)).then(|| format!("mailto:{value}"))
}

/// An id within a path.
fn percent_encoded(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && id.bytes().any(|byte| byte != b'.')) {
            text.push(char::from(byte));
        } else {
            push(&mut text, format_args!("%{byte:02X}"));
        }
    }
    text
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS_SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    text.write_fmt(arguments).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_and_mail_addresses_are_links() {
        for (value, expected) in [
            ("http://graphite", Some("http://graphite")),
            ("HTTPS://x/?a=b&c", Some("HTTPS://x/?a=b&c")),
            ("mailto:a@b.example", Some("mailto:a@b.example")),
            ("user@example.com", Some("mailto:user@example.com")),
            ("javascript:alert(1)", None),
            ("JaVaScRiPt:alert(1)//http://x", None),
            ("java\tscript:alert(1)", None),
            ("data:text/html,<script>", None),
            ("vbscript:x@y", None),
            ("//evil.example", None),
            ("ftp://x", None),
            ("http://", None),
            ("see http://x", None),
            ("\u{1}http://x", None),
            ("a@b@c", None),
            ("@", None),
            ("", None),
            ("\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}", None),
        ] {
            assert_eq!(address(value).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn ids_stay_one_part_of_a_path() {
        for (id, expected) in
            [("a-1_x.y~", "a-1_x.y~"), ("a/b?c#d%", "a%2Fb%3Fc%23d%25"), ("..", "%2E%2E"), ("\"'<\u{e9}", "%22%27%3C%C3%A9")]
        {
            assert_eq!(percent_encoded(id), expected);
        }
    }
}
