//! The flags of every command that talks to a server, and the client they make.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::cli::Failure;
use crate::client::Client;
use crate::client::ClientError;
use crate::client::Options;
use crate::client::Token;
use crate::client::retry;
use crate::time::SystemClock;
use crate::time::duration;

/// The token itself; there is no flag for it, because everybody on the machine can read flags.
const TOKEN_VARIABLE: &str = "CHANGE_EVENTS_TOKEN";

/// Where the server is, who asks, and how patiently.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Address of the server, with its path prefix if it has one
    #[arg(long, value_name = "URL", env = "CHANGE_EVENTS_URL", default_value = "http://127.0.0.1:10555")]
    url: String,

    /// Slug of the organization
    #[arg(long, value_name = "SLUG", env = "CHANGE_EVENTS_ORG", default_value = "default")]
    org: String,

    /// File that holds the token; without it the token is taken from the variable `CHANGE_EVENTS_TOKEN`, if that is set
    #[arg(long, value_name = "FILE", env = "CHANGE_EVENTS_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// File of the certificates (PEM) to trust instead of the public ones
    #[arg(long, value_name = "FILE", env = "CHANGE_EVENTS_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// Longest time for one try
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,

    /// How long to try again while the server does not answer, answers 408, 421, 425, 429 or 5xx; 0 for a single try
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
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
}

impl ServerArgs {
    /// The client that these flags describe.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let token = self.token()?;
        self.client_with(token)
    }

    /// The same with another token, or none.
    pub(crate) fn client_with(&self, token: Option<Token>) -> Result<Client, Failure> {
        if self.timeout.is_zero() {
            return Err(Failure::usage("--timeout must be longer than 0"));
        }
        let read = |path: &PathBuf| fs::read(path).map_err(|source| Failure::running(ServerError::Read { path: path.clone(), source }));
        let options = Options {
            url: self.url.clone(),
            organization: self.org.clone(),
            token,
            timeout: self.timeout,
            authorities: self.ca_file.as_ref().map(read).transpose()?,
        };
        Client::new(options, Arc::new(SystemClock)).map_err(|error| match error {
            ClientError::Url { .. } => Failure::usage(error),
            other => Failure::running(other),
        })
    }

    /// The token of the file, else of the environment, else none.
    pub(crate) fn token(&self) -> Result<Option<Token>, Failure> {
        if let Some(path) = &self.token_file {
            let text =
                fs::read_to_string(path).map_err(|source| Failure::running(ServerError::ReadToken { path: path.clone(), source }))?;
            let wrong = |source| Failure::running(ServerError::TokenFile { path: path.clone(), source });
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

    /// Tries until it works or `--retry-for` is over.
    pub(crate) fn patiently<T>(&self, attempt: impl FnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
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
