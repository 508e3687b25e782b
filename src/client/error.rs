//! Why a try did not work, and whether another one may.

use std::time::Duration;

use ureq::http;

use super::wire::AnswerError;

/// Why a try did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the url \"{url}\" is not usable")]
    Url { url: String, source: UrlError },
    #[error("the token is not usable: {0}")]
    Token(&'static str),
    #[error("the certificates are not usable: the file holds no certificate")]
    NoAuthorities,
    #[error("the certificates are not usable")]
    Authorities(#[source] Box<ureq::Error>),
    /// No answer came.
    #[error("no answer from {url}")]
    Unreachable { url: String, source: Box<ureq::Error> },
    /// The server is there and cannot do it now.
    #[error("{url} answered {status}: {message}")]
    Busy { url: String, status: u16, message: String, retry_after: Option<Duration> },
    /// The server will give the same answer again.
    #[error("{url} refused it with {status}: {message}")]
    Refused { url: String, status: u16, message: String },
    /// It said yes in words that this API does not have.
    #[error("{url} did not answer as a change events server does")]
    Unexpected { url: String, source: AnswerError },
}

/// Why an address is none of a server.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    #[error("the organization is empty")]
    NoOrganization,
    #[error(transparent)]
    Form(http::uri::InvalidUri),
    #[error("it has a query or a fragment")]
    Query,
    #[error("it does not begin with http:// or https://")]
    Scheme,
}

impl ClientError {
    /// Whether the same request may work later: no answer, or one that [`retry::may_pass`](super::retry::may_pass).
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Unreachable { source, .. } => !matches!(
                **source,
                ureq::Error::BadUri(_)
                    | ureq::Error::Http(_)
                    | ureq::Error::InvalidProxyUrl
                    | ureq::Error::Tls(_)
                    | ureq::Error::Pem(_)
                    | ureq::Error::Rustls(_)
            ),
            _ => false,
        }
    }

    /// Whether this is over a limit now, and others may be taken: the end of something that fills it, for example.
    pub fn is_over_limit(&self) -> bool {
        matches!(self, Self::Busy { status: 429, .. })
    }

    /// Whether the server minds who asks, not what is asked: with another token or organization it may say yes.
    pub fn minds_the_sender(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403 | 404, .. })
    }

    /// What the server said about when to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
