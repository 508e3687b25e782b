//! Why a subcommand did not do what it was asked, and the exit code for it.

use std::error::Error;
use std::process::ExitCode;

/// Why a subcommand did not do what it was asked; the variant decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for what does not exist or contradicts itself.
    #[error(transparent)]
    Usage(Box<dyn Error + Send + Sync>),
    /// It was asked for properly and did not work out.
    #[error(transparent)]
    Running(Box<dyn Error + Send + Sync>),
    /// The log holds bytes that were acknowledged once and cannot be read now.
    #[error(transparent)]
    Damaged(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A [`Failure::Usage`] from an error or a text.
    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Usage(error.into())
    }

    /// A [`Failure::Running`] from an error or a text.
    pub(crate) fn running(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Running(error.into())
    }

    /// The documented exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Running(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Damaged(_) => ExitCode::from(3),
        }
    }
}
