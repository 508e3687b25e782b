use std::time::Duration;

use sha2::Digest as _;

use super::*;
use crate::http::auth::presented::BEARER;
use crate::http::auth::token::TOKEN_BYTES_MAX;
use crate::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn secret() -> Secret {
    Secret::from_bytes([9; 32])
}

fn credential(name: &str, token: &str, scopes: &[Scope], expires: Option<Timestamp>) -> Credential {
    Credential { name: name.into(), hash: TokenHash::of(token), scopes: scopes.iter().copied().collect(), expires }
}

fn access() -> Access {
    Access::new(organizations())
}

/// The same, with what `change` makes of the refresh token.
fn changed(change: impl FnOnce(&mut Vec<Credential>)) -> Access {
    let mut organizations = organizations();
    change(&mut organizations[0].refresh_tokens);
    Access::new(organizations)
}

fn organizations() -> Vec<Organization> {
    vec![
        Organization {
            slug: "acme".into(),
            accounts: vec!["acc_1".into()],
            tokens: vec![
                credential("ci", "writer-token", &[Scope::Write], None),
                credential("old", "old-token", &[Scope::Read], Some(now())),
                credential("fresh", "fresh-token", &[Scope::Read], Some(now().plus(Duration::from_millis(1)))),
            ],
            refresh_tokens: vec![credential("github", "refresh-token", &[Scope::Write], None)],
        },
        Organization {
            slug: "other".into(),
            accounts: vec![],
            tokens: vec![credential("ci", "other-token", &[Scope::Read], None)],
            refresh_tokens: vec![],
        },
    ]
}

#[track_caller]
fn check(name: &str, value: &str, expected: Result<(&str, &str), AuthError>) {
    let (parts, ()) = axum::http::Request::builder().header(name, value).body(()).unwrap().into_parts();
    let granted = access().authorize(&bearer(&parts), now(), &secret());
    let granted = granted.map(|grant| (grant.organization.to_string(), grant.token.to_string()));
    assert_eq!(granted, expected.map(|(organization, token)| (organization.to_owned(), token.to_owned())), "{name}: {value}");
}

#[test]
fn tokens_are_found_in_each_header() {
    check("X-LAST9-API-TOKEN", "Bearer writer-token", Ok(("acme", "ci")));
    check("x-last9-api-token", "bearer   writer-token ", Ok(("acme", "ci")));
    check("X-LAST9-API-TOKEN", "Bearer: writer-token", Ok(("acme", "ci")));
    check("Authorization", "Bearer other-token", Ok(("other", "ci")));
    check("Authorization", "BEARER fresh-token", Ok(("acme", "fresh")));
    check("Bearer", "writer-token", Ok(("acme", "ci")));
    check("X-LAST9-API-TOKEN", "writer-token", Err(AuthError::NotBearer));
    check("X-LAST9-API-TOKEN", "Bearer", Err(AuthError::NotBearer));
    check("X-LAST9-API-TOKEN", "Bearer ", Err(AuthError::NotBearer));
    check("Authorization", "Basic d3JpdGVyOnRva2Vu", Err(AuthError::NotBearer));
    check("Authorization", "Bearer wrong", Err(AuthError::Unknown));
    check("Authorization", "Bearer refresh-token", Err(AuthError::Unknown));
    check("Authorization", "Bearer ce1_x.y", Err(AuthError::Unknown));
    check("Authorization", "Bearer old-token", Err(AuthError::Expired));
    check("X-Other", "Bearer writer-token", Err(AuthError::Missing(BEARER)));
}

#[test]
fn an_account_is_the_slug_or_another_name_of_the_same_organization() {
    let access = access();
    for (slug, name, expected) in [
        ("acme", "acme", true),
        ("acme", "acc_1", true),
        ("acme", "other", false),
        ("acme", "", false),
        ("other", "other", true),
        ("other", "acc_1", false),
        ("nobody", "nobody", false),
    ] {
        assert_eq!(access.is_account(slug, name), expected, "{slug} {name}");
    }
    assert!(Access::default().is_account("", "any"));
}

fn with_token(token: &str) -> Presented<'_> {
    Presented::Token(token.into())
}

#[test]
fn an_access_token_lives_a_day_and_dies_with_its_refresh_token() {
    let exchanged = access().exchange("refresh-token", now(), &secret()).unwrap();
    assert_eq!(exchanged.expires, now().plus(DAY));
    let headers = with_token(&exchanged.access_token);
    let last = now().plus(DAY).minus(Duration::from_millis(1));
    let grant = access().authorize(&headers, last, &secret()).unwrap();
    assert_eq!((&*grant.organization, &*grant.token), ("acme", "github"));
    assert_eq!(grant.scopes, [Scope::Write].into_iter().collect());
    assert_eq!(access().authorize(&headers, now().plus(DAY), &secret()).unwrap_err(), AuthError::Expired);
    assert_eq!(access().authorize(&headers, now(), &Secret::from_bytes([1; 32])).unwrap_err(), AuthError::Unknown);

    let removed = changed(Vec::clear);
    assert_eq!(removed.authorize(&headers, now(), &secret()).unwrap_err(), AuthError::Unknown);
    let replaced = changed(|tokens| tokens[0].hash = TokenHash::of("another"));
    assert_eq!(replaced.authorize(&headers, now(), &secret()).unwrap_err(), AuthError::Unknown);
    let narrowed = changed(|tokens| tokens[0].scopes = Scopes::default());
    assert_eq!(narrowed.authorize(&headers, now(), &secret()).unwrap().scopes, Scopes::default());
}

#[test]
fn an_access_token_does_not_outlive_its_refresh_token() {
    let end = now().plus(Duration::from_mins(1));
    let access = changed(|tokens| tokens[0].expires = Some(end));
    assert_eq!(access.exchange("refresh-token", now(), &secret()).unwrap().expires, end);
    assert_eq!(access.exchange("refresh-token", end, &secret()).unwrap_err(), AuthError::Expired);
    assert_eq!(access.exchange("writer-token", now(), &secret()).unwrap_err(), AuthError::UnknownRefreshToken);
}

#[test]
fn what_is_longer_than_a_token_is_wrong_at_once() {
    let token = "x".repeat(TOKEN_BYTES_MAX);
    let organization = Organization {
        slug: "acme".into(),
        accounts: vec![],
        tokens: vec![credential("long", &token, &[Scope::Read], None), credential("longer", &format!("{token}x"), &[Scope::Read], None)],
        refresh_tokens: vec![credential("longer", &format!("{token}xx"), &[Scope::Read], None)],
    };
    let access = Access::new(vec![organization]);
    assert!(access.authorize(&with_token(&token), now(), &secret()).is_ok());
    assert_eq!(access.authorize(&with_token(&format!("{token}x")), now(), &secret()).unwrap_err(), AuthError::Unknown);
    assert_eq!(access.exchange(&format!("{token}xx"), now(), &secret()).unwrap_err(), AuthError::UnknownRefreshToken);
}

#[test]
fn without_organizations_nobody_is_asked() {
    let open = Access::default();
    let grant = open.authorize(&with_token("anything"), now(), &secret()).unwrap();
    assert_eq!((&*grant.organization, grant.scopes), ("", Scopes::all()));
    assert!(open.authorize(&Presented::Refused(AuthError::Missing(BEARER)), now(), &secret()).is_ok());
    let token = open.exchange("anything", now(), &secret()).unwrap().access_token;
    // Such a token is worth nothing once there are organizations.
    assert_eq!(access().authorize(&with_token(&token), now(), &secret()).unwrap_err(), AuthError::Unknown);
}

#[test]
fn debug_output_holds_no_secret() {
    let exchanged = access().exchange("refresh-token", now(), &secret()).unwrap();
    let shown = format!("{:?} {exchanged:?} {:?} {:?}", access(), secret(), with_token(&exchanged.access_token));
    assert!(!shown.contains(&exchanged.access_token), "{shown}");
    assert!(!shown.contains(&hex::encode(sha2::Sha256::digest("writer-token"))), "{shown}");
    assert!(shown.contains("acme"), "{shown}");
}
