//! What the mapping of before did otherwise: its logs have labels and identities by that, and what they are about goes on.

use crate::mapping::names::is_label_name;
use crate::mapping::options::LabelRules;
use crate::mapping::options::MappingOptions;

/// Whose rules a mapping goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Edition {
    /// Names were those of labels only, also in an identity; values and names of events counted, and became labels, as they
    /// were sent; what is only about one run of a command had labels.
    Before,
    /// Today's.
    #[default]
    Now,
}

/// The default aliases of before, where they are others.
const ALIASES: [(&str, &[&str]); 2] =
    [("deployment_environment", &["environment", "env"]), ("version", &["build_id", "commit", "commit_sha"])];

/// What the same configuration came to; what it could not say is left out.
pub(super) fn before(mut options: MappingOptions) -> MappingOptions {
    let defaults = MappingOptions::default().aliases;
    for alias in &mut options.aliases {
        if let Some((_, aliases)) = ALIASES.iter().find(|(canonical, _)| *canonical == alias.0 && defaults.contains(alias)) {
            alias.1 = aliases.iter().map(|&name| name.to_owned()).collect();
        }
        alias.1.retain(|name| is_label_name(name));
    }
    let known = |rules: &mut LabelRules| rules.rename.retain(|(old, _)| is_label_name(old));
    known(&mut options.labels);
    options.events.iter_mut().for_each(|(_, rules)| known(rules));
    for rule in &mut options.pairing {
        rule.labels.retain(|name| is_label_name(name));
        rule.supersede.retain(|name| is_label_name(name));
    }
    options.pairing_by_name = false;
    options
}
