//! The destinations that events may name (`data_source_name`), and what their names may be.

use crate::mapping::FormatError;
use crate::mapping::names::NAME_RULE as NAME_OF_LABEL_RULE;
use crate::mapping::names::is_label_name;
use crate::shown::quoted;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest name of a cluster, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest value of a cluster's label, in bytes.
const LABEL_BYTES_MAX: usize = 1024;
/// An error names no more clusters beyond so many bytes.
const KNOWN_BYTES: usize = 200;

/// A named destination of samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its name: a segment of a path.
    pub name: Arc<str>,
    /// Labels that each of its samples gets, where the event has none of that name.
    pub labels: Vec<(Box<str>, Box<str>)>,
}

/// Where an event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    /// The cluster's name; empty for the organization's default.
    pub name: Arc<str>,
    /// Labels for its samples.
    pub labels: &'a [(Box<str>, Box<str>)],
    /// It is one of the configuration.
    pub configured: bool,
}

/// The clusters that an organization may name: any at all, or the configured ones. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clusters {
    configured: Arc<[Cluster]>,
    /// Where each of them is.
    places: Arc<HashMap<Arc<str>, usize>>,
    /// What an event without a name gets: the empty name, and the labels of the organization's default cluster.
    default: Cluster,
    default_name: Option<Arc<str>>,
}

/// Why clusters cannot be as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClustersError {
    /// A name that cannot be a segment of a path.
    #[error("cluster {0}: {NAME_RULE}")]
    Name(String),
    /// A label that cannot be one.
    #[error("cluster {0}: label {1}: name {NAME_OF_LABEL_RULE}, value must be 1 to 1024 bytes")]
    Label(String, String),
    /// Two clusters of one name.
    #[error("cluster {0}: configured twice")]
    Twice(String),
    /// The default is none of the clusters.
    #[error("default_cluster {0}: none of the clusters")]
    UnknownDefault(String),
}

const NAME_RULE: &str = "must be 1 to 128 letters, digits, '.', '_', '-' or '~' (ASCII), and not '.' or '..'";

impl Clusters {
    /// The configured clusters, none meaning that any name is taken; `default` is where events without a name go.
    pub fn new(configured: Vec<Cluster>, default: Option<&str>) -> Result<Self, ClustersError> {
        let mut places = HashMap::with_capacity(configured.len());
        for (place, cluster) in configured.iter().enumerate() {
            if !is_name(&cluster.name) {
                return Err(ClustersError::Name(quoted(&cluster.name)));
            }
            let possible = |name: &str, value: &str| is_label_name(name) && (1..=LABEL_BYTES_MAX).contains(&value.len());
            if let Some((label, _)) = cluster.labels.iter().find(|(name, value)| !possible(name, value)) {
                return Err(ClustersError::Label(quoted(&cluster.name), quoted(label)));
            }
            if places.insert(Arc::clone(&cluster.name), place).is_some() {
                return Err(ClustersError::Twice(quoted(&cluster.name)));
            }
        }
        let all = Self { configured: configured.into(), places: Arc::new(places), ..Self::default() };
        let Some(name) = default else { return Ok(all) };
        let unknown = || ClustersError::UnknownDefault(quoted(name));
        let cluster = if all.configured.is_empty() && is_name(name) {
            Cluster { name: name.into(), labels: Vec::new() }
        } else {
            all.find(name).cloned().ok_or_else(unknown)?
        };
        Ok(Self { default: Cluster { name: "".into(), labels: cluster.labels }, default_name: Some(cluster.name), ..all })
    }

    fn find(&self, name: &str) -> Option<&Cluster> {
        self.places.get(name).and_then(|place| self.configured.get(*place))
    }

    /// Where samples for `name` go; the empty name and that of the default cluster are the default, whose name is empty.
    pub fn resolve(&self, name: &str) -> Result<Destination<'_>, FormatError> {
        if name.is_empty() || self.default_name.as_deref() == Some(name) {
            return Ok(Destination::to(&self.default));
        }
        if !is_name(name) {
            return Err(FormatError::malformed(format!("data_source_name {}", quoted(name)), NAME_RULE));
        }
        if self.configured.is_empty() {
            return Ok(Destination { name: name.into(), labels: &[], configured: false });
        }
        let unknown = || FormatError::malformed(format!("data_source_name {}", quoted(name)), format!("must be one of {}", self.known()));
        self.find(name).map(Destination::to).ok_or_else(unknown)
    }

    /// The names of the first, and how many more there are: an error is not a list.
    fn known(&self) -> String {
        let mut known = String::new();
        let mut names = self.configured.iter().map(|cluster| &*cluster.name);
        for name in names.by_ref() {
            if !known.is_empty() {
                known.push_str(", ");
            }
            known.push_str(name);
            if known.len() > KNOWN_BYTES {
                break;
            }
        }
        match names.len() {
            0 => known,
            more => format!("{known} and {more} more"),
        }
    }
}

impl<'a> Destination<'a> {
    fn to(cluster: &'a Cluster) -> Self {
        Self { name: Arc::clone(&cluster.name), labels: &cluster.labels, configured: true }
    }
}

/// Whether `name` is a path segment that no URL library changes.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-~".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(allowed) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> Cluster {
        Cluster { name: name.into(), labels: vec![("cluster".into(), name.into())] }
    }

    #[test]
    fn resolves_names() {
        let any = Clusters::default();
        let fixed = Clusters::new(vec![cluster("main"), cluster("eu")], Some("main")).unwrap();
        let refused = format!("data_source_name {{}}: {NAME_RULE}");
        for (clusters, name, expected) in [
            (&any, "", Ok(("", 0))),
            (&any, "payments-ds", Ok(("payments-ds", 0))),
            (&any, "a.b_c~1", Ok(("a.b_c~1", 0))),
            (&any, "a/b", Err(refused.replace("{}", "\"a/b\""))),
            (&any, "..", Err(refused.replace("{}", "\"..\""))),
            (&any, "a b\n", Err(refused.replace("{}", "\"a b\\n\""))),
            (&any, "\u{fc}", Err(refused.replace("{}", "\"\u{fc}\""))),
            (&fixed, "", Ok(("", 1))),
            (&fixed, "main", Ok(("", 1))),
            (&fixed, "eu", Ok(("eu", 1))),
            (&fixed, "us", Err("data_source_name \"us\": must be one of main, eu".to_owned())),
        ] {
            let resolved = clusters.resolve(name);
            let resolved = resolved.as_ref().map(|to| (&*to.name, to.labels.len())).map_err(ToString::to_string);
            assert_eq!(resolved, expected, "{name}");
        }
        assert!(any.resolve(&"a".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(any.resolve(&"a".repeat(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn an_unknown_name_is_not_answered_with_a_list_of_thousands() {
        #[track_caller]
        fn check(count: usize, name_bytes: usize, end: &str) {
            let name = |number: usize| format!("{number:0name_bytes$}");
            let clusters = Clusters::new((0..count).map(|number| cluster(&name(number))).collect(), None).unwrap();
            let error = clusters.resolve("other").unwrap_err().to_string();
            assert!(error.starts_with(&format!("data_source_name \"other\": must be one of {}", name(0))), "{error}");
            assert!(error.ends_with(end), "{error}");
            assert!(error.len() < 400, "{} bytes", error.len());
            assert_eq!(clusters.resolve(&name(count - 1)).map(|to| to.name.to_string()), Ok(name(count - 1)));
        }
        check(3, 5, "00001, 00002");
        check(10_000, 5, "00028 and 9971 more");
        check(3, NAME_BYTES_MAX, &format!("{:0128} and 1 more", 1));
    }

    #[test]
    fn refuses_impossible_clusters() {
        for (clusters, default) in [(vec!["a b"], None), (vec!["a", "a"], None), (vec!["a"], Some("b")), (vec![], Some("a/b"))] {
            let configured = clusters.iter().map(|name| cluster(name)).collect();
            assert!(Clusters::new(configured, default).is_err(), "{clusters:?} {default:?}");
        }
        for label in [("a-b", "x"), ("__a", "x"), ("event_name", "x"), ("a", "")] {
            let labels = vec![(label.0.into(), label.1.into())];
            assert!(Clusters::new(vec![Cluster { name: "a".into(), labels }], None).is_err(), "{label:?}");
        }
    }
}
