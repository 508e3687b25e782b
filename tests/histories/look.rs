//! All that a reader can see, and how two such looks differ.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use crate::run::Server;
use crate::steps::Id;
use crate::steps::USUAL;

const LISTS: [&str; 2] = ["/api/v1/event/?count=0", "/api/v1/event/?count=0&use_update_time=true"];
/// The other cluster.
pub(crate) const ANOTHER: &str = "c1";
/// Lines of a page that are about the server itself.
const OWN: [&str; 2] = ["change_events_", "process_"];

/// Which kind of answer differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    List,
    Page,
    Single,
    /// What had been forgotten or deleted is there, and nobody sent it.
    Back,
    /// What was acknowledged is not there, and is neither old nor deleted.
    Lost,
    /// An answer that no history should get.
    Answer,
}

/// What should not be.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) kinds: BTreeSet<Kind>,
    pub(crate) text: String,
}

impl Difference {
    pub(crate) fn new(kind: Kind, text: String) -> Self {
        Self { kinds: BTreeSet::from([kind]), text }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kinds, self.text)
    }
}

/// What can be asked for.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) organizations: BTreeSet<String>,
    /// Every id that an answer had.
    pub(crate) ids: BTreeSet<Id>,
    /// Whether a sample went to another cluster than the usual one.
    pub(crate) another_cluster: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self { organizations: BTreeSet::from([USUAL.to_owned()]), ids: BTreeSet::new(), another_cluster: false }
    }
}

/// Answers by what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Look {
    answers: Vec<(Kind, String, String)>,
    /// The numbers of the events with these ids.
    numbers: BTreeMap<Id, u64>,
    /// Of the ids that were asked for, those that name something.
    pub(crate) found: BTreeSet<Id>,
}

impl Look {
    /// Asks for everything.
    pub(crate) fn at(server: &mut dyn Server, known: &Known) -> Self {
        let mut look = Self::default();
        for organization in &known.organizations {
            look.lists(server, organization);
            for page in server.pages().iter().filter(|page| known.another_cluster || !page.contains(ANOTHER)) {
                look.ask(server, Kind::Page, organization, (*page).to_owned());
            }
        }
        for id in &known.ids {
            let Id { organization, id: name } = id;
            let path = format!("/v1/accounts/{organization}/events/{name}");
            let answer = look.ask(server, Kind::Single, organization, path);
            let (is_there, is_first) = (answer.starts_with("200"), answer.contains(&format!(r#""sid":"{name}""#)));
            if is_there {
                look.found.insert(id.clone());
            }
            look.numbers.extend(server.number(id).map(|number| (id.clone(), number)));
            // By the ids of its other edges this door finds the same event.
            if is_first {
                look.ask(server, Kind::Single, organization, format!("/api/v1/event/{name}"));
            }
        }
        look
    }

    fn lists(&mut self, server: &mut dyn Server, organization: &str) {
        let edges = format!("/api/v4/organizations/{organization}/change_events");
        let more = |page: &serde_json::Value| Some(format!("&cursor={}", page["next_cursor"].as_str()?));
        self.list(server, organization, &format!("{edges}?limit=20"), &more);
        for state in ["open", "closed"] {
            self.ask(server, Kind::List, organization, format!("{edges}?limit=1000&state={state}"));
        }
        self.list(server, organization, &format!("/v1/accounts/{organization}/events?limit=15"), &|page| {
            let last = page["records"].as_array()?.last().filter(|_| page["hasMore"] == true)?;
            Some(format!("&startingAfter={}", last["sid"].as_str()?))
        });
        for list in LISTS {
            self.ask(server, Kind::List, organization, list.to_owned());
        }
    }

    /// What was asked for, and the answers.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.answers.iter().map(|(_, path, answer)| (&**path, &**answer))
    }

    /// Without the versions of events, which another build may count in another way.
    pub(crate) fn without_versions(mut self) -> Self {
        for (_, _, answer) in &mut self.answers {
            let (status, body) = answer.split_once('\n').unwrap();
            *answer = [status.split(' ').next().unwrap_or_default(), " \n", body].concat();
        }
        self
    }

    /// A list with all of its pages.
    fn list(&mut self, server: &mut dyn Server, organization: &str, path: &str, next: &dyn Fn(&serde_json::Value) -> Option<String>) {
        let mut rest = String::new();
        loop {
            let answer = self.ask(server, Kind::List, organization, format!("{path}{rest}"));
            let body = answer.split_once('\n').unwrap().1;
            let page = serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}{rest}: {error}: {answer}"));
            let Some(more) = next(&page) else { return };
            rest = more;
        }
    }

    fn ask(&mut self, server: &mut dyn Server, kind: Kind, organization: &str, path: String) -> &str {
        let answer = server.get(organization, &path);
        let mut text = format!("{} {}\n", answer.status, answer.etag);
        if kind == Kind::Page {
            for line in answer.text.lines().filter(|line| !is_own(line)) {
                text += line;
                text.push('\n');
            }
        } else {
            text += &answer.text;
        }
        self.answers.push((kind, path, text));
        &self.answers.last().unwrap().2
    }

    /// What differs from this look, which was taken before.
    pub(crate) fn compare(&self, after: &Self) -> Result<(), Difference> {
        let mut kinds = BTreeSet::new();
        let mut text = String::new();
        for (before, after) in self.answers.iter().zip(&after.answers).filter(|(before, after)| before != after) {
            if !kinds.contains(&before.0) {
                text += &["\n", &before.1, "\n", &differing_lines(&before.2, &after.2)].concat();
            }
            kinds.insert(before.0);
        }
        if kinds.is_empty() && self.numbers != after.numbers {
            return Err(Difference::new(Kind::Single, format!("numbers {:?} and then {:?}", self.numbers, after.numbers)));
        }
        if kinds.is_empty() && self.answers.len() != after.answers.len() {
            return Err(Difference::new(Kind::List, "another number of pages".to_owned()));
        }
        if kinds.is_empty() { Ok(()) } else { Err(Difference { kinds, text }) }
    }
}

fn is_own(line: &str) -> bool {
    let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
    OWN.iter().any(|own| name.starts_with(own))
}

fn differing_lines(before: &str, after: &str) -> String {
    let lines = |text: &str| -> Vec<String> { text.replace("},{", "},\n{").lines().map(str::to_owned).collect() };
    let (before, after) = (lines(before), lines(after));
    let only = |sign: &str, these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).flat_map(|line| ["  ", sign, " ", line, "\n"]).collect::<String>()
    };
    let found = only("-", &before, &after) + &only("+", &after, &before);
    if found.is_empty() { format!("  the order:\n  - {}\n  + {}\n", before.join("\n    "), after.join("\n    ")) } else { found }
}
