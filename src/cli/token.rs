//! `change-events token`: a new secret, and what the configuration has to say about it.

use std::io;
use std::io::Read as _;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;
use sha2::Sha256;

use crate::cli;
use crate::cli::Failure;

/// Random bytes of a token: 256 bits.
const SECRET_BYTES: usize = 32;
/// Lets people and secret scanners see what it is.
const PREFIX: &str = "cev_";
/// Longest secret that `--stdin` reads, in bytes.
const STDIN_BYTES_MAX: u64 = 4096;

const EXAMPLES: &str = "\
Examples:
  change-events token --name ci --scope write
  change-events token --name prometheus --scope read --scope telemetry --expires 2027-01-01T00:00:00Z
  change-events token --quiet > /etc/prometheus/change-events.token     # the secret alone
  change-events token --stdin < secret                                  # the hash of one that exists

Only the hash goes into the configuration file; the secret itself is kept by those who send.";

/// Make a token, and the lines of the configuration file that admit it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the token in the configuration
    #[arg(long, default_value = "ci")]
    name: String,

    /// What it may do; may be given more than once
    #[arg(long = "scope", value_enum, default_values = ["write"])]
    scopes: Vec<Scope>,

    /// When it ends, in any ISO 8601 form; without it never
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,

    /// Print nothing but the token
    #[arg(long, short, conflicts_with = "stdin")]
    quiet: bool,

    /// Read a secret from standard input instead of making one
    #[arg(long)]
    stdin: bool,
}

/// The rights a token can have.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Scope {
    /// Send events
    Write,
    /// Queries and pages of the organization
    Read,
    /// The server's own metrics on the page
    Telemetry,
    /// Reload the configuration over HTTP
    Admin,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Telemetry => "telemetry",
            Self::Admin => "admin",
        }
    }
}

/// Prints the token, its hash, and the YAML.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let token = if args.stdin { read()? } else { make()? };
    if args.quiet {
        cli::print(&format!("{token}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let hash = hex::encode(Sha256::digest(token.as_bytes()));
    let scopes: Vec<&str> = args.scopes.iter().map(|scope| scope.name()).collect();
    let expires = args.expires.as_ref().map(|at| format!(", expires: {}", quoted(at))).unwrap_or_default();
    let first = if args.stdin { String::new() } else { format!("token:  {token}\n") };
    cli::print(&format!(
        "{first}sha256: {hash}\n\n\
         # below the organization in the configuration file:\n\
         tokens:\n  - {{name: {}, sha256: {}, scopes: [{}]{expires}}}\n",
        quoted(&args.name),
        quoted(&hash),
        scopes.join(", "),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Why what is on standard input is no token.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("cannot read the token")]
    Read(#[source] io::Error),
    #[error("a token is printable ASCII without blanks, and not empty")]
    Form,
}

fn make() -> Result<String, Failure> {
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(cli::random::<SECRET_BYTES>()?)))
}

fn read() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(STDIN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::running(TokenError::Read(error)))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::running(TokenError::Form));
    }
    Ok(token.to_owned())
}

/// A YAML string: quoted, because a plain `no`, `1e5` or date is something else to YAML. JSON's quoting is also YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
