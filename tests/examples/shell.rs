//! Runs lines of shell as a user would type them, with this build's `change-events` in the path, and the servers of the tests.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::exporter;
use crate::support::servers;

/// Runs a script in a folder. `address` is the server that `127.0.0.1:10555` in the script means.
pub(crate) fn run(script: &str, folder: &Path, address: &str, variables: &[(&str, &str)]) -> Output {
    let programs = exporter::binary().parent().unwrap().to_owned();
    let path =
        std::env::join_paths([programs, servers::folder()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())))
            .unwrap();
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script.replace("127.0.0.1:10555", address)])
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env("CHANGE_EVENTS_URL", format!("http://{address}"))
        .env_remove("CHANGE_EVENTS_TOKEN")
        .env_remove("http_proxy")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Runs a script that must end well; answers what it printed to standard output.
pub(crate) fn succeed(script: &str, folder: &Path, address: &str, variables: &[(&str, &str)]) -> String {
    let output = run(script, folder, address, variables);
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{}: {printed}\n{said}", output.status);
    printed.into_owned()
}
