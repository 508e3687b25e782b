//! What nobody else has: random bytes and keys.

use crate::cli::failure::Failure;

/// Why there are no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers")]
struct RandomError(#[source] getrandom::Error);

/// Random bytes from the system.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| Failure::running(RandomError(error)))?;
    Ok(bytes)
}

/// An idempotency key that nobody else has: 128 random bits.
pub(crate) fn random_key() -> Result<String, Failure> {
    random::<16>().map(hex::encode)
}
