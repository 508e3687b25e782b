//! `change-events serve`: the server, until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Failure;

/// Run the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory of the log and its checkpoints.
    #[arg(long = "storage.path", value_name = "DIR", default_value = "./data")]
    storage_path: PathBuf,

    /// Address to listen on; may be given more than once.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:10555")]
    web_listen_address: Vec<SocketAddr>,
}

/// Serves until a signal says stop.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    Err(Failure::running(format!("cannot serve on {:?} from {}: not built yet", args.web_listen_address, args.storage_path.display())))
}
