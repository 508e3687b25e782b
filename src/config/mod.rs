//! Flags and configuration file to the small options of each part. This module knows everyone; nobody knows it.
//!
//! A flag wins over the file, the file over the default. Of the file, everything but the limits marked so in [`limits`] takes
//! effect on a reload, unless it takes away the last organization; flags are settled at the start.

mod file;
mod flags;
mod limits;
mod listen;
mod size;

use std::error::Error;
use std::io;
use std::path::Path;
use std::path::PathBuf;

pub use crate::config::file::ConfigFile;
pub use crate::config::file::Extent;
pub use crate::config::flags::Flags;
pub use crate::config::limits::Limits;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        source: io::Error,
    },
    /// It is not YAML, or not of the form it should have; the message says where.
    #[error("{}: {message}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// It has the right form and contradicts a rule.
    #[error("{}: {what}: {rule}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// The key at fault, with its place: `organizations[0].slug`.
        what: String,
        /// What it must be.
        rule: String,
    },
    /// It has the right form, and a value that is none.
    #[error("{}: {what}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key at fault, with its place.
        what: String,
        source: Box<dyn Error + Send + Sync>,
    },
    /// A flag names what is no address.
    #[error("{flag}: `{value}` is no HOST:PORT")]
    Address {
        /// The flag, with its dashes.
        flag: &'static str,
        /// What it says.
        value: String,
        source: io::Error,
    },
    /// A flag contradicts a rule.
    #[error("{flag}: {rule}")]
    Flag {
        /// The flag, with its dashes.
        flag: &'static str,
        /// What it must be.
        rule: String,
    },
}

impl ConfigError {
    fn flag(flag: &'static str, rule: impl Into<String>) -> Self {
        Self::Flag { flag, rule: rule.into() }
    }

    fn rule(path: &Path, what: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Rule { path: path.to_owned(), what: what.into(), rule: rule.into() }
    }
}

#[cfg(test)]
mod tests;
