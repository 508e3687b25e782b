//! The configuration file: its form, and what it means.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::Extensions;
use serde::Deserialize;
use serde_saphyr::Budget;

use crate::config::ConfigError;
use crate::config::Limits;
use crate::doors::grafana;
use crate::http::app::Settings;
use crate::http::auth::Access;
use crate::http::auth::Credential;
use crate::http::auth::Organization;
use crate::http::auth::Scope;
use crate::http::auth::TokenHash;
use crate::http::body;
use crate::mapping::Mapping;
use crate::mapping::clusters;
use crate::mapping::clusters::Clusters;
use crate::mapping::options::LabelRules;
use crate::mapping::options::MappingOptions;
use crate::mapping::options::PairingRule;
use crate::mapping::tags::EventNames;
use crate::time::Timestamp;

/// A configuration file that holds together.
#[derive(Debug, Default)]
pub struct ConfigFile {
    path: PathBuf,
    wire: Wire,
}

/// How much a file says, for what may come after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Nothing: it is empty, or has comments only.
    #[default]
    Nothing,
    /// Something, without organizations.
    Anonymous,
    /// There are organizations, and no token that anybody could send.
    Locked,
    /// There are organizations with tokens.
    Organizations,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    organizations: Vec<WireOrganization>,
    clusters: Vec<WireCluster>,
    labels: WireLabels,
    pairing: Vec<WirePairing>,
    pairing_by_name: Option<bool>,
    limits: Limits,
    grafana: WireGrafana,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOrganization {
    slug: String,
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    tokens: Vec<WireToken>,
    #[serde(default)]
    refresh_tokens: Vec<WireToken>,
    #[serde(default)]
    default_cluster: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireToken {
    name: String,
    sha256: String,
    scopes: Vec<String>,
    #[serde(default)]
    expires: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCluster {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WireLabels {
    /// Each replaces the default of the same canonical label; an empty list takes it away.
    aliases: BTreeMap<String, Vec<String>>,
    rename: BTreeMap<String, String>,
    drop: Vec<String>,
    allow: Option<Vec<String>>,
    /// Replaces the defaults.
    volatile: Option<Vec<String>>,
    events: BTreeMap<String, WireRules>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WireRules {
    rename: BTreeMap<String, String>,
    drop: Vec<String>,
    allow: Option<Vec<String>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WirePairing {
    start: Option<String>,
    stop: Option<String>,
    /// Both of them.
    event: Option<String>,
    labels: Vec<String>,
    point: bool,
    supersede: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WireGrafana {
    /// Bare tags that name an event, and the name.
    event_names: BTreeMap<String, String>,
}

impl WireOrganization {
    fn has_token(&self) -> bool {
        !self.tokens.is_empty() || !self.refresh_tokens.is_empty()
    }
}

impl ConfigFile {
    /// Reads the file and checks all of it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file = Self::parse(path, &text)?;
        file.settings(&Limits::default())?;
        Ok(file)
    }

    /// The settings that the file asks for; `flags` win over its limits.
    pub fn settings(&self, flags: &Limits) -> Result<Settings, ConfigError> {
        let limits = flags.or(&self.wire.limits);
        let mut request = body::Limits::default();
        limits.apply_to_request(&mut request);
        let mut clusters = HashMap::new();
        let mut by_default = HashMap::from([(None, self.clusters(None)?)]);
        for organization in &self.wire.organizations {
            let default = organization.default_cluster.as_deref();
            let own = match by_default.entry(default) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => place.insert(self.clusters(default)?).clone(),
            };
            clusters.insert(Arc::from(organization.slug.as_str()), own);
        }
        let mut doors = Extensions::new();
        doors.insert(grafana::Options { event_names: Arc::new(self.event_names()?) });
        Ok(Settings {
            access: Access::new(self.organizations()?),
            mapping: self.mapping(&limits)?,
            clusters,
            default_clusters: by_default.remove(&None).unwrap_or_default(),
            limits: request,
            doors,
        })
    }

    /// How much it says.
    pub fn extent(&self) -> Extent {
        match &self.wire {
            wire if wire.organizations.iter().any(WireOrganization::has_token) => Extent::Organizations,
            wire if !wire.organizations.is_empty() => Extent::Locked,
            wire if *wire == Wire::default() => Extent::Nothing,
            _ => Extent::Anonymous,
        }
    }

    /// Whether a server may go on with this file after one of that extent. An editor, or a mount, may leave an empty one for a
    /// moment, or the beginning of one; who means that nobody needs a token any more can start the server again.
    pub fn may_follow(&self, before: Extent) -> Result<(), ConfigError> {
        match self.extent() {
            now if now >= before => Ok(()),
            Extent::Nothing => Err(self.rule("the file", "configures nothing, where it did before: only a restart takes that in")),
            Extent::Locked => Err(self.rule(
                "organizations",
                "must have a token somewhere, where there were some: nobody could send anything then, and only a restart takes that in",
            )),
            _ => Err(self.rule(
                "organizations",
                "must not be empty, where there were some: anybody could read and write then, and only a restart takes that in",
            )),
        }
    }

    /// The limits in the file.
    pub fn limits(&self) -> &Limits {
        &self.wire.limits
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        if text.trim().is_empty() {
            return Ok(Self { path, wire: Wire::default() });
        }
        // However many things it holds, its length bounds them; what a short file repeats by aliases is bounded as usual.
        let most = Budget::default();
        let budget = serde_saphyr::budget! {
            max_events: most.max_events.max(3 * text.len()),
            max_nodes: most.max_nodes.max(2 * text.len()),
            max_total_scalar_bytes: most.max_total_scalar_bytes.max(2 * text.len()),
        };
        // Without the lines around: they may hold what is not meant for a log.
        let options = serde_saphyr::options! { with_snippet: false, budget: budget };
        match serde_saphyr::from_str_with_options(text, options) {
            Ok(wire) => Ok(Self { path, wire }),
            Err(error) => Err(ConfigError::Form { path, message: error.to_string() }),
        }
    }

    fn rule(&self, what: impl Into<String>, rule: impl Into<String>) -> ConfigError {
        ConfigError::rule(&self.path, what, rule)
    }

    fn wrong(&self, what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> ConfigError {
        ConfigError::Value { path: self.path.clone(), what: what.into(), source: source.into() }
    }

    fn organizations(&self) -> Result<Vec<Organization>, ConfigError> {
        let mut names = HashSet::new();
        let mut hashes = HashSet::new();
        let mut organizations = Vec::new();
        for (place, wire) in self.wire.organizations.iter().enumerate() {
            let at = format!("organizations[{place}]");
            if !is_slug(&wire.slug) {
                return Err(self.rule(format!("{at}.slug"), "must be 1 to 128 letters, digits and -._~"));
            }
            if !names.insert(&wire.slug) {
                return Err(self.rule(format!("{at}.slug"), format!("`{}` is there twice", wire.slug)));
            }
            for (place, account) in wire.accounts.iter().enumerate() {
                let at = format!("{at}.accounts[{place}]");
                if !is_slug(account) {
                    return Err(self.rule(at, "must be 1 to 128 letters, digits and -._~"));
                }
                if !names.insert(account) {
                    return Err(self.rule(at, format!("`{account}` is there twice: a slug and an account must not be the same")));
                }
            }
            organizations.push(Organization {
                slug: wire.slug.as_str().into(),
                accounts: wire.accounts.iter().map(|account| account.as_str().into()).collect(),
                tokens: self.credentials(&wire.tokens, &format!("{at}.tokens"), &mut hashes)?,
                refresh_tokens: self.credentials(&wire.refresh_tokens, &format!("{at}.refresh_tokens"), &mut hashes)?,
            });
        }
        Ok(organizations)
    }

    fn credentials(&self, tokens: &[WireToken], at: &str, hashes: &mut HashSet<String>) -> Result<Vec<Credential>, ConfigError> {
        let mut names = HashSet::new();
        let mut credentials = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            let at = format!("{at}[{place}]");
            if token.name.is_empty() || !names.insert(&token.name) {
                return Err(self.rule(format!("{at}.name"), "must be given, and no other token of the same list may have it"));
            }
            // Never with the value: a token might have been put there by mistake.
            let hash = TokenHash::parse(&token.sha256);
            let hash = hash.ok_or_else(|| self.rule(format!("{at}.sha256"), "must be the SHA-256 of the token as 64 hex digits"))?;
            if !hashes.insert(token.sha256.to_ascii_lowercase()) {
                return Err(self.rule(format!("{at}.sha256"), "another token has the same, and it would be unclear which is meant"));
            }
            let scopes = token.scopes.iter().map(|name| Scope::parse(name).ok_or(name)).collect::<Result<_, _>>();
            let scopes = scopes.map_err(|name| {
                let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
                self.rule(format!("{at}.scopes"), format!("`{name}` is none of {}", known.join(", ")))
            })?;
            let expires = token.expires.as_deref().map(Timestamp::parse).transpose();
            let expires = expires.map_err(|error| self.wrong(format!("{at}.expires"), error))?;
            credentials.push(Credential { name: token.name.as_str().into(), hash, scopes, expires });
        }
        Ok(credentials)
    }

    fn clusters(&self, default: Option<&str>) -> Result<Clusters, ConfigError> {
        let configured = self.wire.clusters.iter().map(|wire| clusters::Cluster {
            name: wire.name.as_str().into(),
            labels: wire.labels.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
        });
        Clusters::new(configured.collect(), default).map_err(|error| self.wrong("clusters", error))
    }

    fn event_names(&self) -> Result<EventNames, ConfigError> {
        let configured = self.wire.grafana.event_names.iter().map(|(tag, name)| (tag.as_str(), name.as_str()));
        EventNames::with(configured).map_err(|error| self.wrong("grafana.event_names", error))
    }

    fn mapping(&self, limits: &Limits) -> Result<Mapping, ConfigError> {
        let wire = &self.wire.labels;
        let mut options = MappingOptions::default();
        for (canonical, aliases) in &wire.aliases {
            options.aliases.retain(|(name, _)| name != canonical);
            if !aliases.is_empty() {
                options.aliases.push((canonical.clone(), aliases.clone()));
            }
        }
        options.labels = rules(&wire.rename, &wire.drop, wire.allow.as_ref());
        options.events = wire.events.iter().map(|(name, own)| (name.clone(), rules(&own.rename, &own.drop, own.allow.as_ref()))).collect();
        if let Some(volatile) = &wire.volatile {
            options.volatile.clone_from(volatile);
        }
        let pairing = self.wire.pairing.iter().enumerate().map(|(place, rule)| self.pairing(place, rule));
        options.pairing = pairing.collect::<Result<_, _>>()?;
        options.pairing_by_name = self.wire.pairing_by_name.unwrap_or(options.pairing_by_name);
        limits.apply_to_mapping(&mut options.limits);
        Mapping::new(options).map_err(|error| self.rule(error.key, format!("{}: {}", error.value, error.rule)))
    }

    fn pairing(&self, place: usize, wire: &WirePairing) -> Result<PairingRule, ConfigError> {
        let (start, stop) = match (&wire.event, &wire.start, &wire.stop) {
            (Some(event), None, None) => (event, event),
            (None, Some(start), Some(stop)) => (start, stop),
            _ => return Err(self.rule(format!("pairing[{place}]"), "must have either `event`, or both `start` and `stop`")),
        };
        Ok(PairingRule {
            start: start.clone(),
            stop: stop.clone(),
            labels: wire.labels.clone(),
            point: wire.point,
            supersede: wire.supersede.clone(),
        })
    }
}

fn rules(rename: &BTreeMap<String, String>, drop: &[String], allow: Option<&Vec<String>>) -> LabelRules {
    let rename = rename.iter().map(|(old, new)| (old.clone(), new.clone())).collect();
    LabelRules { rename, drop: drop.to_vec(), allow: allow.cloned() }
}

/// Whether a slug can stand in a path as it is.
fn is_slug(slug: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (1..=128).contains(&slug.len()) && slug.bytes().all(plain) && slug != "." && slug != ".."
}
