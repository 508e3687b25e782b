//! The server's own secret, under which access tokens are made: 32 random bytes in a file that only its user may read.

use std::fmt;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use crate::files::ACCESS_TOKEN_KEY;
use crate::files::ACCESS_TOKEN_KEY_DRAFT;
use crate::files::Audience;
use crate::files::Home;

/// So much is read of a file that should have 32 bytes.
const READ_MAX: u64 = 4096;

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
    /// The secret of the server that keeps its data in `home`; made when there is none yet.
    pub fn open(home: &Home) -> Result<Self, SecretError> {
        let path = home.folder().path().join(ACCESS_TOKEN_KEY);
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            home.read(ACCESS_TOKEN_KEY)?.take(READ_MAX).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => match <[u8; 32]>::try_from(bytes) {
                Ok(bytes) => Ok(Self(bytes)),
                Err(bytes) => Err(SecretError::Length { path, length: bytes.len() }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(home, &path),
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
    fn create(home: &Home, path: &Path) -> Result<Self, SecretError> {
        let secret = Self::passing()?;
        let write = || {
            let mut file = home.create(ACCESS_TOKEN_KEY_DRAFT, Audience::Writers)?;
            file.write_all(&secret.0)?;
            file.sync_all()?;
            home.rename(ACCESS_TOKEN_KEY_DRAFT, ACCESS_TOKEN_KEY)?;
            home.sync()
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn is_made_once_and_is_for_its_user_only() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let made = Secret::open(&home).unwrap();
        assert_ne!(made.0, [0; 32]);
        assert_eq!(Secret::open(&home).unwrap().0, made.0);
        let path = directory.path().join(ACCESS_TOKEN_KEY);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        fs::write(&path, [1; 31]).unwrap();
        let error = Secret::open(&home).unwrap_err();
        assert!(error.to_string().contains("31 bytes"), "{error}");
        assert_eq!(format!("{made:?}"), "Secret(..)");
    }
}
