//! What every request has to be, whatever it is for, before a route is looked for.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::shown::cut;
use crate::telemetry::RouteMetrics;

/// Most headers of a request. hyper's own bound of 100 lies on its stack; a lower one there would cost every request an allocation.
const HEADERS_MAX: usize = 64;
/// Bytes of a request line and its headers together. hyper refuses what it finds no end of by then, and sees some that are longer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Refuses what no route should see.
pub(crate) struct Front {
    app: Arc<App>,
    metrics: Arc<RouteMetrics>,
}

impl Front {
    /// Counts what it refuses as `metrics`.
    pub(crate) fn new(app: Arc<App>, metrics: Arc<RouteMetrics>) -> Self {
        Self { app, metrics }
    }

    /// The answer to a request that no route may see, in the shape that `errors` says, given the prefix of all paths.
    pub(crate) fn refuse(&self, request: &Request, errors: impl FnOnce(&str) -> fn(&ApiError) -> Response) -> Option<Response> {
        let headers = request.headers();
        let (error, closes) = if let Err(error) = check_form(headers) {
            // Whoever stands between may see another request in it.
            (error, true)
        } else if let Err(error) = check_size(request).and_then(|()| self.check_host(request)) {
            (error, false)
        } else {
            return None;
        };
        self.app.telemetry.refuse(error.reason, 1);
        self.metrics.observe(error.status.as_u16(), Duration::ZERO);
        let mut response = errors(&self.app.web.route_prefix)(&error);
        if closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Some(response)
    }

    /// Where only this machine reaches a server that asks for no token, it is asked for by a name of its own. The target of a
    /// request may name it, too.
    fn check_host(&self, request: &Request) -> Result<(), ApiError> {
        let Some(hosts) = &self.app.web.hosts else { return Ok(()) };
        let said = request.headers().get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let target = request.uri().authority().map(|authority| Cow::Borrowed(authority.as_str()));
        let Some(foreign) = said.into_iter().chain(target).find(|authority| !hosts.know(authority)) else { return Ok(()) };
        if !self.app.settings().access.is_anonymous() {
            return Ok(());
        }
        let message = format!(
            "Host `{}` is no name of this server, which listens on loopback only and asks for no token, so that a page of another site could \
             be behind it: ask for localhost, an address or the name of this machine, or say --web.allowed-hosts or --web.external-url",
            cut(&foreign)
        );
        Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "host", message).at("Host"))
    }
}

/// Refuses what one reader takes for another request than the next one does.
fn check_form(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Err(ApiError::malformed("Host: given more than once").at("Host"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) { check_coding(headers) } else { Ok(()) }
}

/// hyper has seen that the last coding is `chunked`; it looks at no other.
fn check_coding(headers: &HeaderMap) -> Result<(), ApiError> {
    let lines: Vec<_> = headers.get_all(header::TRANSFER_ENCODING).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let said = lines.join(", ");
    let codings: Vec<&str> = said.split(',').map(str::trim).collect();
    let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
    let message = |rule| format!("Transfer-Encoding `{}`: {rule}", cut(&said));
    match codings.iter().find(|coding| !coding.is_empty() && !is_chunked(coding)) {
        Some(_) => {
            let message = message("only `chunked` is known; a compressed body says so in Content-Encoding");
            Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, "transfer_coding", message).at("Transfer-Encoding"))
        }
        None if codings.len() == 1 => Ok(()),
        None => {
            let message = message("must be `chunked`, once");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "transfer_coding", message).at("Transfer-Encoding"))
        }
    }
}

fn check_size(request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let too_large = |message| Err(ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers", message));
    if headers.len() > HEADERS_MAX {
        return too_large(format!("{} headers: at most {HEADERS_MAX}", headers.len()));
    }
    // Between and behind them there are blanks, colons, ends of lines and the version.
    let line = request.method().as_str().len() + target_bytes(request) + " ".len() + " HTTP/1.1\r\n".len();
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let bytes = lines.sum::<usize>() + line + "\r\n".len();
    if bytes > HEAD_BYTES_MAX {
        return too_large(format!("{bytes} bytes of headers: at most {HEAD_BYTES_MAX}"));
    }
    Ok(())
}

fn target_bytes(request: &Request) -> usize {
    let uri = request.uri();
    let origin = uri.path_and_query().map_or(0, |path| path.as_str().len());
    origin
        + uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len())
        + uri.authority().map_or(0, |authority| authority.as_str().len())
}
