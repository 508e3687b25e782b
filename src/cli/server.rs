//! The flags of every command that talks to a server, and the client they make.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::cli::Failure;
use crate::cli::given;
use crate::cli::given::Unusable;
use crate::cli::given::given;
use crate::client::Client;
use crate::client::ClientError;
use crate::client::Options;
use crate::client::Token;
use crate::client::retry;
use crate::time::SystemClock;
use crate::time::duration;
use crate::time::duration::DurationError;

/// The token itself; there is no flag for it, because everybody on the machine can read flags.
const TOKEN_VARIABLE: &str = "CHANGE_EVENTS_TOKEN";

const URL: &str = "http://127.0.0.1:10555";
const ORGANIZATION: &str = "default";
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_FOR: Duration = Duration::from_secs(30);

/// Where the server is, who asks, and how patiently, as it was given: one command fails where it cannot be used, another does not.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Address of the server, with its path prefix if it has one [default: `http://127.0.0.1:10555`]
    #[arg(long, value_name = "URL", env = "CHANGE_EVENTS_URL")]
    url: Option<OsString>,

    /// Slug of the organization [default: `default`]
    #[arg(long, value_name = "SLUG", env = "CHANGE_EVENTS_ORG")]
    org: Option<OsString>,

    /// File that holds the token; without it the token is taken from the variable `CHANGE_EVENTS_TOKEN`, if that is set
    #[arg(long, value_name = "FILE", env = "CHANGE_EVENTS_TOKEN_FILE")]
    token_file: Option<OsString>,

    /// File of the certificates (PEM) to trust instead of the public ones
    #[arg(long, value_name = "FILE", env = "CHANGE_EVENTS_CA_FILE")]
    ca_file: Option<OsString>,

    /// Longest time for one try [default: `10s`]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<OsString>,

    /// How long to try again while the server does not answer, answers 408, 421, 425, 429 or 5xx; 0 for a single try [default: `30s`]
    #[arg(long, value_name = "DURATION")]
    retry_for: Option<OsString>,
}

/// A server to talk to, and how patiently.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) patience: Patience,
}

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For one try.
    pub(crate) timeout: Duration,
    /// For further tries; 0 for none.
    pub(crate) retry_for: Duration,
}

/// Why these flags, and what they name, make no client.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read the token in {}", path.display())]
    ReadToken { path: PathBuf, source: io::Error },
    #[error("{}", path.display())]
    TokenFile { path: PathBuf, source: ClientError },
    #[error("{TOKEN_VARIABLE}")]
    TokenVariable(#[source] ClientError),
    #[error("{TOKEN_VARIABLE}")]
    Variable(#[source] env::VarError),
    #[error("{name}")]
    Duration { name: &'static str, source: DurationError },
}

impl ServerArgs {
    /// The server that these flags describe. Of what is told instead of failing, a default takes the place; without a token the
    /// server says no.
    pub(crate) fn server(&self, unusable: Unusable) -> Result<Server, Failure> {
        let patience = Patience {
            timeout: unusable.settle(self.timeout())?.unwrap_or(TIMEOUT),
            retry_for: unusable.settle(duration("--retry-for", self.retry_for.as_ref()))?.flatten().unwrap_or(RETRY_FOR),
        };
        let token = unusable.settle(self.token())?.flatten();
        let options = Options {
            url: given::text("--url", self.url.as_ref())?.unwrap_or(URL).to_owned(),
            organization: given::text("--org", self.org.as_ref())?.unwrap_or(ORGANIZATION).to_owned(),
            token,
            timeout: patience.timeout,
            authorities: given(self.ca_file.as_ref()).map(|path| read(Path::new(path))).transpose()?,
        };
        let client = Client::new(options, Arc::new(SystemClock)).map_err(|error| match error {
            ClientError::Url { .. } => Failure::usage(error),
            other => Failure::running(other),
        });
        Ok(Server { client: client?, patience })
    }

    fn timeout(&self) -> Result<Duration, Failure> {
        match duration("--timeout", self.timeout.as_ref())? {
            Some(Duration::ZERO) => Err(Failure::usage("--timeout must be longer than 0")),
            timeout => Ok(timeout.unwrap_or(TIMEOUT)),
        }
    }

    /// The token of the file, else of the environment, else none.
    fn token(&self) -> Result<Option<Token>, Failure> {
        if let Some(path) = given(self.token_file.as_ref()).map(PathBuf::from) {
            let text =
                fs::read_to_string(&path).map_err(|source| Failure::running(ServerError::ReadToken { path: path.clone(), source }))?;
            let wrong = |source| Failure::running(ServerError::TokenFile { path, source });
            return Token::parse(&text).map(Some).map_err(wrong);
        }
        match env::var(TOKEN_VARIABLE) {
            Ok(text) if !text.trim().is_empty() => {
                Token::parse(&text).map(Some).map_err(|error| Failure::running(ServerError::TokenVariable(error)))
            }
            Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
            Err(error) => Err(Failure::running(ServerError::Variable(error))),
        }
    }
}

fn duration(name: &'static str, raw: Option<&OsString>) -> Result<Option<Duration>, Failure> {
    let parse = |text| duration::parse(text).map_err(|source| Failure::usage(ServerError::Duration { name, source }));
    given::text(name, raw)?.map(parse).transpose()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source| Failure::running(ServerError::Read { path: path.to_owned(), source }))
}

impl Patience {
    /// Tries until it works or the time is over.
    pub(crate) fn until_done<T>(self, attempt: impl FnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
        let begun = Instant::now();
        retry::until_done(attempt, |_, pause| {
            let enough = begun.elapsed() + pause <= self.retry_for;
            if enough {
                thread::sleep(pause);
            }
            enough
        })
    }
}
