//! A small blocking client of the Last9 change events API, for the client commands (`send`, `exec`, `open`, `close`).
//!
//! One call is one try: what may be tried again is said by [`ClientError::is_transient`], and [`retry`] has the pace.
//! Not for delivery to other servers (remote write), and not for the server itself.

mod error;
mod lookup;
pub mod retry;
mod shown;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http;
use ureq::unversioned::transport::DefaultConnector;

use crate::client::lookup::Lookup;
use crate::client::shown::shown;
use crate::time::Clock;

pub use error::ClientError;
pub use error::UrlError;
pub use wire::Accepted;
pub use wire::AnswerError;
pub use wire::ListPage;
pub use wire::ListedEdge;
pub use wire::ListedEvent;
pub use wire::NewEdge;
pub use wire::State;

/// Longest answer to one `PUT` that is read, in bytes.
const ACCEPTED_BYTES_MAX: u64 = 1 << 20;
/// Longest page of a list that is read, in bytes.
const PAGE_BYTES_MAX: u64 = 256 << 20;

/// Where the server is and how to talk to it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://host:port`, with the path prefix of the server if it has one.
    pub url: String,
    /// Slug of the organization.
    pub organization: String,
    pub token: Option<Token>,
    /// For one try, from the look-up of the name to the last byte of the answer.
    pub timeout: Duration,
    /// Certificates (PEM) that are trusted instead of the public ones.
    pub authorities: Option<Vec<u8>>,
}

/// A secret; its text is shown to the server and to nobody else.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes the text of a token as it is in a file or a variable: blanks around it do not count.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let text = text.trim();
        let text = text.strip_prefix("Bearer ").map_or(text, str::trim_start);
        if text.is_empty() {
            return Err(ClientError::Token("it is empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientError::Token("it holds blanks or bytes that are not printable ASCII"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// One `PUT` that may be tried many times: neither the body nor the key changes in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Sent as `Idempotency-Key`.
    pub key: String,
    /// The JSON of one edge.
    pub body: String,
}

impl Delivery {
    /// An edge under a key.
    pub fn new(edge: &NewEdge, key: String) -> Self {
        Self { key, body: edge.to_json() }
    }
}

/// The server, as seen by one organization's sender.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    url: String,
    token: Option<Token>,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// Checks the options; nothing is sent yet.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let config = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("change-events/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(options.authorities.as_deref())?)
            .build();
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), Lookup::default()),
            url: events_url(&options.url, &options.organization)?,
            token: options.token,
            clock,
        })
    }

    /// Where edges are put and events are listed: what the spool keeps to know whose an entry is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends one edge, one try.
    pub fn put(&self, delivery: &Delivery) -> Result<Accepted, ClientError> {
        let mut request = self.agent.put(&self.url).header("Content-Type", "application/json").header("Idempotency-Key", &delivery.key);
        if let Some(token) = self.authorization() {
            request = request.header("X-LAST9-API-TOKEN", token);
        }
        let text = self.answer(request.send(&delivery.body), ACCEPTED_BYTES_MAX)?;
        Accepted::parse(&text).map_err(|source| self.unexpected(source))
    }

    /// One page of the events that are open, newest first. `selectors` are Prometheus selectors; none means all.
    pub fn open_events(&self, selectors: &[String], limit: usize, cursor: Option<&str>) -> Result<ListPage, ClientError> {
        let mut request = self.agent.get(&self.url).query("state", "open").query("limit", limit.to_string());
        for selector in selectors {
            request = request.query("match[]", selector);
        }
        if let Some(cursor) = cursor {
            request = request.query("cursor", cursor);
        }
        if let Some(token) = self.authorization() {
            request = request.header("X-LAST9-API-TOKEN", token);
        }
        let text = self.answer(request.call(), PAGE_BYTES_MAX)?;
        ListPage::parse(&text).map_err(|source| self.unexpected(source))
    }

    fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {}", token.0))
    }

    /// The text of a 2xx, or what went wrong.
    fn answer(&self, sent: Result<http::Response<ureq::Body>, ureq::Error>, bytes_max: u64) -> Result<String, ClientError> {
        let unreachable = |error| ClientError::Unreachable { url: self.url.clone(), source: Box::new(error) };
        let mut response = sent.map_err(unreachable)?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(bytes_max).lossy_utf8(true).read_to_string();
        if status.is_success() {
            return body.map_err(unreachable);
        }
        let url = self.url.clone();
        let message = body.map_or_else(|error| error.to_string(), |text| wire::error_message(&text));
        let status = status.as_u16();
        if retry::may_pass(status) {
            let retry_after = header(&response, "retry-after").and_then(|text| retry::after(text, self.clock.now()));
            return Err(ClientError::Busy { url, status, message, retry_after });
        }
        let message = match header(&response, "location") {
            Some(target) if (300..400).contains(&status) => format!("it is at {}", shown(target)),
            _ => message,
        };
        Err(ClientError::Refused { url, status, message })
    }

    fn unexpected(&self, source: AnswerError) -> ClientError {
        ClientError::Unexpected { url: self.url.clone(), source }
    }
}

fn header<'a>(response: &'a http::Response<ureq::Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn tls(authorities: Option<&[u8]>) -> Result<ureq::tls::TlsConfig, ClientError> {
    let builder = ureq::tls::TlsConfig::builder();
    let Some(pem) = authorities else { return Ok(builder.build()) };
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(|error| ClientError::Authorities(Box::new(error)))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(ClientError::NoAuthorities);
    }
    Ok(builder.root_certs(ureq::tls::RootCerts::new_with_certs(&certificates)).build())
}

/// `{url}/api/v4/organizations/{organization}/change_events`.
fn events_url(url: &str, organization: &str) -> Result<String, ClientError> {
    let refuse = |source| ClientError::Url { url: shown(url).into_owned(), source };
    if organization.is_empty() {
        return Err(refuse(UrlError::NoOrganization));
    }
    let base = url.trim_end_matches('/');
    let whole = format!("{base}/api/v4/organizations/{}/change_events", escaped(organization));
    let parsed: http::Uri = whole.parse().map_err(|error| refuse(UrlError::Form(error)))?;
    match parsed.scheme_str() {
        Some("http" | "https") if parsed.query().is_none() && !url.contains('#') => Ok(whole),
        Some("http" | "https") => Err(refuse(UrlError::Query)),
        _ => Err(refuse(UrlError::Scheme)),
    }
}

/// Text as one segment of a path.
fn escaped(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

#[cfg(test)]
mod tests;
