//! The server's own secret, under which access tokens are made: 32 random bytes in a file that only its user may read.

use std::fmt;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

/// The file's name in the storage directory.
const FILE_NAME: &str = "access-token.key";

/// A key that is never printed.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} holds {length} bytes instead of 32; remove it, and access tokens made until now will be refused", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: usize,
    },
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl SecretError {
    /// Whether it could not be kept because the disk is full.
    pub fn is_of_room(&self) -> bool {
        let is_of_room = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::File { act: "write", source, .. } if is_of_room(source.kind()))
    }
}

impl Secret {
    /// The secret of the server that keeps its data in `directory`; made when there is none yet.
    pub fn open(directory: &Path) -> Result<Self, SecretError> {
        let path = directory.join(FILE_NAME);
        match fs::read(&path) {
            Ok(bytes) => match <[u8; 32]>::try_from(bytes) {
                Ok(bytes) => Ok(Self(bytes)),
                Err(bytes) => Err(SecretError::Length { path, length: bytes.len() }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(directory, &path),
            Err(source) => Err(SecretError::File { act: "read", path, source }),
        }
    }

    /// A secret that ends with the process: access tokens that were made by it are refused after a restart.
    pub fn passing() -> Result<Self, SecretError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(SecretError::Random)?;
        Ok(Self(secret))
    }

    /// A secret that is given; for tests.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Written beside its place and renamed, so that a crash leaves either no secret or a whole one.
    fn create(directory: &Path, path: &Path) -> Result<Self, SecretError> {
        let secret = Self::passing()?;
        let draft = path.with_extension("new");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&secret.0)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|source| SecretError::File { act: "write", path: path.to_owned(), source })?;
        Ok(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn is_made_once_and_is_for_its_user_only() {
        let directory = tempfile::tempdir().unwrap();
        let made = Secret::open(directory.path()).unwrap();
        assert_ne!(made.0, [0; 32]);
        assert_eq!(Secret::open(directory.path()).unwrap().0, made.0);
        let path = directory.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        fs::write(&path, [1; 31]).unwrap();
        let error = Secret::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("31 bytes"), "{error}");
        assert_eq!(format!("{made:?}"), "Secret(..)");
    }
}
