//! What a stop says of one run of a command, as `change-events exec` reports it. As labels these would make a series of every run.

use crate::event::EdgeState;
use crate::mapping::attributes::Attribute;
use crate::mapping::attributes::Flat;
use crate::mapping::label::Label;

/// How long the command took, in milliseconds.
const DURATION: &str = "duration_ms";
/// Its exit code.
const EXIT_CODE: &str = "exit_result";
/// How it ended, in a word.
const RESULT: &str = "result";

/// Whether this is the end of a run: a stop whose `duration_ms` and `exit_result`, 0 to 255, are whole numbers, and with a `result`.
/// Nothing else tells who sent an event, and it must be told of what waited in a spool too.
pub(super) fn is_end(state: Option<EdgeState>, flat: &Flat<'_>) -> bool {
    let number = |name: &str| number(flat.attributes.iter().find(|attribute| attribute.path == name)?);
    state == Some(EdgeState::Stop)
        && number(EXIT_CODE).is_some_and(|code| u8::try_from(code).is_ok())
        && number(DURATION).is_some()
        && flat.attributes.iter().any(|attribute| attribute.path == RESULT)
}

/// Whether a label says what only this run is about.
pub(super) fn is_of_one(label: &Label<'_>) -> bool {
    label.is_sent() && !label.renamed && (label.name == DURATION || label.name == EXIT_CODE)
}

fn number(attribute: &Attribute<'_>) -> Option<u64> {
    if attribute.verbatim { None } else { attribute.value.parse().ok() }
}
