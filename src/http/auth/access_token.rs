//! Access tokens: what they claim, and a MAC over it under the server's secret. The server keeps no list of them.
//!
//! `ce1_<base64url of the claims as JSON>.<base64url of their HMAC-SHA256>`

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use serde::Deserialize;
use serde::Serialize;
use sha2::Sha256;

use crate::http::auth::secret::Secret;
use crate::time::Timestamp;

const PREFIX: &str = "ce1_";

/// What an access token says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) organization: String,
    /// The name of the refresh token it was made from.
    pub(super) name: String,
    /// A part of that refresh token's hash.
    pub(super) mark: String,
    pub(super) expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    o: String,
    n: String,
    m: String,
    e: i64,
}

/// The token for `claims`.
pub(super) fn write(claims: &Claims, secret: &Secret) -> String {
    let wire = Wire { o: claims.organization.clone(), n: claims.name.clone(), m: claims.mark.clone(), e: claims.expires.millis() };
    // Strings and an integer always serialize.
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default());
    let mac = mac(payload.as_bytes(), secret).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).unwrap_or_default();
    format!("{PREFIX}{payload}.{mac}")
}

/// The claims of a token that this server made; `None` for any other text.
pub(super) fn read(token: &str, secret: &Secret) -> Option<Claims> {
    let (payload, tag) = token.strip_prefix(PREFIX)?.split_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    mac(payload.as_bytes(), secret)?.verify_slice(&tag).ok()?;
    let wire: Wire = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(Claims { organization: wire.o, name: wire.n, mark: wire.m, expires: Timestamp::from_millis(wire.e) })
}

fn mac(payload: &[u8], secret: &Secret) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?;
    mac.update(payload);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_untouched_token_of_the_same_secret_is_read() {
        let secret = Secret::from_bytes([7; 32]);
        let claims = Claims { organization: "acme".into(), name: "github".into(), mark: "ab".into(), expires: Timestamp::from_millis(5) };
        let token = write(&claims, &secret);
        assert_eq!(read(&token, &secret), Some(claims));
        assert_eq!(read(&token, &Secret::from_bytes([8; 32])), None);
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(std::str::from_utf8(&bytes).unwrap(), &secret), None, "byte {place}");
        }
        for end in 0..token.len() {
            assert_eq!(read(&token[..end], &secret), None, "first {end} bytes");
        }
    }
}
