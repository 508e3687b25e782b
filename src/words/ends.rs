//! Names of events that say which end of a change they are: `deployment_start` and `deployment_complete`.
//!
//! A name is a subject and one of these words behind `_`, `-`, `.` or a blank; the subject keeps the character, so that
//! `deploy_start` and `deploy-end` are of two subjects. `stop` is none of them: it names an operation (`vm_stop`), and so do
//! `failed` and `succeeded`, which say an outcome.

/// What begins a change.
pub const BEGINNING: [&str; 7] = ["start", "started", "starting", "begin", "began", "begun", "beginning"];
/// What ends one.
pub const FINISHING: [&str; 8] = ["complete", "completed", "completion", "end", "ended", "finish", "finished", "done"];
/// What stands between a subject and such a word.
const BETWEEN: [char; 4] = ['_', '-', '.', ' '];

/// Which end of a change a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It begins.
    Beginning,
    /// It is over.
    Finishing,
}

/// The subject of a name that says which end it is, with the character behind it: `deployment_` of `deployment_start`.
pub fn of(name: &str) -> Option<(&str, End)> {
    let at = name.rfind(BETWEEN).filter(|at| *at > 0)?;
    let (subject, word) = name.split_at_checked(at + 1)?;
    let end = if BEGINNING.contains(&word) {
        End::Beginning
    } else if FINISHING.contains(&word) {
        End::Finishing
    } else {
        return None;
    };
    Some((subject, end))
}

/// The names under which what a beginning name began may be over, its own among them, sorted; of another name, only itself.
pub fn stops_of(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if let Some((subject, End::Beginning)) = of(name) {
        names.extend(FINISHING.iter().map(|word| format!("{subject}{word}")));
    }
    names.sort();
    names
}

/// The names under which what is over under this name may have begun, its own among them, sorted; of another name, only itself.
pub fn starts_of(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if let Some((subject, End::Finishing)) = of(name) {
        names.extend(BEGINNING.iter().map(|word| format!("{subject}{word}")));
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_end_they_are() {
        for (name, expected) in [
            ("deployment_start", Some(("deployment_", End::Beginning))),
            ("deployment_started", Some(("deployment_", End::Beginning))),
            ("deployment_complete", Some(("deployment_", End::Finishing))),
            ("db.backup.done", Some(("db.backup.", End::Finishing))),
            ("nightly job-finished", Some(("nightly job-", End::Finishing))),
            ("vm_stop", None),
            ("deployment_failed", None),
            ("start", None),
            ("_start", None),
            ("complete", None),
            ("deployment", None),
            ("deployment_restart", None),
            ("backend", None),
            ("\u{65e5}_start", Some(("\u{65e5}_", End::Beginning))),
            ("", None),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }

    #[test]
    fn what_began_is_over_under_each_finishing_name() {
        let names = stops_of("deploy-start");
        assert_eq!(names.len(), FINISHING.len() + 1);
        assert!(names.contains(&"deploy-start".to_owned()) && names.contains(&"deploy-done".to_owned()));
        assert!(names.is_sorted());
        assert_eq!(stops_of("deploy-done"), ["deploy-done"]);
    }
}
