//! What Grafana publishes of itself, to hold the dashboards against: its types, and its code for annotations.
//!
//! `npm ci` brings the packages that `published/package-lock.json` pins, with its scripts beside them, into the target
//! folder; nothing is written into the source tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::{examples, servers};

/// What the target folder gets; the packages are installed anew when the first three change.
const FILES: [&str; 6] = ["package.json", "package-lock.json", ".npmrc", "annotations.mjs", "hooks.mjs", "schema.mjs"];

/// The folder with packages and scripts. Without npm, or without its registry: `None`, aloud, and in CI a failure.
pub(crate) fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let missing = match installed() {
                Ok(folder) => return Some(folder),
                Err(missing) => format!("{missing}; Node.js 20 or later is needed, or tests/servers/install node"),
            };
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            say(&format!("\n*** SKIPPED: what Grafana publishes is not compared: {missing}\n"));
            None
        })
        .as_deref()
}

/// Runs one of the scripts; answers the command, so that the caller can give it input.
pub(crate) fn node(folder: &Path, script: &str) -> Command {
    let mut command = Command::new(program("node"));
    command.arg(folder.join(script)).stdin(Stdio::null());
    command
}

#[expect(clippy::print_stderr, reason = "a test says what it leaves out")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// The one that `tests/servers/install` brought, else that of the machine.
fn program(name: &str) -> PathBuf {
    let brought = servers::folder().join(name);
    if brought.exists() { brought } else { name.into() }
}

fn installed() -> Result<PathBuf, String> {
    let source = examples::path("tests/grafana/published");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grafana-published");
    std::fs::create_dir_all(&folder).unwrap();
    let read = |name: &str| std::fs::read_to_string(source.join(name)).unwrap();
    for name in FILES {
        std::fs::write(folder.join(name), read(name)).unwrap();
    }
    let (stamp, wanted) = (folder.join("installed"), FILES[..3].iter().map(|name| read(name)).collect::<String>());
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let output = Command::new(program("npm")).arg("ci").current_dir(&folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("npm does not start ({error})"))?;
    if !output.status.success() {
        return Err(format!("npm ci ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    std::fs::write(stamp, wanted).unwrap();
    Ok(folder)
}

#[test]
fn each_dashboard_has_the_types_of_grafana() {
    let Some(folder) = folder() else { return };
    let output = node(folder, "schema.mjs").arg(examples::path("grafana/dashboards")).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
